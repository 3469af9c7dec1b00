--- The output parsers for lists with an item a line: numbered, and those of Markdown.
local parser = require "moonpipe.parsers.parser"

local text_of = parser.text_of

-- A line is read when it has ended. Of an unfinished one only the pieces are kept.
local function lines_of(source)
  local held, text, from, ended = {}, "", 1, false
  return function()
    while true do
      local stop = text:find("\n", from, true)
      if stop then
        held[#held + 1] = text:sub(from, stop - 1)
        local line = table.concat(held)
        held, from = {}, stop + 1
        return line
      elseif ended then
        return nil
      end
      held[#held + 1] = text:sub(from)
      local piece = source()
      ended = piece == nil
      text, from = ended and "\n" or piece, 1
    end
  end
end

-- The items of a stream, each a list of one.
local function items_of(self, source, item_of)
  local any, given = false, false
  local next_line = lines_of(function()
    local piece = source()
    any = any or piece ~= nil
    return piece ~= nil and text_of(self, piece) or nil
  end)
  return function()
    for line in next_line do
      local item = item_of(line)
      if item then
        given = true
        return { item }
      end
    end
    -- an answer without items is an empty list, as when invoked
    local empty = any and not given
    given = true
    return empty and {} or nil
  end
end

local function define(name, instructions, item_of)
  local Class, methods = parser.define(name, instructions)

  function methods:_output_schema()
    return { type = "array", items = { type = "string" } }
  end

  function methods:_invoke(input)
    local list = {}
    for line in (text_of(self, input) .. "\n"):gmatch("(.-)\n") do
      list[#list + 1] = item_of(line)
    end
    return list
  end

  function methods:_transform(source)
    return items_of(self, source, item_of)
  end

  return Class
end

local function trimmed(item)
  return item and item:gsub("%s+$", "") or nil
end

---@class moonpipe.NumberedListOutputParser: moonpipe.Runnable
local Numbered = define("NumberedListOutputParser",
  "Your response should be a numbered list with each item on a new line. For example:\n\n1. foo\n\n"
    .. "2. bar\n\n3. baz",
  function(line) return trimmed(line:match("^%s*[*_]*%d+[.)]%s+(.*%S.*)$")) end)

---@class moonpipe.MarkdownListOutputParser: moonpipe.Runnable
local Markdown = define("MarkdownListOutputParser",
  "Your response should be a markdown list, eg: `- foo\n- bar\n- baz`",
  function(line) return trimmed(line:match("^%s*[-*+]%s+(.*%S.*)$")) end)

return { NumberedListOutputParser = Numbered, MarkdownListOutputParser = Markdown }
