--- The output parser for JSON.
local answer = require "moonpipe.answer"
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local parser = require "moonpipe.parsers.parser"
local runnable = require "moonpipe.steps.runnable"

local text_of = parser.text_of

---@class moonpipe.JsonOutputParser: moonpipe.Runnable
---@field diff boolean?
local JsonOutputParser, json_parser = parser.define("JsonOutputParser", "Return a JSON object.")

-- What the whole text gives, or the error that it is.
---With `diff = true` a stream's chunks are lists of operations of JSON Patch: each says what has
---changed since the one before, and all together make the value of nothing.
---@overload fun(opts: { diff: boolean? }?): moonpipe.JsonOutputParser
function JsonOutputParser.new(opts)
  opts = errors.options(opts, { "diff" }, "JsonOutputParser")
  if opts.diff ~= nil and type(opts.diff) ~= "boolean" then
    errors.usage("diff of JsonOutputParser must be a boolean, got " .. errors.shape(opts.diff))
  end
  return runnable.instance(JsonOutputParser, { diff = opts.diff or nil })
end

function json_parser:_judge(text)
  return answer.decode(text)
end

function json_parser:_invoke(input)
  return self:_judge(text_of(self, input))
end

-- Each chunk holds all that was known when it came; whoever collects them keeps the last.
local function whole(value)
  return type(value) == "table" and chunk.mark_whole(value) or value
end

-- The end is judged as invoke judges it, over the whole text; it is one more chunk only where it
-- brings something new.
local function last_chunk(self, parts, shown, tell)
  if #parts == 0 then
    return nil
  end
  local value = self:_judge(table.concat(parts))
  if not answer.same(value, shown) then
    return tell(value)
  end
end

-- What is told of the next value: it, or what is new in it.
local function teller(self)
  if not self.diff then return whole end
  local operations, before = require("moonpipe.parsers.json_diff").operations, nil
  return function(value)
    local ops = operations(before, value)
    before = value
    return ops
  end
end

function json_parser:_transform(source)
  local tell = teller(self)
  local parts, reader, shown, ended = {}, answer.reader(), nil, false
  return function()
    if ended then
      return nil
    end
    for piece in source do
      local text = text_of(self, piece)
      parts[#parts + 1] = text
      local value = reader:feed(text)
      if value ~= nil then
        shown = value
        return tell(value)
      end
    end
    ended = true
    return last_chunk(self, parts, shown, tell)
  end
end

return { JsonOutputParser = JsonOutputParser }
