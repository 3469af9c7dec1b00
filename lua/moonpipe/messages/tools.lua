--- Lists of messages made smaller: some of them, those of one speaker joined, how long they are.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local lambda = require "moonpipe.steps.lambda"
local message = require "moonpipe.messages.message"

local tools = {}

-- A table of options alone: a step is wanted, not a result.
local function is_options(list, opts)
  return opts == nil and (list == nil or type(list) == "table" and getmetatable(list) == nil
    and list[1] == nil and list.role == nil and next(list) ~= nil)
end

local function either(name, list, opts, check, fn)
  if not is_options(list, opts) then
    opts = check(opts)
    return fn(message.coerce_list(list), opts)
  end
  opts = check(list)
  return lambda.RunnableLambda(function(given) return fn(message.coerce_list(given), opts) end,
    { name = name })
end

-- Some of them ------------------------------------------------------------------------------------

local FILTERS = {
  "exclude_ids", "exclude_names", "exclude_tool_calls", "exclude_types", "include_ids",
  "include_names", "include_types",
}

-- The type that messages of a role, a class or a type's name have.
local function type_of(value, key)
  local class = type(value) == "table" and rawget(value, "instance_mt") and value
    or value == "chat" and message.ChatMessage or message.class_of_role(value)
  if not class then
    errors.usage(("%s of filter_messages has %s; it takes types such as 'human', and classes of"
      .. " messages"):format(key, type(value) == "string" and "'" .. value .. "'"
        or errors.shape(value)))
  end
  return class.type
end

local function set_of(opts, key)
  local list = opts[key]
  if list == nil then
    return nil
  elseif type(list) ~= "table" then
    errors.usage(("%s of filter_messages is %s; it must be a list"):format(key,
      errors.shape(list)))
  end
  local set = {}
  for _, value in ipairs(list) do
    set[key:find("types$") and type_of(value, key) or value] = true
  end
  return set
end

local function check_filter(opts)
  opts = errors.options(opts, FILTERS, "filter_messages")
  local sets = {}
  for _, key in ipairs(FILTERS) do
    if key ~= "exclude_tool_calls" or type(opts[key]) ~= "boolean" then
      sets[key] = set_of(opts, key)
    else
      sets[key] = opts[key] or nil
    end
  end
  return sets
end

local function in_one(one, ids, names, types)
  return ids ~= nil and one.id ~= nil and ids[one.id] == true
    or names ~= nil and one.name ~= nil and names[one.name] == true
    or types ~= nil and types[one.type] == true
end

local function without_calls(one, ids)
  local copy, calls = {}, {}
  for key, value in next, one do
    copy[key] = value
  end
  for _, call in ipairs(one.tool_calls) do
    calls[#calls + 1] = not ids[call.id or 0] and call or nil
  end
  copy.tool_calls = calls
  if type(copy.content) == "table" then
    copy.content = {}
    for _, block in ipairs(one.content) do
      local dropped = type(block) == "table" and block.id and ids[block.id]
      copy.content[#copy.content + 1] = not dropped and block or nil
    end
  end
  return calls[1] and setmetatable(copy, getmetatable(one))
end

-- The message without the calls that are excluded; nil where it is nothing but them.
local function with_calls(one, excluded)
  local calls = one.type == "ai" and one.tool_calls[1] ~= nil
  if not excluded or not calls and one.type ~= "tool" then
    return one
  elseif excluded == true then
    return nil
  elseif calls then
    return without_calls(one, excluded) or nil
  end
  return not excluded[one.tool_call_id] and one or nil
end

local function filter(list, sets)
  local out = {}
  local all = not (sets.include_ids or sets.include_names or sets.include_types)
  for _, one in ipairs(list) do
    if not in_one(one, sets.exclude_ids, sets.exclude_names, sets.exclude_types)
      and (all or in_one(one, sets.include_ids, sets.include_names, sets.include_types)) then
      out[#out + 1] = with_calls(one, sets.exclude_tool_calls)
    end
  end
  return out
end

---@class moonpipe.FilterOptions
---@field include_names string[]?  one of the three includes is enough; without any, all are in
---@field include_types (string|table)[]?  "human", "ai", …, or classes
---@field include_ids string[]?
---@field exclude_names string[]?  each of the excludes is enough
---@field exclude_types (string|table)[]?
---@field exclude_ids string[]?
---@field exclude_tool_calls boolean|string[]|nil  answers that call tools and those of tools: all,
---                                                or the calls with these ids

--- Those of the messages that the options name. With options alone it gives a step.
---@param list moonpipe.Message[]|moonpipe.FilterOptions
---@param opts moonpipe.FilterOptions?
---@return moonpipe.Message[]|moonpipe.RunnableLambda
function tools.filter_messages(list, opts)
  return either("filter_messages", list, opts, check_filter, filter)
end

-- Those of one speaker ----------------------------------------------------------------------------

local function check_merge(opts)
  opts = errors.options(opts, { "chunk_separator" }, "merge_message_runs")
  local separator = opts.chunk_separator
  if separator ~= nil and type(separator) ~= "string" then
    errors.usage(("chunk_separator of merge_message_runs is %s; it must be a string"):format(
      errors.shape(separator)))
  end
  return { separator = separator or "\n" }
end

-- The answers of tools belong to their calls, each to one.
local function same_speaker(a, b)
  return a.type == b.type and a.type ~= "tool" and a.name == b.name and a.role == b.role
end

local function copy_of(one)
  local copy = {}
  for key, value in next, one do
    copy[key] = value
  end
  return setmetatable(copy, getmetatable(one))
end

-- What a provider said of an answer is true of the first alone.
local function joined(a, b, separator)
  local left, right = copy_of(message.to_chunk(a)), copy_of(message.to_chunk(b))
  right.response_metadata = nil
  if type(left.content) == "string" and type(right.content) == "string"
    and left.content ~= "" and right.content ~= "" then
    left.content = left.content .. separator
  end
  return message.to_message(left + right)
end

local function merge(list, opts)
  local out = {}
  for _, one in ipairs(list) do
    local last = out[#out]
    if last and same_speaker(last, one) then
      out[#out] = joined(last, one, opts.separator)
    else
      out[#out + 1] = one
    end
  end
  return out
end

--- The messages with those that follow one another of one speaker (type, name and role) as one.
--- Without messages it gives a step.
---@param list moonpipe.Message[]|{ chunk_separator: string? }|nil
---@param opts { chunk_separator: string? }?  between two texts; "\n"
---@return moonpipe.Message[]|moonpipe.RunnableLambda
function tools.merge_message_runs(list, opts)
  return either("merge_message_runs", list, opts, check_merge, merge)
end

-- How long they are -------------------------------------------------------------------------------

local COUNTS = { chars_per_token = 4, extra_tokens_per_message = 3, tokens_per_image = 85 }
local COUNT_OPTIONS = { "chars_per_token", "extra_tokens_per_message", "tokens_per_image" }

local function check_counts(opts)
  opts = errors.options(opts, COUNT_OPTIONS, "count_tokens_approximately")
  local counts = {}
  for key, default in pairs(COUNTS) do
    local value = opts[key]
    if value ~= nil and (type(value) ~= "number" or value < 0 or value == 0
      and key == "chars_per_token") then
      errors.usage(("%s of count_tokens_approximately is %s; it must be a positive number"):format(
        key, errors.shape(value)))
    end
    counts[key] = value or default
  end
  return counts
end

local IMAGES = { image = true, image_url = true }

-- Bytes of text, and how many images: the bytes of an image say nothing.
local function measure(content)
  if type(content) == "string" then
    return #content, 0
  end
  local bytes, images = 0, 0
  for _, block in ipairs(content) do
    if type(block) == "string" then
      bytes = bytes + #block
    elseif IMAGES[block.type] then
      images = images + 1
    else
      local ok, text = pcall(json.encode, block)
      bytes = bytes + (block.type == "text" and #(block.text or "") or ok and #text or 0)
    end
  end
  return bytes, images
end

local function count_one(one, counts)
  local bytes, images = measure(one.content)
  bytes = bytes + #one.type + #(one.name or "") + #(one.tool_call_id or "")
  for _, call in ipairs(rawget(one, "tool_calls") or {}) do
    local ok, args = pcall(json.encode, call.args)
    bytes = bytes + #(call.name or "") + #(call.id or "") + (ok and #args or 0)
  end
  return math.ceil(bytes / counts.chars_per_token) + images * counts.tokens_per_image
    + counts.extra_tokens_per_message
end

---@class moonpipe.CountOptions
---@field chars_per_token number?           4; bytes
---@field extra_tokens_per_message number?  3
---@field tokens_per_image number?          85

--- About how many tokens messages are, or a text is: one for four bytes, and three a message.
---@param list moonpipe.Message[]|moonpipe.Message|string
---@param opts moonpipe.CountOptions?
---@return number
function tools.count_tokens_approximately(list, opts)
  local counts, sum = check_counts(opts), 0
  for _, one in ipairs(message.coerce_list(list)) do
    sum = sum + count_one(one, counts)
  end
  return sum
end

return tools
