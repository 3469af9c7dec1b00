--- What of a long conversation a model is given: its end, as far as it fits.
--
-- A system message at its beginning stays. What is kept never begins with the answer of a tool
-- whose call was cut off.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local lambda = require "moonpipe.lambda"
local message = require "moonpipe.message"

local trim = {}

local OPTIONS = { "include_system", "max_messages", "max_tokens", "start_on", "token_counter" }

-- What is counted where nobody counts better: four bytes a token, and three for each message.
local BYTES_A_TOKEN, TOKENS_A_MESSAGE = 4, 3

---About how many tokens a message is.
---@param one moonpipe.Message
---@return integer
function trim.count_tokens_approximately(one)
  local bytes = #one.type + #message.text(one) + #(one.name or "")
  local calls = rawget(one, "tool_calls")
  for _, call in ipairs(calls or {}) do
    local ok, args = pcall(json.encode, call.args)
    bytes = bytes + #(call.name or "") + (ok and #args or 0)
  end
  return math.ceil(bytes / BYTES_A_TOKEN) + TOKENS_A_MESSAGE
end

local function check_count(opts, key)
  local value = opts[key]
  if value ~= nil and (type(value) ~= "number" or value < 1 or value ~= math.floor(value)) then
    errors.usage(("%s of trim is %s; it must be a whole number from 1"):format(key,
      errors.shape(value)))
  end
end

local function check(opts)
  opts = errors.options(opts, OPTIONS, "trim")
  check_count(opts, "max_messages")
  check_count(opts, "max_tokens")
  if not (opts.max_messages or opts.max_tokens) then
    errors.usage("trim needs max_messages or max_tokens")
  end
  if opts.token_counter ~= nil and type(opts.token_counter) ~= "function" then
    errors.usage("token_counter of trim takes a function of a message, got "
      .. errors.shape(opts.token_counter))
  end
  if opts.start_on ~= nil and not message.class_of_role(opts.start_on) then
    errors.usage(("start_on of trim is %s; it must be a role, such as 'human'"):format(
      type(opts.start_on) == "string" and "'" .. opts.start_on .. "'" or
        errors.shape(opts.start_on)))
  end
  return opts
end

local function may_begin(opts, one)
  if opts.start_on then return one.type == message.class_of_role(opts.start_on).type end
  return one.type ~= "tool"
end

-- The first of the messages from [first] on that fit with all behind them.
local function first_that_fits(opts, list, first, room, tokens)
  local count = opts.token_counter or trim.count_tokens_approximately
  local start = #list + 1
  for i = #list, first, -1 do
    room = room - 1
    tokens = opts.max_tokens and tokens - count(list[i]) or tokens
    if room < 0 or tokens < 0 then break end
    start = i
  end
  return start
end

---@class moonpipe.TrimOptions
---@field max_messages integer?
---@field max_tokens integer?
---@field token_counter (fun(one: moonpipe.Message): number)?  default: about a token for 4 bytes
---@field include_system boolean?  keeps a system message at the beginning; true
---@field start_on string?  the role of the first that is kept

local function cut(list, opts)
  list = message.coerce_list(list)
  local out, first = {}, 1
  local room, tokens = opts.max_messages or math.huge, opts.max_tokens or math.huge
  if list[1] and list[1].type == "system" and opts.include_system ~= false then
    out[1], first, room = list[1], 2, room - 1
    tokens = opts.max_tokens
      and tokens - (opts.token_counter or trim.count_tokens_approximately)(list[1]) or tokens
  end
  local start = first_that_fits(opts, list, first, room, tokens)
  while list[start] and not may_begin(opts, list[start]) do start = start + 1 end
  for i = start, #list do out[#out + 1] = list[i] end
  return out
end

local function is_options(value)
  return type(value) == "table" and getmetatable(value) == nil and value[1] == nil
    and value.role == nil and next(value) ~= nil
end

---The end of [list] that fits, a list of its own. With options alone it gives a step:
---`prompt | mp.trim_messages { max_tokens = 3000 } | model`.
---@param list moonpipe.Message[]|moonpipe.TrimOptions
---@param opts moonpipe.TrimOptions?
---@return moonpipe.Message[]|moonpipe.RunnableLambda
function trim.trim_messages(list, opts)
  if opts == nil and is_options(list) then
    opts = check(list)
    return lambda.RunnableLambda(function(given) return cut(given, opts) end,
      { name = "trim_messages" })
  end
  return cut(list, check(opts))
end

---What an option `trim` means: a function of the messages, or nil.
---@param value table|function|nil
---@return (fun(list: moonpipe.Message[]): moonpipe.Message[])?
function trim.of(value)
  if value == nil then return nil end
  if type(value) == "function" then
    return function(list) return message.coerce_list(value(list)) end
  end
  if type(value) ~= "table" then
    errors.usage("trim takes a table of limits or a function, got " .. errors.shape(value))
  end
  check(value)
  return function(list) return cut(list, value) end
end

return trim
