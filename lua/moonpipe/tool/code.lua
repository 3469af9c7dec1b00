--- The fenced blocks of code in an answer.
local code = {}

-- The mark of a line that opens or closes a fence: its indent, its run of one character, the rest.
local function fence_of(line)
  local indent, mark, rest = line:match("^( ? ? ?)(```+)([^`]*)$")
  if not mark then indent, mark, rest = line:match("^( ? ? ?)(~~~+)(.*)$") end
  return mark, rest, indent
end

local function closes(line, opened)
  local mark, rest = fence_of(line)
  return mark and mark:sub(1, 1) == opened:sub(1, 1) and #mark >= #opened and not rest:find("%S")
end

---The contents of the blocks, in order. One that is not closed goes to the end of the text.
---@param text string
---@return string[]
function code.blocks(text)
  local list, opened, lines, indent = {}, nil, nil, nil
  for line in (text:gsub("\r\n", "\n") .. "\n"):gmatch("([^\n]*)\n") do
    if not opened then
      local mark, _, spaces = fence_of(line)
      if mark then opened, lines, indent = mark, {}, "^" .. (" ?"):rep(#spaces) end
    elseif closes(line, opened) then
      list[#list + 1], opened = table.concat(lines, "\n"), nil
    else
      lines[#lines + 1] = (line:gsub(indent, "", 1))
    end
  end
  if opened then list[#list + 1] = table.concat(lines, "\n") end
  return list
end

return code
