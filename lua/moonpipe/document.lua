--- A piece of text with what is known about it.
local errors = require "moonpipe.error"

---@class moonpipe.Document
---@field page_content string
---@field metadata table
---@field id string?
---@field score number?  of documents that were found by one: how well, more is better

local document = {}

local FIELDS = { "page_content", "metadata", "id" }

local mt = { __name = "moonpipe.document.Document" }

function mt.__tostring(self)
  return self.page_content
end

local function check(fields)
  if type(fields.page_content) ~= "string" then
    errors.usage(("page_content of Document is %s; it must be a string"):format(
      errors.shape(fields.page_content)))
  elseif type(fields.metadata) ~= "table" then
    errors.usage(("metadata of Document is %s; it must be a table"):format(
      errors.shape(fields.metadata)))
  elseif fields.id ~= nil and type(fields.id) ~= "string" then
    errors.usage(("id of Document is %s; it must be a string"):format(errors.shape(fields.id)))
  end
end

-- [fields], which it takes, as a Document.
local function made(fields)
  if fields.metadata == nil then fields.metadata = {} end
  check(fields)
  return setmetatable(fields, mt)
end

local function construct(_, content, metadata)
  if type(content) ~= "table" then return made { page_content = content, metadata = metadata } end
  local opts = errors.options(content, FIELDS, "Document")
  return made { page_content = opts.page_content, metadata = opts.metadata, id = opts.id }
end

--- `Document("text", metadata)` or `Document{ page_content =, metadata =, id = }`.
---@overload fun(page_content: string|table, metadata?: table): moonpipe.Document
document.Document = setmetatable({}, {
  __name = "moonpipe.class",
  __call = construct,
  __tostring = function() return "Document" end,
})

-- One for each text, if given.
local function check_beside(list, count, name)
  if list ~= nil and (type(list) ~= "table" or #list ~= count) then
    errors.usage(("%s must be a list of %d, one for each text, got %s"):format(name, count,
      errors.shape(list)))
  end
  return list or {}
end

--- The documents of texts, with what `metadatas` and `ids` of [opts] say of them.
---@param texts string[]
---@param opts { metadatas: table[]?, ids: string[]? }
---@param what string  whose texts
---@return moonpipe.Document[]
function document.of_texts(texts, opts, what)
  errors.list(texts, what)
  local metadatas = check_beside(opts.metadatas, #texts, "metadatas")
  local ids = check_beside(opts.ids, #texts, "ids")
  local list = {}
  for i, text in ipairs(texts) do
    if type(text) ~= "string" then
      errors.usage(("text %d of %s is %s; it must be a string"):format(i, what,
        errors.shape(text)))
    end
    list[i] = made { page_content = text, metadata = metadatas[i], id = ids[i] }
  end
  return list
end

--- Checks a list of Documents.
---@param list moonpipe.Document[]
---@param what string  whose list
---@return moonpipe.Document[]
function document.check_list(list, what)
  for i, doc in ipairs(errors.list(list, what)) do
    if not document.is(doc) then
      errors.usage(("item %d of %s is %s; it must be a Document"):format(i, what,
        errors.shape(doc)))
    end
  end
  return list
end

--- The same document, with [score]; it keeps its id, or gets [id].
---@param doc moonpipe.Document
---@param score number?
---@param id string?
---@return moonpipe.Document
function document.scored(doc, score, id)
  return setmetatable({
    page_content = doc.page_content,
    metadata = doc.metadata,
    id = doc.id or id,
    score = score,
  }, mt)
end

--- True for a Document.
---@param value any
---@return boolean
function document.is(value)
  return getmetatable(value) == mt
end

return document
