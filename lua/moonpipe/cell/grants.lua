--- What the host has granted, inside of a locked-in VM: steps that ask the VM outside.
--
-- Here are names and what a chain must know to use them; the models themselves, and their keys, are
-- outside.
local codec = require "moonpipe.sandbox.codec"
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local model = require "moonpipe.models.model"
local notes = require "moonpipe.cell.jobs"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local tools = require "moonpipe.agents.tools"

local grants = {
  calls = {}, -- call of the VM outside -> task
  models = {}, tools = {}, steps = {}, -- name -> step
}

-- The call that the running task is part of.
local function running_call()
  local task = scheduler.current()
  while task and task.parent do task = task.parent end
  for call, root in pairs(grants.calls) do
    if root == task then return call end
  end
  return 0
end

local function read(text)
  local value = codec.decode(text)
  if errors.is(value) then error(value, 0) end
  return value
end

local function wait_for(kind, name, value)
  local id = notes.ask(running_call(), kind, name, codec.encode(value))
  return read(scheduler.await(id) or "null")
end

-- ---- pieces -------------------------------------------------------------------

---@class moonpipe.Feed: moonpipe.Listener
local Feed = {}
local feed_mt = { __index = Feed }

function Feed:on_event(kind, cargo)
  if kind == jobs.CHUNK then
    self.last = self.last + 1
    self[self.last] = cargo
  else
    self.ended, self.result = true, cargo
  end
  if self.task then scheduler.unpark(self.task) end
end

function Feed:next()
  self.task = scheduler.current()
  while self.first > self.last and not self.ended do
    local ok, err = pcall(scheduler.park)
    if not ok then
      jobs.forget(self.id)
      error(err, 0)
    end
  end
  self.task = nil
  local text = self[self.first]
  if not text then
    if self.result then read(self.result) end
    return nil
  end
  self[self.first], self.first = nil, self.first + 1
  return read(text)
end

-- The answer in pieces: a function that gives the next, or nil.
local function feed_of(kind, name, value)
  local feed
  return function()
    if not feed then
      local id = notes.ask(running_call(), kind .. "*", name, codec.encode(value))
      feed = setmetatable({ id = id, first = 1, last = 0 }, feed_mt)
      jobs.listen(id, feed)
    end
    return feed:next()
  end
end

-- ---- models, steps, tools -----------------------------------------------------

---@class moonpipe.GrantedModel: moonpipe.BaseChatModel
local GrantedModel, model_methods = runnable.class("GrantedModel", { base = model.BaseChatModel })

local function question(messages, ctx)
  local list = {}
  for i = 1, #messages do list[i] = messages[i] end
  return { messages = list, kwargs = ctx.kwargs }
end

function model_methods:_generate(messages, ctx)
  return wait_for("model", self.name, question(messages, ctx))
end

function model_methods:_chunks(messages, ctx)
  return feed_of("model", self.name, question(messages, ctx))
end

---@class moonpipe.GrantedStep: moonpipe.Runnable
local GrantedStep, step_methods = runnable.class("GrantedStep")

function step_methods:_invoke(input)
  return wait_for("step", self.name, input)
end

function step_methods:_stream(input)
  return feed_of("step", self.name, input)
end

local function tool_of(name, told)
  return tools.tool {
    name = name, description = told.description, schema = told.schema,
    fn = function(arguments) return wait_for("tool", name, arguments) end,
  }
end

---Takes `{ models = { name = { structured_method } }, tools = { name = … }, steps = …, files }`.
function grants.set(told)
  for name, about in pairs(told.models) do
    grants.models[name] = runnable.instance(GrantedModel, {
      name = name, structured_method = about.structured_method,
    })
  end
  for name in pairs(told.steps) do
    grants.steps[name] = runnable.instance(GrantedStep, { name = name })
  end
  for name, about in pairs(told.tools) do grants.tools[name] = tool_of(name, about) end
  grants.has_files = told.files
end

---The granted one of that name, or raises.
function grants.get(kind, name)
  local found = grants[kind][name]
  if found ~= nil then return found end
  local names = {}
  for known in pairs(grants[kind]) do names[#names + 1] = known end
  table.sort(names)
  local known = #names > 0 and "there are: " .. table.concat(names, ", ")
    or ("it grants no %s at all: its option is %s = { %s = … }"):format(kind, kind,
      errors.text(name))
  errors.usage(("the host grants no %s '%s'%s; %s"):format((kind:gsub("s$", "")),
    errors.text(name), errors.hint(name, names), known))
end

---The text of a granted file.
---@async
function grants.read_file(path)
  if type(path) ~= "string" then
    errors.usage("read_file takes the path of a file, got " .. errors.shape(path))
  end
  if not grants.has_files then errors.usage("the host grants no files") end
  return scheduler.call(wait_for, "file", "", path)
end

return grants
