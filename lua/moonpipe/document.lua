--- A piece of text with what is known about it.
local errors = require "moonpipe.error"

---@class moonpipe.Document
---@field page_content string
---@field metadata table
---@field id string?

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

local function construct(_, content, metadata)
  local fields = { page_content = content, metadata = metadata }
  if type(content) == "table" then
    local opts = errors.options(content, FIELDS, "Document")
    fields = { page_content = opts.page_content, metadata = opts.metadata, id = opts.id }
  end
  if fields.metadata == nil then
    fields.metadata = {}
  end
  check(fields)
  return setmetatable(fields, mt)
end

--- `Document("text", metadata)` or `Document{ page_content =, metadata =, id = }`.
---@overload fun(page_content: string|table, metadata?: table): moonpipe.Document
document.Document = setmetatable({}, {
  __name = "moonpipe.class",
  __call = construct,
  __tostring = function() return "Document" end,
})

--- True for a Document.
---@param value any
---@return boolean
function document.is(value)
  return getmetatable(value) == mt
end

return document
