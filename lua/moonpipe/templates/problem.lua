--- What is wrong with a text that is no template, and where.
local problems = {}

local NAME = "^[%a_\128-\255][%w_\128-\255]*$"

--- Line and column from 1; columns count characters, not bytes.
---@return integer line, integer column
function problems.position(text, at)
  local line, start = 1, 1
  for newline in text:gmatch("()\n") do
    if newline >= at then
      break
    end
    line, start = line + 1, newline + 1
  end
  local _, continued = text:sub(start, at - 1):gsub("[\128-\191]", "")
  return line, at - start - continued + 1
end

local function quoted(inner, stop)
  if #inner > 40 then
    inner, stop = inner:sub(1, 40):gsub("[\128-\255]*$", ""), "…"
  end
  return "'{" .. inner:gsub("\n", "\\n") .. stop .. "'"
end

--- Why `{inner` + [stop] ("{", "}" or "" at the end of the text) is no variable.
---@return string
function problems.of(inner, stop)
  local name = inner:match("^%s*(.-)%s*$")
  if stop == "" or stop == "{" and (name == "" or name:find(NAME)) then
    return "'{' is never closed"
  end
  local whole = quoted(inner, stop)
  if stop == "{" then
    return whole .. " does not begin a variable"
  elseif name == "" then
    return whole .. " names no variable"
  elseif name:find("^%d+$") then
    return whole .. " is a position; variables have names"
  elseif name:find(NAME) then
    return whole .. " has spaces in it; a variable is written {" .. name .. "}"
  end
  local base, rest = name:match("^([%w_\128-\255]+)%s*([.%[!:])")
  if not base then
    return whole .. " is not a variable"
  elseif rest == "." or rest == "[" then
    return whole .. " reaches into a value; templates insert whole variables, so make it one"
  end
  return whole .. " has a format; templates insert values as they are, so format it before"
end

return problems
