--- Loads Lua text in which `|` joins steps: load, loadfile, dofile, require.
--
-- They behave like LuaJIT's own, but are plain Lua functions, so that a module
-- may run a chain, and wait, while it loads. Our binary puts them in the place
-- of the globals; a guest in someone else's LuaJIT uses them by name, and
-- `install_loader` (loader_guest.lua) for modules of its own.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local loader = {
  paths = {}, -- name in messages -> path, of each file that was loaded
}

-- LuaJIT's own, before anybody replaces them.
local raw = { load = load, require = require, open = io.open, stdin = io.stdin }
local loaded = package.loaded

local new_operator
-- The Ps of all texts: no names of the author's.
local operators = setmetatable({}, { __mode = "k" })

---Sets what makes the P of a text: `operator.new`, which is of a later letter.
---@param new fun(sites: table, name: string): table
function loader.set_operator(new)
  new_operator = new
end

---How LuaJIT calls a chunk in messages: it is asked, since it cuts long names.
---@param chunkname string
---@return string
function loader.display(chunkname)
  local _, message = raw.load("=", chunkname)
  return message:match("^(.*):1: ")
end

---The P of the text that messages call [name]: it has the text as it is loaded, whatever is in the
---file by now. nil where no text of that name uses `|`, or two do.
---@param name string
---@return { name: string, text: string, sites: table[] }?
function loader.piped(name)
  local found
  for p in pairs(operators) do
    if p.name == name then
      if found then return nil end
      found = p
    end
  end
  return found
end

-- LuaJIT's messages where they speak of what the author did not write.
local function explain(message)
  if type(message) ~= "string" then return message end
  if message:find("near '|'", 1, true) then
    return message .. " (one '|' joins steps; 'or' is the logical or)"
  end
  return (message:gsub("(has more than 60 upvalues)$", "%1; one that uses '|' may have 59"))
end

local function is_text_allowed(mode)
  return type(mode) ~= "string" or mode:find("t", 1, true) ~= nil
end

local function compile(text, chunkname, mode, env)
  local sites, name
  local original = text
  if is_text_allowed(mode) and text:find("|", 1, true) then
    name = loader.display(chunkname)
    local translated, result, kind = native.c.translate(text, name)
    if kind == "memory" then errors.raise(kind, result) end -- not the text's fault
    if not translated then return nil, result end
    text, sites = translated, result
  end
  local fn, message = raw.load(text, chunkname, mode, env)
  if not fn then return nil, explain(message) end
  if not sites then return fn end
  if not new_operator then error("moonpipe.operator is not loaded") end
  local p = new_operator(sites, name)
  p.text = original
  operators[p] = true
  return fn(p)
end

-- All that a reader function gives, or nil and what went wrong.
local function read_all(reader)
  local pieces = {}
  while true do
    local ok, piece = pcall(reader)
    if not ok then return nil, piece end
    if piece == nil or piece == "" then return table.concat(pieces) end
    if type(piece) ~= "string" and type(piece) ~= "number" then
      return nil, "reader function must return a string"
    end
    pieces[#pieces + 1] = piece
  end
end

---Like LuaJIT's load, for text that may use `|`.
---@async
---@param chunk string|function  the text, or a function that gives its pieces
---@param chunkname string?      "@file", "=name" or the text itself
---@param mode string?           "t", "b" or "bt"
---@param env table?
---@return function? fn
---@return string? message
function loader.load(chunk, chunkname, mode, env)
  local kind = type(chunk)
  if kind == "function" then
    local text, message = read_all(chunk)
    if not text then return nil, message end
    return compile(text, chunkname or "=(load)", mode, env)
  end
  -- LuaJIT words the complaint about any other type, and knows buffers.
  if kind ~= "string" then return raw.load(chunk, chunkname, mode, env) end
  return compile(chunk, chunkname or chunk, mode, env)
end

local function read_file(path)
  if path == nil then return raw.stdin:read("*a") end
  local file, message = raw.open(path, "rb")
  if not file then return nil, "cannot open " .. message end
  local text, failure = file:read("*a")
  file:close()
  if text then return text end
  return nil, ("cannot read %s: %s"):format(path, failure)
end

---Like LuaJIT's loadfile, for text that may use `|`.
---@param path string?  standard input if not given
---@param mode string?
---@param env table?
---@return function? fn
---@return string? message
function loader.loadfile(path, mode, env)
  local text, message = read_file(path)
  if not text then return nil, message end
  if path ~= nil then loader.paths[loader.display("@" .. path)] = path end
  return compile(text, path == nil and "=stdin" or "@" .. path, mode, env)
end

---Like LuaJIT's dofile, for text that may use `|`.
---@async
---@param path string?  standard input if not given
function loader.dofile(path)
  local fn, message = loader.loadfile(path)
  if not fn then error(message, 0) end
  return fn()
end

-- ---- require -------------------------------------------------------------------

-- The mark that LuaJIT's require leaves in package.loaded while a module loads.
-- Ours leaves the same, so that either sees a loop begun by the other.
local function find_mark()
  local name, mark = "moonpipe.loader.mark", nil
  package.preload[name] = function() mark = loaded[name] end
  raw.require(name)
  package.preload[name], loaded[name] = nil, nil
  return mark or {}
end

local LOADING = find_mark()

local function find_loader(name)
  if type(package.loaders) ~= "table" then
    error("'package.loaders' must be a table", 3)
  end
  local tried = {}
  for _, search in ipairs(package.loaders) do
    local found = search(name)
    if type(found) == "function" then return found end
    if type(found) == "string" then tried[#tried + 1] = found end
  end
  error(("module '%s' not found:%s"):format(name, table.concat(tried)), 3)
end

local tasks -- the scheduler, once there are tasks
local loading = {} -- name -> { task, waiters } of what a task loads now

---Lets a task wait for a module that another one is loading.
---@param scheduler table  moonpipe.scheduler, which is of a later letter
function loader.set_scheduler(scheduler)
  tasks = scheduler
end

-- Waits until another task has loaded [name]; false where there is none.
local function await_other(name)
  local me = tasks and tasks.current()
  if not me or not loading[name] then return false end
  return require("moonpipe.loader_wait")(name, me, loading, tasks)
end

local function run_loader(name, load_module)
  local me = tasks and tasks.current()
  if not me then return load_module(name) end
  local entry = { task = me, waiters = {} }
  loading[name] = entry
  local ok, module = pcall(load_module, name)
  loading[name] = nil
  for _, waiter in ipairs(entry.waiters) do tasks.unpark(waiter) end
  if not ok then error(module, 0) end
  return module
end

---Like LuaJIT's require; a module may wait while it loads, and who requires it
---meanwhile in another task waits for it.
---@async
---@param name string
---@return any module
function loader.require(name)
  if type(name) == "number" then name = tostring(name) end
  if type(name) ~= "string" then
    error(("bad argument #1 to 'require' (string expected, got %s)"):format(type(name)), 2)
  end
  while loaded[name] == LOADING do
    if not await_other(name) then
      error(("loop or previous error loading module '%s'"):format(name), 2)
    end
  end
  if loaded[name] then return loaded[name] end
  local load_module = find_loader(name)
  loaded[name] = LOADING
  local module = run_loader(name, load_module)
  if module ~= nil then
    loaded[name] = module
  elseif loaded[name] == LOADING then
    loaded[name] = true
  end
  return loaded[name]
end

---An entry of package.loaders: a Lua file along package.path.
---@return function|string? found  or where it looked
function loader.search_file(name)
  local path, tried = package.searchpath(name, package.path)
  if not path then return tried end
  local fn, message = loader.loadfile(path)
  if fn then return fn end
  error(("error loading module '%s' from file '%s':\n\t%s"):format(name, path, message), 0)
end

---Makes the globals of this VM understand `|`. For our own binary.
function loader.install()
  for _, name in ipairs { "load", "loadfile", "dofile", "require" } do
    _G[name] = loader[name]
  end
  _G.loadstring = loader.load
  package.loaders[2] = loader.search_file
end

-- ---- main scripts ---------------------------------------------------------------

---An environment over the globals in which reading an undefined name raises. A
---name that was assigned in it, even nil, is defined; `_G.name` asks quietly.
---@return table env
function loader.strict()
  local assigned = {}
  return setmetatable({}, {
    __index = function(_, name)
      local value = _G[name]
      if value == nil and not assigned[name] then
        require("moonpipe.loader_undefined")(name, operators)
      end
      return value
    end,
    __newindex = function(_, name, value)
      assigned[name] = true
      _G[name] = value
    end,
  })
end

---Loads a main script: its globals are strict.
---@param text string
---@param chunkname string  "@rag.lua", "=stdin"
---@return function? fn
---@return string? message
function loader.main(text, chunkname)
  return compile(text, chunkname, nil, loader.strict())
end

return loader
