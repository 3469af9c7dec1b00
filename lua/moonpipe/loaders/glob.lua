--- Names of files as shells write them: `*`, `?`, `[a-z]`, `{a,b}`, and `**` for any folders.
local errors = require "moonpipe.error"

local glob = {}

-- A set such as [a-z] or [!.] at [at]; nil where the bracket is only a bracket.
local function set_at(text, at)
  local negated, body, after = text:match("^%[([!^]?)(%]?[^%]]*)%]()", at)
  if not body or body == "" then return nil end
  return "[" .. (negated ~= "" and "^/" or "") .. body:gsub("[%%%^%]]", "%%%0") .. "]", after
end

-- The Lua pattern of one part of a path.
local function pattern_of(part)
  local out, at = { "^" }, 1
  while at <= #part do
    local c, after = part:sub(at, at), at + 1
    if c == "*" then
      while part:sub(after, after) == "*" do after = after + 1 end
      out[#out + 1] = ".*"
    elseif c == "?" then
      out[#out + 1] = "[^\128-\191][\128-\191]*"
    else
      local set, behind = nil, nil
      if c == "[" then set, behind = set_at(part, at) end
      out[#out + 1] = set or c:gsub("%W", "%%%0")
      after = behind or after
    end
    at = after
  end
  out[#out + 1] = "$"
  return table.concat(out)
end

local ANY = {} -- what `**` stands for

local function split(path)
  local parts = {}
  for part in path:gmatch("[^/]+") do parts[#parts + 1] = part end
  return parts
end

-- "a{b,c}" as { "ab", "ac" }.
local function alternatives(text, out)
  local before, body, behind = text:match("^(.-)(%b{})(.*)$")
  if not body then
    out[#out + 1] = text
    return out
  end
  for one in (body:sub(2, -2) .. ","):gmatch("([^,]*),") do
    alternatives(before .. one .. behind, out)
  end
  return out
end

local function compile(text, out)
  for _, one in ipairs(alternatives(text, {})) do
    local parts = {}
    if not one:find("/", 1, true) then parts[1] = ANY end -- a name, at any depth
    for _, part in ipairs(split(one)) do
      parts[#parts + 1] = part == "**" and ANY or pattern_of(part)
    end
    out[#out + 1] = parts
  end
end

-- Whether names[j..] are what parts[i..] say.
local function fits(parts, i, names, j)
  local part = parts[i]
  if part == nil then return j > #names end
  if part == ANY then
    for from = j, #names + 1 do
      if fits(parts, i + 1, names, from) then return true end
    end
    return false
  end
  return j <= #names and names[j]:find(part) ~= nil and fits(parts, i + 1, names, j + 1)
end

---A function that tells whether a path is one of those that the globs name. A glob without a slash
---names files and folders at any depth.
---@param globs string|string[]
---@param what string  whose they are
---@return fun(path: string): boolean
function glob.matcher(globs, what)
  local list, compiled = type(globs) == "string" and { globs } or globs, {}
  errors.list(list, what)
  for i, one in ipairs(list) do
    if type(one) ~= "string" or one == "" then
      errors.usage(("item %d of %s is %s; it must be a glob such as \"**/*.md\""):format(i, what,
        errors.shape(one)))
    end
    compile(one, compiled)
  end
  return function(path)
    local names = split(path)
    for _, parts in ipairs(compiled) do
      if fits(parts, 1, names, 1) then return true end
    end
    return false
  end
end

return glob
