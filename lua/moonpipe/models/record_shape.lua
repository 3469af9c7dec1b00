--- Records of a stream that differ from one another in one text alone.
--
-- Of such a record what stands before the text and what stands behind it are
-- remembered; the text of a record with the same two is then known without the
-- record being decoded, which costs a tenth. Sound because the key of the text
-- occurs once in the record, and because a text without quotes and backslashes
-- ends where it seems to.
local shape = {}

local QUOTE = ('"'):byte()
local MAX_MISSES = 16 -- then the records are not of the kind that is hoped for

---@class moonpipe.RecordShape
---@field key { name: string, pattern: string }  `"key"`, and what finds `"key":"`
---@field before string?
---@field behind string?
---@field misses integer     in a row
local Shape = {}
local mt = { __name = "moonpipe.RecordShape", __index = Shape }

local keys = {} -- what all shapes of one key share

---@param key string  of the text; letters only
---@return moonpipe.RecordShape
function shape.new(key)
  local known = keys[key]
  if not known then
    known = { name = ('"%s"'):format(key), pattern = ('"%s": ?"'):format(key) }
    keys[key] = known
  end
  return setmetatable({ key = known, misses = 0 }, mt)
end

---Remembers a record, in which [text], just decoded, is the only thing of note.
---@param data string
---@param text string
function Shape:learn(data, text)
  self.before = nil
  self.misses = self.misses + 1
  if self.misses > MAX_MISSES then return end
  local _, last = data:find(self.key.pattern)
  if not last or data:find(self.key.name, last, true) then return end
  local behind = data:sub(last + #text + 1)
  if data:sub(last + 1, last + #text) ~= text or behind:byte() ~= QUOTE then return end
  self.before, self.behind = data:sub(1, last), behind
end

---The text of a record that differs in it alone from the one remembered; nil of any
---other.
---@param data string
---@return string?
function Shape:text(data)
  local before, behind = self.before, self.behind
  if not before then return nil end
  local from, to = #before + 1, #data - #behind
  if from > to or data:sub(1, from - 1) ~= before or data:sub(to + 1) ~= behind then
    return nil
  end
  local text = data:sub(from, to)
  if text:find('[%c"\\]') then return nil end
  self.misses = 0
  return text
end

return shape
