--- Runs a generated program over objects that record what is done to them.
--
-- As a script under lua5.4, whose `|` is native, it writes the records of many
-- seeds: `lua5.4 spec/pipe/oracle.lua FIRST LAST`. As a module it gives the same
-- under any `load`.

-- The log of a program that runs away is cut at the same place in both.
local LOG_MAX, TREE_MAX = 500, 120

local oracle = { separator = "\n=====\n" }

local function checksum(text)
  local sum = 7
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 1000000007 end
  return sum
end

local function new_world()
  local log, mt = {}, {}

  local function make(tree)
    if #tree > TREE_MAX then tree = ("<%d>"):format(checksum(tree)) end
    return setmetatable({ tree = tree }, mt)
  end

  local function describe(value, depth)
    if getmetatable(value) == mt then return rawget(value, "tree") end
    if type(value) == "string" then return "'" .. value .. "'" end
    if type(value) == "function" then return "function" end
    if type(value) ~= "table" then return tostring(value) end
    local list = {}
    for key, item in pairs(value) do
      list[#list + 1] = tostring(key) .. "=" .. (depth > 3 and "?" or describe(item, depth + 1))
    end
    table.sort(list)
    return "{" .. table.concat(list, ",") .. "}"
  end

  local function record(text)
    if #log >= LOG_MAX then error("too long", 0) end
    log[#log + 1] = text
    return text
  end

  local function operator(sign)
    return function(a, b)
      return make(record("(" .. describe(a, 0) .. sign .. describe(b, 0) .. ")"))
    end
  end

  for name, sign in pairs { __bor = "|", __concat = "..", __add = "+", __sub = "-", __mul = "*",
    __div = "/", __mod = "%", __pow = "^" } do
    mt[name] = operator(sign)
  end
  mt.__unm = function(a) return make(record("-" .. describe(a, 0))) end
  for name, sign in pairs { __eq = "==", __lt = "<", __le = "<=" } do
    mt[name] = function(a, b)
      return checksum(record(describe(a, 0) .. sign .. describe(b, 0))) % 2 == 0
    end
  end
  mt.__index = function(a, key)
    return make(record(describe(a, 0) .. "[" .. describe(key, 0) .. "]"))
  end
  mt.__call = function(a, ...)
    local list = {}
    for i = 1, select("#", ...) do list[i] = describe((select(i, ...)), 0) end
    return make(record(describe(a, 0) .. "(" .. table.concat(list, ",") .. ")"))
  end

  local function out(...)
    local list = {}
    for i = 1, select("#", ...) do list[i] = describe((select(i, ...)), 0) end
    record("out " .. table.concat(list, " "))
  end

  local function first(...)
    local value = ...
    return getmetatable(value) == mt and value or make("first")
  end

  return { o = make, out = out, first = first, ipairs = ipairs }, log
end

---What the program does, line by line.
---@param text string
---@param load_text function  like Lua's load
---@return string record
function oracle.run(text, load_text)
  local world, log = new_world()
  local fn, message = load_text(text, "=program", "t", world)
  if not fn then return "does not load: " .. message end
  local ok, failure = pcall(fn, world.o("arg1"), world.o("arg2"))
  if ok then
    pcall(world.out, "returned", failure)
  elseif failure ~= "too long" then
    log[#log + 1] = "failed: " .. tostring(failure)
  end
  return table.concat(log, "\n")
end

if arg and arg[0] and arg[0]:find("oracle%.lua$") then
  local generate = dofile((arg[0]:gsub("oracle%.lua$", "generator.lua")))
  for seed = tonumber(arg[1]), tonumber(arg[2]) do
    io.write(oracle.run(generate(seed), load), oracle.separator)
  end
end

return oracle
