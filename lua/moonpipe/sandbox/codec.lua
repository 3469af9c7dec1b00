--- Values that cross the wall of a sandbox: as JSON, with messages, Documents and errors marked.
--
-- Data only. What comes out of a sandbox was made by the code of others: it is checked, and nothing
-- but tables, strings, numbers and booleans is made of it.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local message = require "moonpipe.messages.message"
local redact = require "moonpipe.redact"
local values = require "moonpipe.prompts.value"
local words = require "moonpipe.messages.class"

local codec = {}

local MARK = "$moonpipe"
local DEPTH_MAX = 100
local ARRAY = getmetatable(json.array {})

local CLASS_OF = {
  system = message.SystemMessage, human = message.HumanMessage, ai = message.AIMessage,
  tool = message.ToolMessage, chat = message.ChatMessage,
}
-- Of an error; what else it holds is for who made it.
local ERROR_FIELDS = {
  attempts = "number", elapsed = "number", model = "string", path = "string",
  provider = "string", request_id = "string", retry_after = "number", retryable = "boolean",
  status = "number",
}

-- ---- to text ------------------------------------------------------------------

local pack

local function pack_members(value, depth)
  local copy = {}
  for key, member in next, value do copy[key] = pack(member, depth) end
  return getmetatable(value) == ARRAY and setmetatable(copy, ARRAY) or copy
end

local function pack_message(value, class, depth)
  local data = pack_members(value, depth)
  if data.id == nil then data.id = value.id end -- that of a run comes into being when it is read
  if type(data.content) == "table" and data.content[1] == nil then data.content = json.array {} end
  return { [MARK] = "message", type = class.type, chunk = class.whole ~= nil, data = data }
end

local function pack_error(err)
  local said = redact.text(errors.text(err.message))
  local copy = { [MARK] = "error", kind = err.kind, message = said }
  for name, kind in pairs(ERROR_FIELDS) do
    if type(err[name]) == kind then copy[name] = err[name] end
  end
  return copy
end

local function pack_document(value, depth)
  return { [MARK] = "document", page_content = value.page_content, id = value.id,
    score = value.score, metadata = pack(value.metadata, depth) }
end

-- What is no plain table.
local function pack_marked(value, mt, depth)
  local class = words.class_of(value)
  if class then return pack_message(value, class, depth) end
  if errors.is(value) then return pack_error(value) end
  if document.is(value) then return pack_document(value, depth) end
  if mt == values.string_mt then return value.text end
  if mt == values.chat_mt then return pack_members(value, depth) end
  if mt.__tojson then return value end
  errors.raise("input", ("%s cannot cross the wall of a sandbox: only data can"):format(
    errors.shape(value)))
end

function pack(value, depth)
  if type(value) ~= "table" then return value end
  if depth > DEPTH_MAX then
    errors.raise("input", ("more than %d tables in each other"):format(DEPTH_MAX))
  end
  local mt = getmetatable(value)
  if mt and mt ~= ARRAY then return pack_marked(value, mt, depth + 1) end
  local copy = pack_members(value, depth + 1)
  if copy[MARK] ~= nil then return { [MARK] = "table", data = copy } end
  return copy
end

---The text of a value. Raises kind `input` for what is no data.
---@param value any
---@return string
function codec.encode(value)
  if value == nil then return "null" end
  return json.encode(pack(value, 1))
end

-- ---- from text ----------------------------------------------------------------

local unpack_value

local function unpack_members(value)
  for key, member in pairs(value) do
    if type(member) == "table" then value[key] = unpack_value(member) end
  end
  if value[1] ~= nil and getmetatable(value) == ARRAY then return setmetatable(value, nil) end
  return value
end

local function wrong(what)
  errors.raise("decode", "what crossed the wall of a sandbox is no " .. what)
end

local BUILD = {}

function BUILD.message(value)
  local class, data = CLASS_OF[value.type], value.data
  if value.chunk == true and class then class = class.chunk end
  if not class or type(data) ~= "table" then wrong("message") end
  local fields = {}
  for _, name in ipairs(class.allowed) do
    local field = data[name]
    if field ~= json.null and field ~= nil then
      fields[name] = type(field) == "table" and unpack_value(field) or field
    end
  end
  if not (class.whole and fields.content == nil) and not message.is_content(fields.content) then
    wrong("message")
  end
  return setmetatable(fields, class.instance_mt)
end

function BUILD.document(value)
  local metadata = type(value.metadata) == "table" and unpack_value(value.metadata) or {}
  if type(value.page_content) ~= "string" then wrong("Document") end
  local doc = document.Document {
    page_content = value.page_content, metadata = metadata,
    id = type(value.id) == "string" and value.id or nil,
  }
  if type(value.score) == "number" then doc.score = value.score end
  return doc
end

function BUILD.error(value)
  local fields = {
    kind = errors.KINDS[value.kind] and value.kind or "lua",
    message = type(value.message) == "string" and value.message or "?",
  }
  for name, kind in pairs(ERROR_FIELDS) do
    if type(value[name]) == kind then fields[name] = value[name] end
  end
  return errors.new(fields)
end

function BUILD.table(value)
  return type(value.data) == "table" and unpack_members(value.data) or wrong("table")
end

function unpack_value(value)
  local mark = value[MARK]
  if mark == nil then return unpack_members(value) end
  local build = BUILD[mark]
  if not build then wrong("value") end
  return build(value)
end

---The value of a text. Raises kind `decode`.
---@param text string
---@return any
function codec.decode(text)
  local value = json.decode(text)
  if value == json.null then return nil end
  return type(value) == "table" and unpack_value(value) or value
end

return codec
