--- The globals of a script in a locked-in VM.
--
-- They are tables of their own: `string`, `mp` and the like can be read and not written, `_G` is
-- the script's, metatables are to be had of what the script made itself.
local errors = require "moonpipe.error"
local grants = require "moonpipe.cell.grants"
local jobs = require "moonpipe.cell.jobs"
local loader = require "moonpipe.loader"
local c = require("moonpipe.native").c
require("moonpipe.coroutines").install()

local world = {}

local raw = {
  getmetatable = getmetatable, setmetatable = setmetatable, rawset = rawset,
}

local locked = setmetatable({}, { __mode = "k" }) -- tables that cannot be written
local own = setmetatable({}, { __mode = "k" })    -- metatables that the script has set

-- ---- tables that can be read --------------------------------------------------

-- [what]: its name in messages. Members are asked of a table or a function.
local function lock(members, what)
  local proxy = raw.setmetatable({}, {
    __index = members,
    __newindex = function(_, key)
      errors.usage(("%s can be read and not written: '%s'"):format(what, errors.text(key)))
    end,
    __tostring = function() return what end,
    __metatable = false,
  })
  locked[proxy] = true
  return proxy
end

local function copy_of(library, names)
  local out = {}
  for name in names:gmatch("%S+") do out[name] = library[name] end
  return out
end

-- ---- Lua's own functions ------------------------------------------------------

local globals = copy_of(_G, [[assert error ipairs next pairs pcall rawequal rawget select tonumber
  tostring type unpack xpcall _VERSION]])

function globals.getmetatable(value)
  if type(value) ~= "table" then return nil end
  local mt = raw.getmetatable(value)
  return own[mt] and mt or nil
end

function globals.setmetatable(value, mt)
  if type(value) ~= "table" or mt ~= nil and type(mt) ~= "table" then
    error("setmetatable takes a table and a table or nil", 2)
  end
  local previous = raw.getmetatable(value)
  if locked[value] or previous ~= nil and not own[previous] then
    error("cannot change a protected metatable", 2)
  end
  if mt then own[mt] = true end
  return raw.setmetatable(value, mt)
end

function globals.rawset(value, key, member)
  if locked[value] then error("this table can be read and not written", 2) end
  return raw.rawset(value, key, member)
end

function globals.collectgarbage(option)
  if option == nil or option == "count" then return collectgarbage("count") end
  error("in a sandbox collectgarbage gives the count and no more", 2)
end

function globals.print(...)
  local list = { ... }
  for i = 1, select("#", ...) do list[i] = tostring(list[i]) end
  jobs.note("print", nil, nil, nil, nil, table.concat(list, "\t"))
end

-- ---- text and modules ---------------------------------------------------------

local environment

-- A first byte of 27 begins bytecode, which can do anything to the process.
function globals.load(chunk, name, _, env)
  return loader.load(chunk, name, "t", env or environment)
end

function globals.loadstring(text, name)
  return loader.load(text, name, "t", environment)
end

local modules = {}

-- A Lua file below the folder that the host grants.
local function load_module(name)
  if type(name) ~= "string" or not name:find("^[%w_]+[%w_.]*$") or not grants.has_files then
    error(("module '%s' cannot be had in a sandbox"):format(errors.text(name)), 3)
  end
  local path = name:gsub("%.", "/") .. ".lua"
  local fn, message = loader.load(grants.read_file(path), "@" .. path, "t", environment)
  if not fn then error(message, 0) end
  return fn(name)
end

function globals.require(name)
  if modules[name] == nil then
    local module = load_module(name)
    modules[name] = module == nil or module
  end
  return modules[name]
end

-- ---- moonpipe -----------------------------------------------------------------

-- What computes. All else talks to the world, or keeps memory that no limit counts.
local NAMES = [[AIMessage AIMessageChunk ChatMessage ChatMessageChunk ChatPromptTemplate
  CharacterTextSplitter CommaSeparatedListOutputParser ConfigurableField Document Error
  ExtractiveChatModel FakeListChatModel FewShotChatMessagePromptTemplate FewShotPromptTemplate
  GenericFakeChatModel HumanMessage HumanMessageChunk HumanMessagePromptTemplate
  AIMessagePromptTemplate SystemMessagePromptTemplate InMemoryCache InMemoryChatMessageHistory
  JsonOutputKeyToolsParser JsonOutputParser JsonOutputToolsParser LengthBasedExampleSelector
  MarkdownHeaderTextSplitter MarkdownListOutputParser MarkdownTextSplitter MessagesPlaceholder
  NumberedListOutputParser OutputFixingParser PromptTemplate RateLimiter
  RecursiveCharacterTextSplitter RecursiveJsonSplitter RetryOutputParser
  RetryWithErrorOutputParser RouterRunnable RunnableAssign
  RunnableBinding RunnableBranch RunnableEach RunnableGenerator RunnableHedge RunnableLambda
  RunnableMap RunnableParallel RunnablePassthrough RunnablePick RunnableRetry RunnableSequence
  RunnableTimeout RunnableWithFallbacks RunnableWithMessageHistory SchemaOutputParser
  StrOutputParser StructuredOutputParser SystemMessage SystemMessageChunk TokenTextSplitter
  ToolMessage ToolMessageChunk ToolsOutputParser UsageTotals XMLOutputParser array chain const
  convert_to_openai_messages count_tokens_approximately create_agent current dispatch_custom_event
  fence filter_messages finished get_buffer_string inspect itemgetter loop map_chunks
  merge_message_runs now null pipe printable prompts schema sleep tool trim_messages version]]

local allowed = {}
for name in NAMES:gmatch("%S+") do allowed[name] = true end

local mp = {
  load = globals.load,
  read_file = grants.read_file,
}

for _, kind in ipairs { "models", "tools", "steps" } do
  mp[kind] = lock(function(_, name) return grants.get(kind, name) end, "mp." .. kind)
end

---The model that the host grants by that name; without one, `default`.
function mp.init_chat_model(name)
  return grants.get("models", name == nil and "default" or name)
end

function mp.names()
  local names = {}
  for name in pairs(allowed) do names[#names + 1] = name end
  for name in pairs(mp) do names[#names + 1] = name end
  table.sort(names)
  return names
end

modules.moonpipe = lock(function(_, name)
  if mp[name] ~= nil then return mp[name] end
  if allowed[name] then return require("moonpipe")[name] end
  errors.usage(("mp has no '%s' in a sandbox%s"):format(errors.text(name),
    errors.hint(name, mp.names())))
end, "mp")

-- ---- the environment ----------------------------------------------------------

globals.string = lock(copy_of(string, [[byte char find format gmatch gsub len lower match rep
  reverse sub upper]]), "string")
globals.table = lock(copy_of(table, "concat insert remove sort"), "table")
globals.math = lock(copy_of(math, [[abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp
  huge ldexp log log10 max min mod modf pi pow rad random randomseed sin sinh sqrt tan tanh]]),
  "math")
globals.bit = lock(copy_of(bit, [[arshift band bnot bor bswap bxor lshift rol ror rshift tobit
  tohex]]), "bit")
globals.os = lock(copy_of(os, "clock date difftime time"), "os")
globals.coroutine = lock(copy_of(coroutine, "create resume running status wrap yield"), "coroutine")
globals.debug = lock({ traceback = c.guard(debug.traceback) }, "debug")

local function strict()
  local assigned = {}
  return raw.setmetatable({}, {
    __index = function(_, name)
      local value = globals[name]
      if value == nil and not assigned[name] then
        errors.usage(("undefined global '%s' (in a sandbox)"):format(errors.text(name)))
      end
      return value
    end,
    __newindex = function(_, name, value)
      assigned[name] = true
      globals[name] = value
    end,
    __metatable = false,
  })
end

globals._G = globals
environment = strict()

---@return function? fn
---@return string? message
function world.load(text, name)
  return loader.load(text, name, "t", environment)
end

function world.set_arguments(name, arguments)
  local list = { [0] = (name:gsub("^[@=]", "")) }
  for i, value in ipairs(arguments) do list[i] = value end
  globals.arg = list
end

---@param calls table  call of the VM outside -> task
function world.prepare(calls)
  grants.calls = calls
end

return world
