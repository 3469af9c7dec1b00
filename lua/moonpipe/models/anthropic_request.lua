--- What ChatAnthropic sends: messages and parameters as the JSON of its Messages API.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local parts = require "moonpipe.messages.parts"

local encode, check = native.c.json_encode, native.check

local request = {}

local MAX_TOKENS = 8192 -- the provider wants a limit; all models since 3.5 can say so much

--- Parameters that are options of the model too, with their types.
request.TYPES = {
  cache_control = "table", effort = "string", max_tokens = "number", metadata = "table",
  service_tier = "string", temperature = "number", thinking = "table", top_k = "number",
  top_p = "number",
}

-- ---- messages ------------------------------------------------------------------------

local function image_block(part)
  if part.url then
    return { type = "image", source = { type = "url", url = part.url } }
  end
  return { type = "image", source = {
    type = "base64", media_type = part.mime_type, data = part.base64,
  } }
end

local function blocks_of(content)
  local blocks = parts.of(content)
  for i, part in ipairs(blocks) do
    if part.type == "image" and (part.url or part.base64) then blocks[i] = image_block(part) end
  end
  return blocks
end

-- An empty set of arguments is an object too.
local function tool_use(call)
  return { type = "tool_use", id = call.id, name = call.name,
    input = type(call.args) == "table" and call.args or {} }
end

local function ai_blocks(m)
  local own = parts.native(m, "anthropic")
  if own then return own end
  local blocks = blocks_of(m.content)
  for _, call in ipairs(m.tool_calls) do blocks[#blocks + 1] = tool_use(call) end
  for _, call in ipairs(m.invalid_tool_calls) do blocks[#blocks + 1] = tool_use(call) end
  return blocks
end

local function tool_blocks(m)
  return { {
    type = "tool_result", tool_use_id = m.tool_call_id, content = blocks_of(m.content),
    is_error = m.status == "error" or nil,
  } }
end

local BLOCKS = {
  ai = ai_blocks,
  tool = tool_blocks,
  human = function(m) return blocks_of(m.content) end,
}

-- Turns must alternate, and all results of one turn's tools stand in one.
local function turns_of(messages)
  local turns = {}
  for _, m in ipairs(messages) do
    local kind = parts.kind(m)
    local role = kind == "ai" and "assistant" or "user"
    local last = turns[#turns]
    if not last or last.role ~= role then
      last = { role = role, content = {} }
      turns[#turns + 1] = last
    end
    for _, block in ipairs((BLOCKS[kind] or BLOCKS.human)(m)) do
      last.content[#last.content + 1] = block
    end
  end
  return turns
end

local function is_bare(block)
  return block.type == "text" and block.cache_control == nil and block.citations == nil
end

-- A turn of one text is written as that text.
local function plain(turn)
  local block = turn.content[1]
  if block == nil then
    turn.content = ""
  elseif not turn.content[2] and is_bare(block) then
    turn.content = block.text
  end
  return turn
end

-- Instructions alone are what is asked.
local function split(messages)
  local system, others = parts.split_system(messages)
  if others[1] or not system then return system, others end
  return nil, messages
end

---The body of a call.
---@param messages moonpipe.Message[]
---@param tail string
---@return string
function request.body(messages, tail)
  local system, others = split(messages)
  local turns = turns_of(others)
  for i, turn in ipairs(turns) do turns[i] = plain(turn) end
  local head = '{"messages":' .. check(encode(json.array(turns)))
  if system and system ~= "" then head = head .. ',"system":' .. check(encode(system)) end
  return head .. tail
end

-- ---- parameters ------------------------------------------------------------------------

-- What the provider makes sure of it takes in few words only.
local function closed(schema)
  return require("moonpipe.schema.schema").closed(schema)
end

local function wire_tool(tool)
  local fn = tool["function"]
  if not fn then return tool end -- one of the provider's own
  local parameters = fn.parameters or { type = "object", properties = {} }
  return {
    name = fn.name, description = fn.description, strict = fn.strict,
    input_schema = fn.strict and closed(parameters) or parameters,
  }
end

local CHOICE = { auto = "auto", none = "none", required = "any" }

local function tool_choice(params)
  local given = params.tool_choice
  local choice
  if type(given) == "table" and given["function"] then
    choice = { type = "tool", name = given["function"].name }
  elseif type(given) == "table" then
    return given
  elseif given or params.parallel_tool_calls == false then
    choice = { type = CHOICE[given or "auto"] or errors.usage(("tool_choice '%s' of ChatAnthropic"
      .. " is none of 'auto', 'none', 'required'"):format(errors.text(given))) }
  end
  if params.parallel_tool_calls == false and choice.type ~= "none" then
    choice.disable_parallel_tool_use = true
  end
  return choice
end

local function output_config(params)
  local format = params.response_format
  if format and format.type ~= "json_schema" then
    errors.raise("unsupported", ("ChatAnthropic has no response format '%s'; give a schema"):format(
      errors.text(format.type)))
  end
  if not format and not params.effort then return nil end
  return {
    effort = params.effort,
    format = format and { type = "json_schema", schema = closed(format.json_schema.schema) },
  }
end

local function longest(params)
  if params.max_tokens then return params.max_tokens end
  local budget = params.thinking and params.thinking.budget_tokens
  return MAX_TOKENS + (budget or 0)
end

local function tools_of(list)
  if not list then return nil end
  local tools = {}
  for i, tool in ipairs(list) do tools[i] = wire_tool(tool) end
  return tools[1] and tools
end

---The members of a request besides its messages.
---@param params table
---@param is_stream boolean
---@return table
function request.wire(params, is_stream)
  local stop = params.stop
  return {
    model = params.model,
    max_tokens = longest(params),
    stop_sequences = type(stop) == "string" and { stop } or stop,
    temperature = params.temperature,
    top_p = params.top_p,
    top_k = params.top_k,
    thinking = params.thinking,
    metadata = params.metadata,
    service_tier = params.service_tier,
    cache_control = params.cache_control,
    tools = tools_of(params.tools),
    tool_choice = tool_choice(params),
    output_config = output_config(params),
    stream = is_stream or nil,
  }
end

return request
