-- What editors are told of the language (lua/moonpipe/meta/mp/) is what there is.
local cjson = require "cjson"
local definitions = require "spec.support.definitions"
local errors = require "moonpipe.error"
local helper = require "spec.helper"
local luacats = require "spec.support.luacats"
local mp = require "moonpipe"
local runnable = require "moonpipe.steps.runnable"

local found = definitions.read()

local function sorted(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

-- Names of [real] that are not in [declared], and the other way round.
local function differences(real, declared)
  local list = {}
  for name in pairs(real) do
    if declared[name] == nil then list[#list + 1] = "not defined: " .. name end
  end
  for name in pairs(declared) do
    if real[name] == nil then list[#list + 1] = "not there: " .. name end
  end
  table.sort(list)
  return list
end

-- The calls that a wrong option could stand in, until one names those that are allowed.
local step = mp.const(1)
local WRONG = { no_such_option = 1 }
local CALLS = {
  { WRONG }, { "x", WRONG }, { step, WRONG }, { {}, WRONG }, { print, WRONG },
  { step, { step }, WRONG }, { mp.HashEmbeddings(), WRONG }, { step, print, WRONG },
}

-- They take no options, and do what they are for whatever they are given.
local ACTING = {}
for name in ([[ dispatch_custom_event dofile getpass install_loader load loadfile secret secret_cmd
  secret_file set_llm_cache sleep update wrap_coroutines ]]):gmatch("%S+") do
  ACTING[name] = true
end

local function allowed_by(value)
  for _, arguments in ipairs(CALLS) do
    local ok, err = pcall(value, unpack(arguments))
    local list = not ok and errors.text(err):match("unknown option 'no_such_option' of [^;]*; allowed: ([^;]*)")
    if list then
      local set = {}
      for name in list:gmatch("[%w_]+") do set[name] = true end
      return set
    end
  end
end

-- Methods that are for the library itself.
local OURS = {}
for name in ([[ Error.at Error.given InMemoryCache.drop InMemoryCache.lookup InMemoryCache.store
  SQLiteCache.drop SQLiteCache.lookup SQLiteCache.store RateLimiter.learn RateLimiter.pause RateLimiter.settle
  RateLimiter.take FewShotPromptTemplate.fill FewShotChatMessagePromptTemplate.fill TextSplitter.spans
  ChatMessageHistory.lock_key Loader.documents Loader.loader_of SQLiteDocstore.all SQLiteDocstore.claim
  SQLiteDocstore.get SQLiteDocstore.matching SQLiteDocstore.numbers SQLiteDocstore.numbers_from
  SQLiteDocstore.put SQLiteDocstore.remove SQLiteDocstore.stamp SQLiteRecordManager.create_schema
  SQLiteRecordManager.delete_keys SQLiteRecordManager.doom SQLiteRecordManager.doomed
  SQLiteRecordManager.exists SQLiteRecordManager.forget_doomed SQLiteRecordManager.get_time
  SQLiteRecordManager.list_keys SQLiteRecordManager.sync SQLiteRecordManager.update
  Cassette.open Cassette.send Task.wake ]]):gmatch("%S+") do
  OURS[name] = true
end

local function methods_in(index, set)
  while type(index) == "table" do
    for name, value in pairs(index) do
      if type(value) == "function" and type(name) == "string" and not name:find("^_") then set[name] = true end
    end
    local mt = getmetatable(index)
    index = type(mt) == "table" and mt.__index or nil
  end
  return set
end

local function methods_of(class, index)
  local set = methods_in(index, {})
  for name in pairs(set) do
    if OURS[class .. "." .. name] then set[name] = nil end
  end
  return set
end

local function defined_methods(class)
  local set = {}
  for name, method in pairs(definitions.flat(found, class, "methods")) do
    if not method.is_static then set[name] = true end
  end
  return set
end

describe("the definitions", function()
  it("have every name of mp, and no other", function()
    local real, declared = {}, {}
    for _, name in ipairs(mp.names()) do real[name] = true end
    for _, set in ipairs { found.functions, found.values, found.classes.moonpipe.fields } do
      for name in pairs(set) do declared[name] = true end
    end
    assert.same({}, differences(real, declared))
  end)

  it("have every option that a constructor takes, and no other", function()
    local problems, count = {}, 0
    for _, name in ipairs(mp.names()) do
      local real = not ACTING[name] and not name:find("^init_") and allowed_by(mp[name])
      local class = real and definitions.options_of(found, name)
      if real and next(real) and not class then problems[#problems + 1] = name .. ": no class of options" end
      if class then
        count = count + 1
        for _, text in ipairs(differences(real, definitions.flat(found, class, "fields"))) do
          problems[#problems + 1] = ("%s (%s): %s"):format(name, class, text)
        end
      end
    end
    assert.same({}, problems)
    assert.is_true(count > 80, "only " .. count .. " were compared")
  end)

  it("have every method and static of every class of steps, and no other", function()
    local problems, count = {}, 0
    for _, name in ipairs(mp.names()) do
      local class = mp[name]
      if runnable.is_class(class) and name == runnable.class_name(class) then
        count = count + 1
        for _, text in ipairs(differences(methods_of(name, rawget(class, "methods")), defined_methods(name))) do
          problems[#problems + 1] = name .. ": " .. text
        end
        local statics, declared = {}, {}
        for key, value in pairs(class) do
          if type(value) == "function" and key ~= "new" then statics[key] = true end
        end
        local of_class = found.classes[name .. "Class"]
        for key, method in pairs(of_class and of_class.methods or {}) do declared[key] = method.is_static end
        for _, text in ipairs(differences(statics, declared)) do
          problems[#problems + 1] = name .. ", static: " .. text
        end
      end
    end
    assert.same({}, problems)
    assert.is_true(count > 60, "only " .. count .. " were compared")
  end)

  it("say of every class of steps what a call gives and what | makes", function()
    for name in pairs(found.classes) do
      local is_step = name == "Runnable"
      for _, parent in ipairs(found.classes[name].parents) do
        is_step = is_step or definitions.flat(found, parent, "operators").bor ~= nil
      end
      if is_step then
        -- lua-language-server asks a class itself for its operators, not its parents
        local operators = found.classes[name].operators
        assert.equal("mp.RunnableSequence", operators.bor, name)
        assert.is_string(operators.call, name)
      end
    end
  end)
end)

-- ---- objects that are no steps -------------------------------------------------------------------

local function index_of(value)
  return getmetatable(value).__index
end

-- The class in the definitions -> what its methods are found in; made when it is asked for.
local OBJECTS = {
  Stream = function() return index_of(step:stream(1)) end,
  Task = function() return index_of(step:start(1)) end,
  Graph = function() return index_of(step:get_graph()) end,
  Error = function() return index_of(mp.Error { kind = "io", message = "x" }) end,
  RateLimiter = function() return index_of(mp.RateLimiter()) end,
  InMemoryCache = function() return index_of(mp.InMemoryCache()) end,
  SQLiteCache = function() return index_of(mp.SQLiteCache { path = ":memory:" }) end,
  ChatMessageHistory = function() return index_of(mp.InMemoryChatMessageHistory()) end,
  UsageTotals = function() return index_of(mp.UsageTotals()) end,
  TextSplitter = function() return index_of(mp.CharacterTextSplitter()) end,
  RecursiveJsonSplitter = function() return index_of(mp.RecursiveJsonSplitter()) end,
  Loader = function() return index_of(mp.TextLoader "x") end,
  Embeddings = function() return index_of(mp.HashEmbeddings()) end,
  InMemoryDocstore = function() return index_of(mp.InMemoryDocstore()) end,
  SQLiteDocstore = function() return index_of(mp.SQLiteDocstore ":memory:") end,
  SQLiteRecordManager = function() return index_of(mp.SQLiteRecordManager("x", { path = ":memory:" })) end,
  Database = function()
    local db = helper.run(function() return mp.db.open ":memory:" end)
    db:close()
    return index_of(db)
  end,
  Sandbox = function() return index_of(mp.sandbox()) end,
  FAISS = function() return index_of(mp.FAISS { embedding = mp.HashEmbeddings() }) end,
  schema = function() return mp.schema end,
  db = function() return mp.db end,
}

describe("the definitions of", function()
  for class, index in pairs(OBJECTS) do
    it(class .. " have its methods, and no others", function()
      local declared = {}
      for name in pairs(definitions.flat(found, class, "methods")) do declared[name] = true end
      assert.same({}, differences(methods_of(class, index()), declared))
    end)
  end

  it("messages have their methods", function()
    for _, name in ipairs(sorted(defined_methods "Message")) do
      assert.is_function(mp.AIMessage("x")[name], name)
    end
  end)

  it("errors have the kinds that there are", function()
    local kinds = {}
    for _, line in ipairs(found.lines) do
      local kind = line.text:match('^%-%-%-| "([%w_]+)"$')
      if kind then kinds[kind] = true end
    end
    assert.same({}, differences(errors.KINDS, kinds))
  end)
end)

local ALIASES = { Confirm = true, ErrorKind = true, Filter = true }

describe("the settings for editors", function()
  it("that `moonpipe new` writes name the definitions, and stay as they are", function()
    local folder = helper.temp()
    os.remove(folder)
    local bin = helper.execute({ "readlink", "-f", helper.bin }):gsub("\n$", "")
    local in_folder = ("mkdir -p %s && cd %s && %s new "):format(folder, folder, bin)
    local shown = helper.execute({ "sh", "-c", in_folder .. "a" })
    assert.equal("a.lua\na_spec.lua\n.luarc.json\n", shown)
    local settings = cjson.decode(helper.read(folder .. "/.luarc.json"))
    assert.equal("LuaJIT", settings["runtime.version"])
    assert.matches("@meta moonpipe", helper.read(settings["workspace.library"][1] .. "/moonpipe.lua"), 1, true)
    helper.write(folder .. "/.luarc.json", "{}")
    assert.equal("b.lua\nb_spec.lua\n", (helper.execute({ "sh", "-c", in_folder .. "b" })))
    assert.equal("{}", helper.read(folder .. "/.luarc.json"))
    os.execute("rm -r " .. folder)
  end)

  it("of this project find them too", function()
    local settings = cjson.decode(helper.read ".luarc.json")
    assert.equal("LuaJIT", settings["runtime.version"])
    assert.equal(1, definitions.folder:find(settings["workspace.library"][1], 1, true))
  end)
end)

describe("the definitions' text", function()
  it("names no class that is not defined", function()
    for _, line in ipairs(found.lines) do
      local annotation = line.text:match("^%-%-%-@(.*)$") or ""
      for name in annotation:gmatch("mp%.(%u[%w_]*)") do
        local is_known = found.classes[name] or found.functions[name] or ALIASES[name]
        assert.truthy(is_known, ("%s: %s in %s"):format(line.path, name, line.text))
      end
    end
  end)

  -- What of an annotation is a type, and what stands before it.
  local TYPED = { "@field %b[] ", "@field [%w_]+ ", "@param %.%.%. ", "@param [%w_]+ ", "@return ", "@overload ",
    "@alias mp%.%w+ ", "@operator %w+%b(): ", "@operator %w+: " }

  it("has types that can be read, and comments apart from them", function()
    local count = 0
    for _, line in ipairs(found.lines) do
      for _, before in ipairs(TYPED) do
        local text = line.text:match("^%-%-%-" .. before .. "(.*)$")
        if text then
          local ok, rest = pcall(luacats.read, text)
          assert.is_true(ok, line.path .. ": " .. tostring(rest))
          assert.is_true(rest == "" or rest:find("^ ") ~= nil, line.path .. ": " .. line.text)
          count = count + 1
          break
        end
      end
    end
    assert.is_true(count > 1000, "only " .. count .. " were read")
  end)

  it("is Lua", function()
    for path in io.popen("ls " .. definitions.folder .. "*.lua"):lines() do
      assert.is_function(assert(loadfile(path)))
    end
  end)
end)
