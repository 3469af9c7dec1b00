--- What of a long conversation a model is given: its end, or its beginning, as far as it fits.
--
-- A system message at its beginning stays. What is kept never begins with the answer of a tool
-- whose call was cut off, nor ends with a call whose answers were.
local errors = require "moonpipe.error"
local joined = require("moonpipe.histories.history").joined
local lambda = require "moonpipe.steps.lambda"
local message = require "moonpipe.messages.message"
local tools = require "moonpipe.messages.tools"

local trim = {}

local OPTIONS = {
  "allow_partial", "end_on", "include_system", "max_messages", "max_tokens", "start_on", "strategy",
  "text_splitter", "token_counter",
}

local function check_count(opts, key)
  local value = opts[key]
  if value ~= nil and (type(value) ~= "number" or value < 1 or value ~= math.floor(value)) then
    errors.usage(("%s of trim is %s; it must be a whole number from 1"):format(key,
      errors.shape(value)))
  end
end

local function check_function(opts, key, what)
  if opts[key] ~= nil and type(opts[key]) ~= "function" then
    errors.usage(("%s of trim takes a function of a %s, got %s"):format(key, what,
      errors.shape(opts[key])))
  end
end

local function roles(value)
  return type(value) == "table" and value or { value }
end

local function check_roles(opts, key)
  for _, role in ipairs(roles(opts[key])) do
    if not message.class_of_role(role) then
      errors.usage(("%s of trim is %s; it must be a role, such as 'human'"):format(key,
        type(role) == "string" and "'" .. role .. "'" or errors.shape(role)))
    end
  end
end

local function check_strategy(opts)
  local value = opts.strategy
  if value ~= nil and value ~= "first" and value ~= "last" then
    errors.usage(("strategy of trim is %s; it must be 'last' or 'first'"):format(
      type(value) == "string" and "'" .. value .. "'" or errors.shape(value)))
  end
  if value ~= "first" then return end
  for _, key in ipairs { "include_system", "start_on" } do
    if opts[key] then errors.usage(key .. " of trim goes with strategy 'last'") end
  end
end

local function check(opts)
  opts = errors.options(opts, OPTIONS, "trim")
  check_count(opts, "max_messages")
  check_count(opts, "max_tokens")
  if not (opts.max_messages or opts.max_tokens) then
    errors.usage("trim needs max_messages or max_tokens")
  end
  if opts.token_counter ~= "approximate" then
    check_function(opts, "token_counter", "message or 'approximate'")
  end
  check_function(opts, "text_splitter", "text")
  check_roles(opts, "start_on")
  check_roles(opts, "end_on")
  check_strategy(opts)
  return opts
end

-- ---- what fits ------------------------------------------------------------------------------

---@class moonpipe.TrimOptions
---@field max_messages integer?
---@field max_tokens integer?
---@field strategy "last"|"first"|nil  which end is kept; the last
---@field token_counter (fun(one: moonpipe.Message): number)|"approximate"|nil  default: about a
---  token for 4 bytes, which is count_tokens_approximately
---@field include_system boolean?  keeps a system message at the beginning; true
---@field start_on string|string[]|nil  the role of the first that is kept
---@field end_on string|string[]|nil    the role of the last that is kept
---@field allow_partial boolean?  of a message that does not fit, the lines (or blocks) that do
---@field text_splitter (fun(text: string): string[])?  default: lines

---@class moonpipe.TrimBudget  what is left
---@field room number
---@field tokens number
---@field count (fun(one: moonpipe.Message): number)?

local function counter_of(opts)
  local counter = opts.token_counter
  if type(counter) ~= "function" then return tools.count_tokens_approximately end
  return function(one)
    local count = counter(one)
    if type(count) ~= "number" then
      errors.raise("input", "token_counter of trim gave " .. errors.shape(count)
        .. ", not a number; it is called with one message")
    end
    return count
  end
end

local function budget_of(opts)
  return {
    room = opts.max_messages or math.huge,
    tokens = opts.max_tokens or math.huge,
    count = opts.max_tokens and counter_of(opts),
  }
end

-- Takes a message out of the budget; false where it does not fit.
local function spend(budget, one, anyhow)
  local cost = budget.count and budget.count(one) or 0
  if not anyhow and (budget.room < 1 or cost > budget.tokens) then return false end
  budget.room, budget.tokens = budget.room - 1, budget.tokens - cost
  return true
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]*\n?") do
    if line ~= "" then lines[#lines + 1] = line end
  end
  return lines
end

-- The message with [count] of its pieces, from its end or its beginning.
local function with_pieces(one, pieces, count, from_end)
  local first = from_end and #pieces - count + 1 or 1
  local copy = {}
  for key, field in next, one do copy[key] = field end
  if type(one.content) == "string" then
    copy.content = table.concat(pieces, "", first, first + count - 1)
  else
    copy.content = { unpack(pieces, first, first + count - 1) }
  end
  return setmetatable(copy, getmetatable(one))
end

-- As much of a message as fits; nil for nothing.
local function part_of(one, opts, budget, from_end)
  if not (opts.allow_partial and budget.count) or budget.room < 1 then return nil end
  local content = one.content
  local pieces = type(content) == "string" and (opts.text_splitter or lines_of)(content) or content
  local low, high = 0, #pieces - 1
  while low < high do
    local middle = math.ceil((low + high) / 2)
    local fits = budget.count(with_pieces(one, pieces, middle, from_end)) <= budget.tokens
    if fits then low = middle else high = middle - 1 end
  end
  return low > 0 and with_pieces(one, pieces, low, from_end) or nil
end

-- ---- which end ---------------------------------------------------------------------------------

local function has_role(one, wanted)
  for _, role in ipairs(roles(wanted)) do
    if one.type == message.class_of_role(role).type then return true end
  end
  return false
end

local function may_begin(opts, one)
  if opts.start_on then return has_role(one, opts.start_on) end
  return one.type ~= "tool"
end

-- The members of [list] up to the last that has the role.
local function until_role(list, wanted)
  while wanted and list[1] and not has_role(list[#list], wanted) do list[#list] = nil end
  return list
end

-- The messages from the end on that fit, the last first.
local function fitting(list, opts, budget)
  local out = {}
  for i = #list, 1, -1 do
    if not spend(budget, list[i]) then
      out[#out + 1] = part_of(list[i], opts, budget, true)
      break
    end
    out[#out + 1] = list[i]
  end
  return out
end

local function keep_last(list, opts)
  local out, budget = {}, budget_of(opts)
  if list[1] and list[1].type == "system" and opts.include_system ~= false then
    out[1] = table.remove(list, 1)
    spend(budget, out[1], true)
  end
  local kept = fitting(until_role(list, opts.end_on), opts, budget)
  local begun = false
  for i = #kept, 1, -1 do
    begun = begun or may_begin(opts, kept[i])
    if begun then out[#out + 1] = kept[i] end
  end
  return out
end

-- Takes a call away whose answers were cut off, with those that were not.
local function drop_unanswered(out)
  local at = #out
  while out[at] and out[at].type == "tool" do at = at - 1 end
  local calls = out[at] and rawget(out[at], "tool_calls")
  if not calls or #calls <= #out - at then return end
  for i = #out, at, -1 do out[i] = nil end
end

local function keep_first(list, opts)
  local out, budget = {}, budget_of(opts)
  for i = 1, #list do
    if not spend(budget, list[i]) then
      out[i] = part_of(list[i], opts, budget, false)
      break
    end
    out[i] = list[i]
  end
  if not opts.end_on and #out < #list then drop_unanswered(out) end
  return until_role(out, opts.end_on)
end

local function cut(list, opts)
  list = joined(message.coerce_list(list))
  return opts.strategy == "first" and keep_first(list, opts) or keep_last(list, opts)
end

local function is_options(value)
  return type(value) == "table" and getmetatable(value) == nil and value[1] == nil
    and value.role == nil and next(value) ~= nil
end

---The end of [list] that fits (or its beginning), a list of its own. With options alone it
---gives a step: `prompt | mp.trim_messages { max_tokens = 3000 } | model`.
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
