--- Cuts texts into pieces that an embedding or a prompt can hold.
--
-- Sizes are bytes. A piece is always a part of its text, byte for byte, so where it begins is
-- known exactly, also for text that occurs twice; it begins and ends between characters.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"

local splitter = {}

local OPTIONS = { "add_start_index", "chunk_overlap", "chunk_size", "separators" }

local SEPARATORS = { "\n\n", "\n", " ", "" }

---@class moonpipe.RecursiveCharacterTextSplitter
---@field chunk_size integer
---@field chunk_overlap integer
---@field separators string[]
---@field add_start_index boolean
local methods = {}

local mt = { __name = "moonpipe.RecursiveCharacterTextSplitter", __index = methods }

function mt.__tostring()
  return "RecursiveCharacterTextSplitter"
end

-- Pieces are pairs of numbers: first and last byte in the text.

-- Cuts at each separator, which goes to the piece behind it. "" cuts between characters.
local function cut(text, first, last, separator)
  local pieces, from = {}, first
  local at = first
  while true do
    local start, stop
    if separator == "" then
      start = text:find("[^\128-\191]", at + 1)
      stop = start
    else
      start, stop = text:find(separator, at, true)
    end
    if not start or start > last then break end
    if start > from then
      pieces[#pieces + 1] = { from, start - 1 }
      from = start
    end
    at = separator == "" and start or stop + 1
  end
  pieces[#pieces + 1] = { from, last }
  return pieces
end

-- The pieces of text[first..last] that are no longer than `size`, as far as separators allow.
local function atoms(self, text, first, last, level, out)
  if last - first + 1 <= self.chunk_size or level > #self.separators then
    out[#out + 1] = { first, last }
    return out
  end
  for _, piece in ipairs(cut(text, first, last, self.separators[level])) do
    atoms(self, text, piece[1], piece[2], level + 1, out)
  end
  return out
end

-- The next chunk begins with as many of the last pieces as the overlap holds and the size allows.
local function step_back(self, list, first, next_one)
  local limit = self.chunk_size - (list[next_one][2] - list[next_one][1] + 1)
  local from = next_one
  while from - 1 > first do
    local length = list[next_one][1] - list[from - 1][1]
    if length > self.chunk_overlap or length > limit then break end
    from = from - 1
  end
  return from
end

-- Joins pieces that follow one another, up to the size.
local function join(self, list)
  local chunks, first = {}, 1
  for i = 2, #list + 1 do
    local over = i > #list or list[i][2] - list[first][1] + 1 > self.chunk_size
    if over then
      chunks[#chunks + 1] = { list[first][1], list[i - 1][2] }
      if i <= #list then first = step_back(self, list, first, i) end
    end
  end
  return chunks
end

-- Without the blanks at its ends; nil if nothing is left.
local function strip(text, chunk)
  local first = text:find("%S", chunk[1])
  if not first or first > chunk[2] then return nil end
  local last = chunk[2]
  while text:find("^%s", last) do last = last - 1 end
  return first, last
end

local function each_chunk(self, text, take)
  if text == "" then return end
  for _, chunk in ipairs(join(self, atoms(self, text, 1, #text, 1, {}))) do
    local first, last = strip(text, chunk)
    if first then take(text:sub(first, last), first) end
  end
end

--- The pieces of a text, in order.
---@param text string
---@return string[]
function methods:split_text(text)
  if type(text) ~= "string" then
    errors.usage("split_text takes a string, got " .. errors.shape(text))
  end
  local out = {}
  each_chunk(self, text, function(piece) out[#out + 1] = piece end)
  return out
end

local function documents_of(self, text, metadata, out)
  each_chunk(self, text, function(piece, first)
    local own = {}
    for key, value in pairs(metadata or {}) do own[key] = value end
    if self.add_start_index then own.start_index = first end
    out[#out + 1] = document.Document(piece, own)
  end)
end

--- Documents of the pieces of texts; each has its text's metadata, and with `add_start_index` the
--- number of its first byte in the text, from 1, as `start_index`.
---@param texts string[]
---@param metadatas table[]?
---@return moonpipe.Document[]
function methods:create_documents(texts, metadatas)
  errors.list(texts, "create_documents")
  metadatas = metadatas or {}
  for i = 1, #texts do
    local given = type(metadatas) == "table" and metadatas[i]
    if given ~= nil and type(given) ~= "table" then
      errors.usage("metadatas of create_documents is a list of tables, one for each text, got "
        .. errors.shape(given or metadatas))
    end
  end
  local out = {}
  for i, text in ipairs(texts) do
    if type(text) ~= "string" then
      errors.usage(("text %d of create_documents is %s; it must be a string"):format(i,
        errors.shape(text)))
    end
    documents_of(self, text, metadatas[i], out)
  end
  return out
end

--- The same for documents.
---@param documents moonpipe.Document[]
---@return moonpipe.Document[]
function methods:split_documents(documents)
  errors.list(documents, "split_documents")
  local out = {}
  for i, doc in ipairs(documents) do
    if not document.is(doc) then
      errors.usage(("item %d of split_documents is %s; it must be a Document"):format(i,
        errors.shape(doc)))
    end
    documents_of(self, doc.page_content, doc.metadata, out)
  end
  return out
end

local function check_size(value, name, least)
  if type(value) ~= "number" or value < least or value % 1 ~= 0 then
    errors.usage(("%s of RecursiveCharacterTextSplitter is %s; it must be an integer from %d on")
      :format(name, errors.shape(value), least))
  end
end

local function check_separators(list)
  errors.list(list, "separators of RecursiveCharacterTextSplitter")
  for i, separator in ipairs(list) do
    if type(separator) ~= "string" then
      errors.usage(("separator %d of RecursiveCharacterTextSplitter is %s; it must be a string")
        :format(i, errors.shape(separator)))
    end
  end
end

local function construct(_, opts)
  opts = errors.options(opts, OPTIONS, "RecursiveCharacterTextSplitter")
  local size, overlap = opts.chunk_size or 4000, opts.chunk_overlap or 200
  check_size(size, "chunk_size", 1)
  check_size(overlap, "chunk_overlap", 0)
  if overlap >= size then
    errors.usage(("chunk_overlap of RecursiveCharacterTextSplitter is %d; it must be less than"
      .. " chunk_size, %d"):format(overlap, size))
  end
  check_separators(opts.separators or SEPARATORS)
  return setmetatable({
    chunk_size = size,
    chunk_overlap = overlap,
    separators = { unpack(opts.separators or SEPARATORS) },
    add_start_index = opts.add_start_index == true,
  }, mt)
end

---`RecursiveCharacterTextSplitter{ chunk_size = 4000, chunk_overlap = 200, separators =,
---add_start_index = }`: cuts at blank lines first, then at ends of lines, at blanks, and at last
---between characters, and joins pieces up to the size.
---@overload fun(opts: table?): moonpipe.RecursiveCharacterTextSplitter
splitter.RecursiveCharacterTextSplitter = setmetatable({}, {
  __name = "moonpipe.class",
  __call = construct,
  __tostring = function() return "RecursiveCharacterTextSplitter" end,
})

return splitter
