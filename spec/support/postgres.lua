--- A PostgreSQL server of the specs' own: see spec/support/postgres.
local helper = require "spec.helper"
local process = require "spec.support.process"

local postgres = {}

local Server = {}
Server.__index = Server

local SCRIPT = "spec/support/postgres"

local function make_folder()
  local pipe = assert(io.popen("mktemp -d"))
  local folder = pipe:read("*l")
  pipe:close()
  return folder
end

--- Makes and starts one; takes a second or two.
---@return table  with url, port, password, folder, tell() and stop()
function postgres.start()
  local folder = make_folder()
  local self = setmetatable({ folder = folder }, Server)
  self.process = process.start { SCRIPT, folder, "serve" }
  self.port = self.process.ports[1]
  self.password = helper.read(folder .. "/password")
  self.url = ("postgresql://tester:%s@127.0.0.1:%d/postgres"):format(self.password, self.port)
  return self
end

--- start, stop (as an administrator does) or crash; done when it returns.
---@param word "start"|"stop"|"crash"
function Server:tell(word)
  if os.execute(("%s %s %s"):format(SCRIPT, self.folder, word)) ~= 0 then
    error("PostgreSQL does not " .. word, 0)
  end
end

--- Ends it, and removes all it wrote.
function Server:stop()
  self.process:stop()
end

return postgres
