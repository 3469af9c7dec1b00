--- SQLiteDocstore: the documents of a vector store in a SQLite file, for more than memory holds.
--
-- Its methods are those of docstore.lua; each is one transaction, on the disk when it returns. What
-- a filter asks is asked of the file, as far as SQLite can answer it.
--
-- The vectors are in the file that save_local writes; what the documents say holds. Each change
-- counts the generation up, and numbers are never given twice, so a file of vectors that is older
-- than the documents lacks just those with higher numbers than its own: see faiss_file.lua. The
-- last store that was made of the file is the one that may change it: its token stands in there,
-- and each change asks for it.
local db = require "moonpipe.db"
local errors = require "moonpipe.error"
local filter_sql = require "moonpipe.stores.filter_sql"
local store_file = require "moonpipe.stores.faiss_file"
local uuid = require "moonpipe.uuid"

local APPLICATION_ID = 0x6d706473 -- "mpds": a file of something else is refused
local SCHEMA = {
  [[CREATE TABLE documents (
      number INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      content TEXT NOT NULL,
      metadata TEXT NOT NULL,
      odd INTEGER NOT NULL -- SQLite would see another metadata than Lua
    );
    CREATE TABLE about (key TEXT PRIMARY KEY, value NOT NULL);
    INSERT INTO about VALUES ('id', lower(hex(randomblob(16)))), ('generation', 0), ('next', 0),
      ('writer', '');
    CREATE INDEX odd ON documents (number) WHERE odd]],
}

local ASKED = 500  -- ids or numbers a statement
local READ = 500   -- documents an answer
local COUNTED = 20000 -- numbers an answer

---@class moonpipe.SQLiteDocstore: moonpipe.Docstore
---@field path string
local methods = {}

local mt = { __name = "moonpipe.SQLiteDocstore", __index = methods }

function mt.__tostring(self)
  return ("SQLiteDocstore '%s'"):format(self.path)
end

local function file_of(self)
  self._file = self._file or db.open(self.path, {
    application_id = APPLICATION_ID, schema = SCHEMA, busy_timeout = self._busy_timeout,
    synchronous = self._synchronous,
  })
  return self._file
end

-- Calls fn(marks, values from, to) for as many of [list] as a statement takes.
local function each_part(list, fn)
  for from = 1, #list, ASKED do
    local to = math.min(#list, from + ASKED - 1)
    fn(("?,"):rep(to - from + 1):sub(1, -2), from, to)
  end
end

local function read(row)
  return store_file.document(row.content, row.metadata, row.id)
end

-- ---- changing ----------------------------------------------------------------------------------

local OURS = "(SELECT value FROM about WHERE key = 'writer') = ?"

local function refuse(self)
  errors.raise("input", ("another store has %s since: one at a time may change it; make this one "
    .. "anew with load_local"):format(tostring(self)))
end

local function begin(self)
  if not self._claimed then self:claim() end
  return { { "UPDATE about SET value = value + 1 WHERE key = 'generation' AND " .. OURS,
    self._token } }
end

-- Deletes by id; appends to [statements].
local function add_deletes(self, statements, ids)
  each_part(ids, function(marks, from, to)
    local statement = {
      "DELETE FROM documents WHERE id IN (" .. marks .. ") AND " .. OURS .. " RETURNING number",
      unpack(ids, from, to),
    }
    statement[#statement + 1] = self._token
    statements[#statements + 1] = statement
  end)
end

-- All or none; the numbers of what was deleted.
local function change(self, statements)
  local answers, out = file_of(self):transaction(statements), {}
  if answers[1].changes == 0 then refuse(self) end
  for _, answer in ipairs(answers) do
    for _, row in ipairs(answer.rows or {}) do out[#out + 1] = row.number end
  end
  return out
end

---@async
---@param first integer
---@param documents moonpipe.Document[]
---@return integer[] replaced
function methods:put(first, documents)
  local ids, statements = {}, begin(self)
  statements[2] = { "UPDATE about SET value = max(value, ?) WHERE key = 'next' AND " .. OURS,
    first + #documents, self._token }
  for i, doc in ipairs(documents) do ids[i] = doc.id end
  add_deletes(self, statements, ids)
  for i, doc in ipairs(documents) do
    local metadata = store_file.encode(doc)
    statements[#statements + 1] = { "INSERT INTO documents SELECT ?, ?, ?, ?, ? WHERE " .. OURS,
      first + i - 1, doc.id, doc.page_content, metadata,
      metadata:find("\\u0000", 1, true) ~= nil, self._token }
  end
  return change(self, statements)
end

---@async
---@param ids string[]
---@return integer[] removed
function methods:remove(ids)
  local statements = begin(self)
  add_deletes(self, statements, ids)
  return change(self, statements)
end

-- ---- reading -----------------------------------------------------------------------------------

---@async
---@param ids string[]
---@return table<string, integer>
function methods:numbers(ids)
  local out = {}
  each_part(ids, function(marks, from, to)
    local rows = file_of(self):rows(
      "SELECT id, number FROM documents WHERE id IN (" .. marks .. ")", unpack(ids, from, to))
    for _, row in ipairs(rows) do out[row.id] = row.number end
  end)
  return out
end

---@async
---@param numbers integer[]
---@return table<integer, moonpipe.Document>
function methods:get(numbers)
  local out = {}
  each_part(numbers, function(marks, from, to)
    local rows = file_of(self):rows(
      "SELECT number, id, content, metadata FROM documents WHERE number IN (" .. marks .. ")",
      unpack(numbers, from, to))
    for _, row in ipairs(rows) do out[row.number] = read(row) end
  end)
  return out
end

-- Calls fn with each row, by number, [limit] an answer.
local function each_row(self, columns, where, limit, fn)
  local last, count = -1, limit
  local text = ("SELECT %s FROM documents WHERE number > ? AND %s ORDER BY number LIMIT %d"):format(
    columns, where.text, limit)
  while count == limit do
    local rows = file_of(self):rows(text, last, unpack(where.values))
    count = #rows
    for _, row in ipairs(rows) do fn(row) end
    last = count > 0 and rows[count].number or last
  end
end

local DOCUMENT = "number, id, content, metadata"
local ALL, ODD, EVEN = { text = "1", values = {} }, { text = "odd", values = {} }, "NOT odd AND "

---@async
---@param matches fun(metadata: table, document: moonpipe.Document): any
---@param tree moonpipe.FilterNode
---@return integer[]
function methods:matching(matches, tree)
  local where, exact = filter_sql.translate(tree)
  local out = {}
  local candidates = ALL
  if where and exact then
    each_row(self, "number", { text = EVEN .. where.text, values = where.values }, COUNTED,
      function(row) out[#out + 1] = row.number end)
    candidates = ODD
  elseif where then
    candidates = { text = "(odd OR " .. where.text .. ")", values = where.values }
  end
  local count = #out
  each_row(self, DOCUMENT, candidates, READ, function(row)
    local doc = read(row)
    if matches(doc.metadata, doc) then out[#out + 1] = row.number end
  end)
  if count > 0 and #out > count then table.sort(out) end
  return out
end

---@async
---@return integer[] numbers
---@return moonpipe.Document[] documents
function methods:all()
  local numbers, documents = {}, {}
  each_row(self, DOCUMENT, ALL, READ, function(row)
    numbers[#numbers + 1], documents[#documents + 1] = row.number, read(row)
  end)
  return numbers, documents
end

---@async
---@return integer
function methods:count()
  return file_of(self):rows("SELECT count(*) AS n FROM documents")[1].n
end

--- Which docstore this is, and how far it has come.
---@async
---@return { id: string, generation: integer, next: integer }
function methods:stamp()
  if not self._claimed then return self:claim() end
  local out = {}
  for _, row in ipairs(file_of(self):rows("SELECT key, value FROM about")) do
    out[row.key] = row.value
  end
  if out.writer ~= self._token then refuse(self) end
  out.writer = nil
  return out
end

--- The same; from now on only this one may change the documents.
---@async
---@return { id: string, generation: integer, next: integer }
function methods:claim()
  file_of(self):run("UPDATE about SET value = ? WHERE key = 'writer'", self._token)
  self._claimed = true
  return self:stamp()
end

--- The numbers of all documents from [first] on, ascending.
---@async
---@param first integer
---@return integer[]
function methods:numbers_from(first)
  local out = {}
  each_row(self, "number", { text = "number >= ?", values = { first } }, COUNTED, function(row)
    out[#out + 1] = row.number
  end)
  return out
end

--- Gives the file back; idempotent.
function methods:close()
  if self._file then self._file:close() end
end

local OPTIONS = { "busy_timeout", "synchronous" }

local function construct(_, path, opts)
  if type(path) ~= "string" or path == "" then
    errors.usage("SQLiteDocstore takes the path of a file, got "
      .. (path == "" and "an empty one" or errors.shape(path)))
  end
  opts = errors.options(opts, OPTIONS, "SQLiteDocstore")
  return setmetatable({
    path = path, _busy_timeout = opts.busy_timeout, _synchronous = opts.synchronous,
    _token = uuid.new(), _claimed = false,
  }, mt)
end

--- `SQLiteDocstore("docs.db")`: where `FAISS{ docstore = }` keeps its documents. Other options:
--- `busy_timeout`, `synchronous`, as of db.open. One store at a time may change it.
---@overload fun(path: string, opts: table?): moonpipe.SQLiteDocstore
local SQLiteDocstore = setmetatable({}, {
  __name = "moonpipe.class",
  __call = construct,
  __tostring = function() return "SQLiteDocstore" end,
})

return { SQLiteDocstore = SQLiteDocstore }
