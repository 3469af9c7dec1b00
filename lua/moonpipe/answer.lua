--- Finds the JSON in what a model wrote: alone, or in a code fence with words around it.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

local answer = {}

local function try(text)
  local ok, value = pcall(json.decode, text)
  if ok then
    return true, value
  end
  return false, errors.is(value) and value.message or tostring(value)
end

-- Behind the three backticks and the name of the language.
local function fence_begin(text)
  local _, last = text:find("```", 1, true)
  if not last then
    return nil
  end
  local named = text:match("^%a[%w_+-]*()%s", last + 1) or text:match("^json()", last + 1)
  return named or last + 1
end

-- A string in the JSON may hold a fence of its own, so each end is tried until one fits.
local function in_fence(text, from)
  local at, ok, value = from, nil, nil
  repeat
    local stop = text:find("```", at, true)
    local done, result = try(text:sub(from, stop and stop - 1 or -1))
    if done or ok == nil then
      ok, value = done, result
    end
    at = stop and stop + 3
  until ok or not at
  return ok, value
end

--- The value that an answer gives as JSON. Raises kind `decode` with the whole answer in `partial`
--- where there is none, or only half of one.
---@param text string
---@return any
function answer.decode(text)
  if not text:find("%S") then
    errors.raise("decode", "the answer is empty, not JSON", { partial = text })
  end
  local ok, value = try(text)
  if ok then
    return value
  end
  local from = fence_begin(text)
  if from then
    ok, value = in_fence(text, from)
  end
  if not ok then
    errors.raise("decode", "the answer is not JSON: " .. value, { partial = text })
  end
  return value
end

-- A value so far costs what is open in it. Each piece earns what it is worth, and a value is made
-- when the last one is earned: all together are linear in the length of the answer. Of answers
-- with less than this open at a time each piece shows.
local EARNED_BY_PIECE, EARNED_BY_BYTE = 32, 4

---@class moonpipe.AnswerReader  reads an answer while it arrives
---@field decoder table?  while there is something to hope for
---@field earned integer  since the last value, in the decoder's units of work
---@field cost integer    of the last value
---@field work integer    of all values
---@field shown table?    the last value
local Reader = {}
local reader_mt = { __name = "moonpipe.AnswerReader", __index = Reader }

--- A reader for one answer. It shows tables and lists as they grow; a text or a number at the top
--- is known when the answer has ended.
---@return moonpipe.AnswerReader
function answer.reader()
  return setmetatable({
    decoder = json.decoder(), held = "", state = "blank", earned = 0, cost = 0, work = 0,
  }, reader_mt)
end

-- What is before the JSON: blanks ("blank"), words until a fence ("words"), the fence's first line
-- ("fence"). Gives the text from the first bracket on, nil while there is none.
local function skip(self, text)
  text = self.held .. text
  if self.state == "blank" then
    local first = text:match("^%s*(%S)")
    if first == "{" or first == "[" then
      return text
    end
    self.state = first and "words" or "blank"
  end
  if self.state == "words" then
    local _, last = text:find("```", 1, true)
    self.held = last and "" or text:sub(-2)
    if not last then
      return nil
    end
    self.state, text = "fence", text:sub(last + 1)
  end
  local from = self.state == "fence" and text:find("[%[{]")
  return from and text:sub(from) or nil
end

local unchanged

local function members_unchanged(earlier, later)
  for key, value in pairs(later) do
    if earlier[key] == nil or not unchanged(earlier[key], value) then
      return false
    end
  end
  return true
end

-- Whether a value grew: what was closed in the earlier one is shared by the later one, and of a
-- list only the last member can be open.
function unchanged(earlier, later)
  if earlier == later or type(earlier) ~= "table" or type(later) ~= "table" then
    return earlier == later
  elseif json.is_array(later) then
    local count = #later
    return count == #earlier and unchanged(earlier[count], later[count])
  end
  return members_unchanged(earlier, later)
end

-- The value so far, where it is time for one and it says more than the last.
local function value_of(self, decoder, text)
  self.earned = self.earned + EARNED_BY_PIECE + EARNED_BY_BYTE * #text
  if self.earned < self.cost then
    return nil
  end
  local value, work = decoder:value(), decoder:work()
  self.earned, self.cost, self.work = 0, work, self.work + work
  if value == nil or self.shown ~= nil and unchanged(self.shown, value) then
    return nil
  end
  self.shown = value
  return value
end

--- Takes more text; gives the value so far, nil where it says no more than the last, or not more
--- than is worth telling. Values given before do not change.
---@param text string
---@return table?
function Reader:feed(text)
  local decoder = self.decoder
  if not decoder then
    return nil
  elseif self.state ~= "inside" then
    text = skip(self, text)
    if not text then
      return nil
    end
    self.state = "inside"
  end
  -- what does not parse is judged at the end, over the whole answer
  if not pcall(decoder.feed, decoder, text) then
    self.decoder = nil
    return nil
  end
  return value_of(self, decoder, text)
end

local same

local function same_members(a, b)
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

function same(a, b)
  if a == b then
    return true
  end
  return type(a) == "table" and type(b) == "table" and same_members(a, b)
end

--- True where two JSON values are equal.
---@param a any
---@param b any
---@return boolean
function answer.same(a, b)
  return same(a, b)
end

return answer
