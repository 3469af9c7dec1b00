--- What ChatGoogleGenerativeAI sends: messages and parameters as the JSON of Gemini.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local parts = require "moonpipe.messages.parts"

local encode, check = native.c.json_encode, native.check

local request = {}

--- Parameters that are options of the model too, with their types.
request.TYPES = {
  cached_content = "string", frequency_penalty = "number", max_tokens = "number",
  presence_penalty = "number", safety_settings = "table", seed = "number",
  temperature = "number", thinking_config = "table", top_k = "number", top_p = "number",
}

-- ---- messages ------------------------------------------------------------------------

local function part_of(part)
  if part.type == "text" then return { text = part.text } end
  if part.base64 then return { inlineData = { mimeType = part.mime_type, data = part.base64 } } end
  if part.url then return { fileData = { fileUri = part.url } } end
  return part -- the provider's own
end

local function parts_of(content)
  local list = parts.of(content)
  for i, part in ipairs(list) do list[i] = part_of(part) end
  return list
end

local function ai_parts(m)
  local own = parts.native(m, "google")
  if own then return own end
  local list = parts_of(m.content)
  for _, call in ipairs(m.tool_calls) do
    list[#list + 1] = { functionCall = { name = call.name, args = call.args } }
  end
  return list
end

-- A result names its function; messages name the call.
local function name_of(m, before)
  return parts.tool_name(m, before) or errors.raise("input",
    ("no call before the tool message has the id '%s'"):format(errors.text(m.tool_call_id)))
end

-- The id of the call, where it is the provider's.
local function id_of(m, before)
  for i = #before, 1, -1 do
    for _, part in ipairs(parts.native(before[i], "google") or {}) do
      local call = part.functionCall
      if call and call.id == m.tool_call_id then return call.id end
    end
  end
end

local function tool_parts(m, before)
  local said = m.status == "error" and "error" or "output"
  return { { functionResponse = {
    id = id_of(m, before), name = name_of(m, before), response = { [said] = m:text() },
  } } }
end

local function turn_parts(m, kind, before)
  if kind == "ai" then return ai_parts(m) end
  if kind == "tool" then return tool_parts(m, before) end
  return parts_of(m.content)
end

-- Turns must alternate, and all results of one turn's functions stand in one.
local function turns_of(messages)
  local turns, before = {}, {}
  for _, m in ipairs(messages) do
    local kind = parts.kind(m)
    local role = kind == "ai" and "model" or "user"
    local last = turns[#turns]
    if not last or last.role ~= role then
      last = { role = role, parts = json.array {} }
      turns[#turns + 1] = last
    end
    for _, part in ipairs(turn_parts(m, kind, before)) do
      last.parts[#last.parts + 1] = part
    end
    before[#before + 1] = m
  end
  return turns
end

---The body of a call.
---@param messages moonpipe.Message[]
---@param tail string
---@return string
function request.body(messages, tail)
  local system, others = parts.split_system(messages)
  local head = '{"contents":' .. check(encode(json.array(turns_of(others))))
  if system and system ~= "" then
    head = head .. ',"systemInstruction":' .. check(encode { parts = { { text = system } } })
  end
  return head .. tail
end

-- ---- parameters ------------------------------------------------------------------------

local function tools_of(list)
  local tools, declared = {}, {}
  for _, tool in ipairs(list or {}) do
    local fn = tool["function"]
    if fn then
      declared[#declared + 1] = { name = fn.name, description = fn.description,
        parametersJsonSchema = fn.parameters }
    else
      tools[#tools + 1] = tool -- the provider's own: { google_search = {} }
    end
  end
  if declared[1] then table.insert(tools, 1, { functionDeclarations = declared }) end
  return tools[1] and tools
end

local MODE = { auto = "AUTO", none = "NONE", required = "ANY" }

local function tool_config(choice)
  if not choice then return nil end
  local fn = type(choice) == "table" and choice["function"]
  if type(choice) == "table" and not fn then return choice end
  local mode = fn and "ANY" or MODE[choice] or errors.usage(("tool_choice '%s' of"
    .. " ChatGoogleGenerativeAI is none of 'auto', 'none', 'required'"):format(
    errors.text(choice)))
  return { functionCallingConfig = {
    mode = mode, allowedFunctionNames = fn and { fn.name } or nil,
  } }
end

local function generation_config(params)
  local stop, format = params.stop, params.response_format
  local config = {
    temperature = params.temperature,
    topP = params.top_p,
    topK = params.top_k,
    maxOutputTokens = params.max_tokens,
    stopSequences = type(stop) == "string" and { stop } or stop,
    seed = params.seed,
    presencePenalty = params.presence_penalty,
    frequencyPenalty = params.frequency_penalty,
    thinkingConfig = params.thinking_config,
    responseMimeType = format and "application/json" or nil,
    responseJsonSchema = format and format.json_schema and format.json_schema.schema,
  }
  return next(config) and config
end

---The members of a request besides its messages; the model is in the path. Calls are
---parallel or not as the model likes: there is no word for it.
---@param params table
---@return table
function request.wire(params)
  return {
    generationConfig = generation_config(params),
    tools = tools_of(params.tools),
    toolConfig = tool_config(params.tool_choice),
    safetySettings = params.safety_settings,
    cachedContent = params.cached_content,
  }
end

return request
