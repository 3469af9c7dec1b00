--- Sandboxes for tests, at each of their levels: a VM of their own, a process of their own.
local busted = require "busted"
local helper = require "spec.helper"
local mp = require "moonpipe"

local sandbox = {}

local isolate
local opened = {} -- chains, to be closed behind each test

local function opening(method)
  return function(self, ...)
    local chain = getmetatable(self).__index[method](self, ...)
    opened[#opened + 1] = chain
    return chain
  end
end

---Times the seconds that are meant to suffice: sanitizers make a script as much slower.
sandbox.SLOWER = helper.sanitized and 20 or 1

---mp.sandbox at the level that is tried.
function sandbox.box(opts)
  local copy = { isolate = isolate }
  for name, value in pairs(opts or {}) do copy[name] = value end
  local box = mp.sandbox(copy)
  box.load, box.load_file = opening "load", opening "load_file"
  return box
end

function sandbox.is_isolated() return isolate end

local function describe_level(name, level, fn)
  busted.describe(name, function()
    busted.setup(function() isolate = level end)
    busted.teardown(function() isolate = nil end)
    busted.after_each(function()
      for i = #opened, 1, -1 do
        opened[i]:close()
        opened[i] = nil
      end
    end)
    fn()
  end)
end

---describe(name, fn) at each level.
function sandbox.each(name, fn)
  describe_level(name, false, fn)
  describe_level(name .. " in a process", true, fn)
end

return sandbox
