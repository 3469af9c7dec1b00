--- Where conversations are kept that somebody asked to keep: one SQLite file of the user's.
local errors = require "moonpipe.error"
local mp = require "moonpipe"

local store = {}

--- The file; raises kind `config` where there is no place for one.
---@return string
function store.path()
  local base, home = os.getenv "XDG_DATA_HOME", os.getenv "HOME"
  if base and base:sub(1, 1) == "/" then return base .. "/moonpipe/chats.db" end
  if home and home:sub(1, 1) == "/" then return home .. "/.local/share/moonpipe/chats.db" end
  errors.raise("config", "no place for conversations: HOME is not set")
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The folder is for its owner alone; the database makes its file so.
local function make_folder(path)
  local folder = path:match("^(.*)/")
  if os.execute(("umask 077; mkdir -p -- %s"):format(quote(folder))) ~= 0 then
    errors.raise("io", ("cannot make the folder '%s'"):format(folder))
  end
end

--- The conversation [name], which may be a new one.
---@param name string
---@return moonpipe.SQLiteChatMessageHistory
function store.open(name)
  local path = store.path()
  make_folder(path)
  return mp.SQLiteChatMessageHistory(name, { path = path })
end

--- All conversations, the latest last.
---@async
---@return { session_id: string, messages: integer, last: string }[]
function store.list()
  local path = store.path()
  if not require("moonpipe.tool.host").exists(path) then return {} end
  return mp.SQLiteChatMessageHistory.sessions { path = path }
end

---@async
---@return string[]
local function names()
  local list = {}
  for i, one in ipairs(store.list()) do list[i] = one.session_id end
  return list
end

--- Raises where there is no conversation of that name, or, with [new], where there is one.
---@async
---@param name string
---@param new boolean
function store.check(name, new)
  local known = names()
  local is_there = false
  for _, one in ipairs(known) do is_there = is_there or one == name end
  if new and is_there then
    errors.raise("input", ("there is a conversation '%s' already: --continue %s goes on with it")
      :format(name, name))
  elseif not new and not is_there then
    errors.raise("input", ("there is no conversation '%s'%s; --list names those that there are")
      :format(name, errors.hint(name, known)))
  end
end

return store
