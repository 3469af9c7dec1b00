--- The kinds of messages and their chunks.
--
-- A message is a table with a metatable; its class is found by the metatable alone. Where many are
-- made (templates, models) `Class.instance_mt` is set by hand: one table a message, no check; what
-- users make is checked (make.lua).
local errors = require "moonpipe.error"

---@class moonpipe.Message
---@field type string  system, human, ai, tool or chat
---@field content string|table[]  text, or a list of strings and content blocks
---@field name string?
---@field id string?
---@field additional_kwargs table?
---@field response_metadata table?
---@field text fun(self): string
---@field content_blocks fun(self): table[]  its content in blocks of one form (blocks.lua)
---@field pretty_repr fun(self): string
---@field pretty_print fun(self)

---@class moonpipe.AIMessage: moonpipe.Message
---@field tool_calls table[]
---@field invalid_tool_calls table[]
---@field usage_metadata table?

---@class moonpipe.AIMessageChunk: moonpipe.AIMessage
---@field tool_call_chunks table[]?
---@operator add(moonpipe.AIMessageChunk): moonpipe.AIMessageChunk

local words = {}

-- Loaded at the first tool call: a script without any starts faster.
local function toolcall()
  return require "moonpipe.agents.toolcall"
end

-- metatable -> class, for all messages and chunks
local CLASS = {}

local COMMON = { "content", "name", "id", "additional_kwargs", "response_metadata" }
local CONTENT = { "content" }

local function block_text(block)
  if type(block) == "string" then
    return block
  elseif type(block) == "table" and block.type == "text" then
    return block.text or ""
  end
  return ""
end

--- The text of a message; of a list of content blocks, its text blocks joined.
---@param message moonpipe.Message
---@return string
function words.text(message)
  local content = message.content
  if type(content) == "string" then
    return content
  end
  local parts = {}
  for i = 1, #content do
    parts[i] = block_text(content[i])
  end
  return table.concat(parts)
end

--- The class of a message or chunk, nil for anything else.
---@param value any
---@return table?
function words.class_of(value)
  return CLASS[getmetatable(value)]
end

local function concat(a, b)
  return (CLASS[getmetatable(a)] and words.text(a) or a)
    .. (CLASS[getmetatable(b)] and words.text(b) or b)
end

local function new_metatable(class, index)
  local mt = {
    __name = "moonpipe.message." .. class.name,
    __index = index,
    __tostring = words.text,
    __concat = concat,
  }
  CLASS[mt] = class
  return mt
end

local function construct(class, content, opts)
  return require("moonpipe.messages.make").construct(class, content, opts)
end

local function joined(names, more)
  local result = { unpack(names) }
  for i = 1, #more do
    result[#result + 1] = more[i]
  end
  return result
end

-- Methods that are seldom asked for.

local function content_blocks(self)
  return require("moonpipe.messages.blocks").of(self)
end

local function pretty_repr(self)
  return require("moonpipe.messages.print").pretty_repr(self)
end

local function pretty_print(self)
  return require("moonpipe.messages.print").pretty_print(self)
end

-- type: the field of that name; label: how a transcript calls the speaker.
local function define(name, kind, label, allowed, required)
  local proto = {
    type = kind, text = words.text, content_blocks = content_blocks,
    pretty_repr = pretty_repr, pretty_print = pretty_print,
  }
  local class = {
    name = name, type = kind, label = label, proto = proto,
    allowed = allowed, required = required or CONTENT,
  }
  class.instance_mt = new_metatable(class, proto)
  words[name] = setmetatable(class, {
    __name = "moonpipe.class",
    __call = construct,
    __tostring = function() return name end,
  })
  return class
end

local AI_FIELDS = { "tool_calls", "invalid_tool_calls", "usage_metadata" }
local TOOL_FIELDS = { "tool_call_id", "artifact", "status" }
local CHUNK_FIELDS = { "tool_call_chunks", "chunk_position" }

define("SystemMessage", "system", "System", COMMON)
define("HumanMessage", "human", "Human", COMMON)
define("AIMessage", "ai", "AI", joined(COMMON, AI_FIELDS))
define("ToolMessage", "tool", "Tool", joined(COMMON, TOOL_FIELDS), { "content", "tool_call_id" })
define("ChatMessage", "chat", nil, joined(COMMON, { "role" }), { "content", "role" })

local function is_chunk(value)
  local class = CLASS[getmetatable(value)]
  return class ~= nil and class.whole ~= nil
end

local add_fields -- loaded by the first two chunks

-- The class of the left one stays. Ids that nobody has read stay unmade.
local function add(a, b)
  if not is_chunk(a) or not is_chunk(b) then
    errors.raise("input", ("chunks cannot be merged: %s, then %s"):format(
      errors.shape(a), errors.shape(b)))
  end
  add_fields = add_fields or require "moonpipe.messages.add"
  local result = add_fields(a, b)
  local class, mt = CLASS[getmetatable(a)], getmetatable(a)
  if result.id then
    mt = class.instance_mt
  elseif class.run_mt and getmetatable(b) == class.run_mt then
    mt = class.run_mt
  end
  return setmetatable(result, mt)
end

local function define_chunk(class, extra)
  local twin = define(class.name .. "Chunk", class.type, class.label,
    extra and joined(class.allowed, extra) or class.allowed)
  twin.whole = class
  class.chunk = twin
  twin.instance_mt.__add = add
end

define_chunk(words.SystemMessage)
define_chunk(words.HumanMessage)
define_chunk(words.AIMessage, CHUNK_FIELDS)
define_chunk(words.ToolMessage)
define_chunk(words.ChatMessage)

local CALLS = { tool_calls = true, invalid_tool_calls = true }

-- A list that is read is kept, so that what is added to it is not lost.
local function read_ai(self, key, proto)
  if CALLS[key] then
    local value = {}
    rawset(self, key, value)
    return value
  end
  return proto[key]
end

-- The calls of a stream's pieces grow while it runs, so they are read from them each time.
local function read_ai_chunk(self, key, proto)
  if CALLS[key] then
    local calls, invalid = toolcall().parse(rawget(self, "tool_call_chunks") or {}, true)
    return key == "tool_calls" and calls or invalid
  end
  return proto[key]
end

-- run_mt is for answers that a run made: their id comes into being when it is read.
local function with_run(class, read)
  local proto = class.proto
  class.instance_mt.__index = function(self, key)
    return read(self, key, proto)
  end
  class.run_mt = new_metatable(class, function(self, key)
    if key == "id" then
      local id = ("run-%s-0"):format(require("moonpipe.uuid").new())
      rawset(self, "id", id)
      return id
    end
    return read(self, key, proto)
  end)
  class.run_mt.__add = class.instance_mt.__add
end

with_run(words.AIMessage, read_ai)
with_run(words.AIMessageChunk, read_ai_chunk)

return words
