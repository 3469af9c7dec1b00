--- The output parser for JSON.
local answer = require "moonpipe.answer"
local chunk = require "moonpipe.chunk"
local parser = require "moonpipe.parser"

local text_of = parser.text_of

---@class moonpipe.JsonOutputParser: moonpipe.Runnable
local JsonOutputParser, json_parser = parser.define("JsonOutputParser", "Return a JSON object.")

-- What the whole text gives, or the error that it is.
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
local function last_chunk(self, parts, shown)
  if #parts == 0 then
    return nil
  end
  local value = self:_judge(table.concat(parts))
  if not answer.same(value, shown) then
    return whole(value)
  end
end

function json_parser:_transform(source)
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
        return whole(value)
      end
    end
    ended = true
    return last_chunk(self, parts, shown)
  end
end

return { JsonOutputParser = JsonOutputParser }
