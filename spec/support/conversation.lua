--- Conversations for specs: files that go away, histories by session.
local helper = require "spec.helper"
local mp = require "moonpipe"

local conversation = {}

local created = {}

--- The name of a database that does not exist yet.
function conversation.new_path()
  local path = helper.temp()
  os.remove(path)
  created[#created + 1] = path
  return path
end

--- Removes what new_path named; for after_each. Such files stay open as long as the program runs,
--- so what SQLite puts beside them is there.
function conversation.remove()
  for i, path in ipairs(created) do
    for _, ending in ipairs { "", "-wal", "-shm" } do os.remove(path .. ending) end
    created[i] = nil
  end
end

--- Histories in memory by session, and the function that gives them.
function conversation.sessions()
  local all = {}
  return all, function(id)
    all[id] = all[id] or mp.InMemoryChatMessageHistory()
    return all[id]
  end
end

--- The function that gives histories in a file of its own.
function conversation.stored()
  local path = conversation.new_path()
  return function(id) return mp.SQLiteChatMessageHistory(id, { path = path }) end, path
end

function conversation.config(id)
  return { configurable = { session_id = id } }
end

--- A history as text.
function conversation.said(history)
  return mp.get_buffer_string(history:messages())
end

return conversation
