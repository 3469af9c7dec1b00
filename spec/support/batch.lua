--- Runs `moonpipe batch` in a folder of its own.
local cjson = require "cjson"
local helper = require "spec.helper"

---@class spec.Batch
---@field root string  the folder, which is removed with the test
local Batch = {}
Batch.__index = Batch

local batch = {}

--- A folder with files. `env` is what each run gets.
---@param files table<string, string>
---@param env? table<string, string>
---@return spec.Batch
function batch.folder(files, env)
  local root = os.tmpname()
  os.remove(root)
  os.execute("mkdir " .. root)
  local self = setmetatable({ root = root, env = env }, Batch)
  for name, text in pairs(files) do self:write(name, text) end
  return self
end

function Batch:path(name)
  return self.root .. "/" .. name
end

function Batch:write(name, text)
  helper.write(self:path(name), text)
end

--- The text of a file; nil where there is none.
function Batch:read(name)
  local file = io.open(self:path(name), "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

function Batch:remove()
  os.execute("rm -rf " .. self.root)
end

--- The words of a run of chain.lua on a file, into out.jsonl.
---@return string[]
function Batch:words(input, ...)
  return { helper.bin, "batch", self:path "chain.lua", self:path(input), "-o",
    self:path "out.jsonl", ... }
end

--- Runs it; gives the exit code, and what was said.
---@return integer code, string stdout, string stderr
function Batch:run(input, ...)
  local stdout, stderr, code = helper.execute(self:words(input, ...), nil, self.env)
  return code, stdout, stderr
end

--- Runs it until a signal comes.
---@param signal string
---@param seconds number
---@return integer code, string stdout, string stderr
function Batch:run_until(signal, seconds, input, ...)
  local words = { "timeout", "--preserve-status", "-s", signal, ("%.4f"):format(seconds),
    unpack(self:words(input, ...)) }
  local stdout, stderr, code = helper.execute(words, nil, self.env)
  return code, stdout, stderr
end

--- The objects of a file of JSON lines; none where there is no file.
---@param name? string  out.jsonl
---@return table[]
function Batch:results(name)
  local list = {}
  for line in (self:read(name or "out.jsonl") or ""):gmatch("(.-)\n") do
    list[#list + 1] = cjson.decode(line)
  end
  return list
end

--- Their outputs.
function Batch:outputs()
  local list = {}
  for i, one in ipairs(self:results()) do list[i] = one.output end
  return list
end

--- What failed.
function Batch:failures()
  return self:results "out.errors.jsonl"
end

return batch
