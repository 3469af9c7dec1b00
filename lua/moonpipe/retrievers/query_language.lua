--- Reads conditions as LangChain's self-query prompts ask for them:
--
--     and(eq("genre", "crime"), or(gt("year", 2000), in("lang", ["en", "de"])))
--
-- The tree has the nodes of query_form.lua.
local errors = require "moonpipe.error"

local language = {}

local DEEPEST = 32
local OPERATORS = { ["and"] = true, ["or"] = true, ["not"] = true }
local ESCAPES = { n = "\n", t = "\t", r = "\r" }

local function problem(text, at, what)
  local seen = at > #text and "the end" or ("'%s'"):format(text:match("^[^%s,()%[%]]+", at)
    or text:sub(at, at))
  errors.raise("schema", ("the filter is not readable: %s expected at byte %d, got %s"):format(what,
    at, seen))
end

local function skip(text, at)
  return text:match("^%s*()", at)
end

local function expect(text, at, byte)
  at = skip(text, at)
  if text:sub(at, at) ~= byte then problem(text, at, ("'%s'"):format(byte)) end
  return at + 1
end

-- Reads what [read] reads, with commas between, until [close]: the list and what is behind it.
local function read_list(text, at, close, read)
  local list = {}
  at = skip(text, at)
  while text:sub(at, at) ~= close do
    list[#list + 1], at = read(text, at)
    at = skip(text, at)
    if text:sub(at, at) == "," then
      at = skip(text, at + 1)
    elseif text:sub(at, at) ~= close then
      problem(text, at, ("',' or '%s'"):format(close))
    end
  end
  return list, at + 1
end

-- ---- values ------------------------------------------------------------------------------------

local function read_string(text, at)
  local quote, parts, from = text:sub(at, at), {}, at + 1
  while true do
    local stop = text:find("[\\" .. quote .. "]", from)
    if not stop then problem(text, #text + 1, quote) end
    parts[#parts + 1] = text:sub(from, stop - 1)
    if text:sub(stop, stop) == quote then return table.concat(parts), stop + 1 end
    local escaped = text:sub(stop + 1, stop + 1)
    parts[#parts + 1] = ESCAPES[escaped] or escaped
    from = stop + 2
  end
end

local WORDS = { ["true"] = true, ["false"] = false }

-- A date stands without quotes too.
local function read_word(text, at)
  local word, after = text:match("^([%w+.:_-]+)()", at)
  if not word then problem(text, at, "a value") end
  if WORDS[word:lower()] ~= nil then return WORDS[word:lower()], after end
  if word:find("^%d%d%d%d%-%d%d%-%d%d") then return word, after end
  local number = word:find("^[+-]?%.?%d") and tonumber((word:gsub("^%+", "")))
  if not number then problem(text, at, "a value") end
  return number, after
end

local function read_scalar(text, at)
  at = skip(text, at)
  if text:find("^[\"']", at) then return read_string(text, at) end
  return read_word(text, at)
end

local function read_value(text, at)
  at = skip(text, at)
  if text:sub(at, at) == "[" then return read_list(text, at + 1, "]", read_scalar) end
  return read_scalar(text, at)
end

-- ---- calls -------------------------------------------------------------------------------------

local read_call

local function read_operation(text, at, name, depth)
  local list, after = read_list(text, at, ")", function(_, from)
    return read_call(text, from, depth + 1)
  end)
  return { operator = name, arguments = list }, after
end

local function read_comparison(text, at, name)
  local attribute, value
  at = skip(text, at)
  if not text:find("^[\"']", at) then problem(text, at, "the name of an attribute in quotes") end
  attribute, at = read_string(text, at)
  value, at = read_value(text, expect(text, at, ","))
  return { comparator = name, attribute = attribute, value = value }, expect(text, at, ")")
end

function read_call(text, at, depth)
  at = skip(text, at)
  local name, after = text:match("^([%a_]+)%s*%(()", at)
  if not name then problem(text, at, "a comparison such as eq(\"name\", value)") end
  if depth > DEEPEST then
    errors.raise("schema", ("the filter is deeper than %d"):format(DEEPEST))
  end
  name = name:lower()
  if OPERATORS[name] then return read_operation(text, after, name, depth) end
  return read_comparison(text, after, name)
end

--- The tree of a text; raises kind `schema` with what is wrong, and where.
---@param text string
---@return table
function language.parse(text)
  local tree, at = read_call(text, 1, 1)
  at = skip(text, at)
  if at <= #text then problem(text, at, "the end") end
  return tree
end

return language
