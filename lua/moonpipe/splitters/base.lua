--- What all splitters share: the check of their options, texts and documents to documents.
--
-- A splitter of texts has `spans(self, text, take)`, which calls take(first, last, metadata) for
-- each chunk, in order; everything else follows from it.
local cut = require "moonpipe.splitters.cut"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"

---@class moonpipe.TextSplitter
---@field chunk_size integer
---@field chunk_overlap integer
---@field add_start_index boolean
---@field strip_whitespace boolean
---@field spans fun(self, text: string, take: fun(first: integer, last: integer, more: table?))
local TextSplitter = {}

local base = { TextSplitter = TextSplitter }

---The pieces of a text, in order.
---@param text string
---@return string[]
function TextSplitter:split_text(text)
  if type(text) ~= "string" then
    errors.usage("split_text takes a string, got " .. errors.shape(text))
  end
  local out = {}
  self:spans(text, function(first, last) out[#out + 1] = text:sub(first, last) end)
  return out
end

local function copy(into, from)
  for key, value in pairs(from or {}) do into[key] = value end
  return into
end

---A document for each chunk of a text. A start_index that the metadata has already is where this
---text begins in another: what is noted counts from there.
---@param self moonpipe.TextSplitter
---@param text string
---@param metadata table?
---@param out moonpipe.Document[]
function base.documents_of(self, text, metadata, out)
  local origin = type(metadata) == "table" and metadata.start_index
  if type(origin) ~= "number" then origin = 1 end
  self:spans(text, function(first, last, more)
    local own = copy(copy({}, metadata), more)
    if self.add_start_index then own.start_index = origin + first - 1 end
    out[#out + 1] = document.Document(text:sub(first, last), own)
  end)
end

---Raises for metadatas that are no list of tables.
---@param metadatas any
---@param count integer
function base.check_metadatas(metadatas, count)
  for i = 1, metadatas == nil and 0 or count do
    local given = type(metadatas) == "table" and metadatas[i]
    if given ~= nil and type(given) ~= "table" then
      errors.usage("metadatas of create_documents is a list of tables, one for each text, got "
        .. errors.shape(given or metadatas))
    end
  end
end

---Documents of the pieces of texts; each has its text's metadata, and with `add_start_index` the
---number of its first byte in the text, from 1, as `start_index`.
---@param texts string[]
---@param metadatas table[]?
---@return moonpipe.Document[]
function TextSplitter:create_documents(texts, metadatas)
  errors.list(texts, "create_documents")
  base.check_metadatas(metadatas, #texts)
  local out = {}
  for i, text in ipairs(texts) do
    if type(text) ~= "string" then
      errors.usage(("text %d of create_documents is %s; it must be a string"):format(i,
        errors.shape(text)))
    end
    base.documents_of(self, text, metadatas and metadatas[i], out)
  end
  return out
end

---The same for documents. Where one has a `start_index` already, as a part that another splitter
---made, those of its pieces count in the text that it is a part of.
---@param documents moonpipe.Document[]
---@return moonpipe.Document[]
function TextSplitter:split_documents(documents)
  errors.list(documents, "split_documents")
  local out = {}
  for i, doc in ipairs(documents) do
    if not document.is(doc) then
      errors.usage(("item %d of split_documents is %s; it must be a Document"):format(i,
        errors.shape(doc)))
    end
    base.documents_of(self, doc.page_content, doc.metadata, out)
  end
  return out
end

-- Options -----------------------------------------------------------------------------------------

---Raises where a number is none, or too small.
---@param value any
---@param least integer
---@param name string
---@param what string
function base.check_size(value, least, name, what)
  if type(value) ~= "number" or value < least or value % 1 ~= 0 then
    errors.usage(("%s of %s is %s; it must be an integer from %d on"):format(name, what,
      errors.shape(value), least))
  end
end

local function check_function(value, name, what)
  if value ~= nil and type(value) ~= "function" then
    errors.usage(("%s of %s is %s; it must be a function of a text that gives a number"):format(
      name, what, errors.shape(value)))
  end
end

-- What a function of the user's says of text[first..last].
local function asking(fn, name)
  return function(text, first, last)
    local length = fn(text:sub(first, last))
    if type(length) ~= "number" then
      errors.raise("input", ("%s gave %s; it must give a number"):format(name,
        errors.shape(length)))
    end
    return length
  end
end

local function bytes(_, first, last)
  return last - first + 1
end

local SHARED = { "add_start_index", "chunk_overlap", "chunk_size", "strip_whitespace" }

---A splitter's fields out of its options, checked; [more] are those of its own, [length] the name
---of the one that measures, [default] what measures without it.
---@return table self
---@return table opts
function base.configure(opts, more, what, length, default)
  local allowed = { unpack(SHARED) }
  for _, name in ipairs(more) do allowed[#allowed + 1] = name end
  table.sort(allowed)
  opts = errors.options(opts, allowed, what)
  local size, overlap = opts.chunk_size or 4000, opts.chunk_overlap or 200
  base.check_size(size, 1, "chunk_size", what)
  base.check_size(overlap, 0, "chunk_overlap", what)
  if overlap >= size then
    errors.usage(("chunk_overlap of %s is %d; it must be less than chunk_size, %d"):format(what,
      overlap, size))
  end
  check_function(opts[length], length, what)
  return {
    chunk_size = size,
    chunk_overlap = overlap,
    add_start_index = opts.add_start_index == true,
    strip_whitespace = opts.strip_whitespace ~= false,
    measure = opts[length] and asking(opts[length], length) or default or bytes,
  }, opts
end

---Gives chunks to [take], without the blanks at their ends unless they are wanted. One in which
---nothing but blanks is new is left out.
---@param self moonpipe.TextSplitter
---@param text string
---@param chunks moonpipe.Span[]
---@param take fun(first: integer, last: integer)
function base.give(self, text, chunks, take)
  local reached = 0
  for _, chunk in ipairs(chunks) do
    local first, last = chunk[1], chunk[2]
    if self.strip_whitespace then first, last = cut.strip(text, first, last) end
    if first and last > reached then
      take(first, last)
      reached = last
    end
  end
end

---The metatable of a splitter's objects, whose methods are [methods] and those of all.
---@param name string
---@param methods table
---@return table
function base.metatable(name, methods)
  setmetatable(methods, { __index = TextSplitter })
  return {
    __name = "moonpipe." .. name,
    __index = methods,
    __tostring = function() return name end,
  }
end

---A class of splitters, which is called or has [statics].
---@param name string
---@param construct fun(class: table, ...): table
---@param statics table?
---@return table
function base.class(name, construct, statics)
  return setmetatable(statics or {}, {
    __name = "moonpipe.class",
    __call = construct,
    __tostring = function() return name end,
  })
end

return base
