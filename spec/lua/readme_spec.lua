--- README.md: its code runs and prints what it says, its messages are those that are printed.
local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local process = require "spec.support.process"
local server = require("spec.support.server").use()

local README = helper.read("README.md")

local OFFLINE = {
  OPENAI_API_KEY = false, OPENAI_BASE_URL = false, OPENAI_API_BASE = false,
  MOONPIPE_MODEL = false, MOONPIPE_EMBEDDINGS = false,
}

-- The code blocks of a language ("" for none), in their order.
local function blocks(language)
  local found = {}
  for name, text in README:gmatch("\n```(%w*)\n(.-)\n```") do
    if name == language then found[#found + 1] = text end
  end
  return found
end

local function block_with(language, fragment)
  for _, text in ipairs(blocks(language)) do
    if text:find(fragment, 1, true) then return text end
  end
  error(("README.md has no %s block with '%s'"):format(language, fragment))
end

-- A folder for a test's files; what is in it goes with it.
local folders = {}

local function folder(files)
  local path = os.tmpname()
  os.remove(path)
  assert(helper.execute({ "mkdir", path }))
  folders[#folders + 1] = path
  for name, text in pairs(files) do helper.write(path .. "/" .. name, text) end
  return path
end

after_each(function()
  for i = #folders, 1, -1 do helper.execute({ "rm", "-r", table.remove(folders, i) }) end
end)

local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  return assert(helper.execute({ "pwd" }):match("^(.-)\n?$")) .. "/" .. path
end

-- Runs `moonpipe run NAME` in a folder where NAME is the text.
local function run(name, text, env)
  return helper.execute({ "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh",
    folder({ [name] = text }), absolute(helper.bin), "run", name }, nil, env)
end

-- The first line of what is complained of a text in rag.lua.
-- Its first line, or all of it.
local function complaint(text, whole)
  local _, stderr = run("rag.lua", 'local mp = require "moonpipe"\n' .. text, OFFLINE)
  return (stderr:gsub("^moonpipe: ", ""):match(whole and ".*" or "^[^\n]*"))
end

describe("README.md's code in Lua", function()
  it("begins with a chain that answers as it says", function()
    local said = block_with("", "build/moonpipe run chain.lua")
    local stdout, stderr, code = run("chain.lua", blocks("lua")[1], OFFLINE)
    assert.equal(said, "$ build/moonpipe run chain.lua\n" .. (stderr .. stdout):gsub("\n$", ""))
    assert.equal(0, code)
  end)

  it("prints what stands behind -->", function()
    for _, text in ipairs(blocks("lua")) do
      local expected = {}
      for line in text:gmatch("%-%-> ([^\n]*)") do expected[#expected + 1] = line .. "\n" end
      if #expected > 0 then
        local stdout, stderr = run("code.lua", 'local mp = require "moonpipe"\n' .. text, OFFLINE)
        assert.equal(table.concat(expected), stdout, stderr)
      end
    end
  end)

  it("streams from OpenAI", function()
    local env = { OPENAI_API_KEY = "sk-test", OPENAI_API_BASE = false,
      OPENAI_BASE_URL = server:lane("readme", { { answer = "Why not?" } }) }
    local text = 'local mp = require "moonpipe"\n' .. block_with("lua", "mp.ChatOpenAI")
    local stdout, stderr, code = run("code.lua", text, env)
    assert.equal("Why not?", stdout, stderr)
    assert.equal(0, code)
    local body = server:requests()[1].body
    assert.truthy(body:find("Tell me a joke about bears", 1, true), body)
  end)

  it("names what is there", function()
    local list = assert(README:match("ports line by line: `(.-)`%."))
    for name in list:gmatch("%a[%w_]*") do
      if name ~= "assign" then assert.truthy(mp[name], name) end
    end
    assert.is_function(mp.RunnablePassthrough.assign)
    for name in README:gmatch("mp%.([%w_]+)") do
      assert.truthy(name == "name" or mp[name] ~= nil, name)
    end
  end)
end)

describe("README.md's providers", function()
  it("are those that are there, with their keys and servers", function()
    local names, listed = require "moonpipe.models.names", { extractive = true }
    for name, class, key, variable in README:gmatch "\n| `(%l+)` | `(%a+)` | ([%w_ ]+) | ([%u_]+) |" do
      local Class = require("moonpipe.models.choice").class(name)
      local model = Class { api_key = "sk-none", base_url = "http://127.0.0.1:9" }
      local spec = model.api.spec
      assert.equal(class, tostring(model))
      assert.equal(mp[class], Class)
      assert.equal(spec.key_optional and "none needed" or spec.key_env, key)
      assert.equal(spec.base_env[1], variable)
      listed[name] = true
    end
    for _, name in ipairs(names.providers()) do assert.is_true(listed[name], name) end
  end)

  it("take the options that all share", function()
    local all = assert(README:match "All take `(.-)`")
    for _, name in ipairs(require("moonpipe.models.names").providers()) do
      local methods = require("moonpipe.models.choice").class(name).methods
      local takes = {}
      for _, option in ipairs(name ~= "extractive" and methods.option_names or {}) do takes[option] = true end
      for option in all:gmatch "[%w_]+" do
        assert.is_true(name == "extractive" or takes[option], name .. " " .. option)
      end
    end
  end)

  it("may be one more, whose tape is recorded, then played", function()
    local said = '"model":"acme-1","ended":"stop","tokens":{"read":2,"written":3}}'
    local env = { ACME_API_KEY = "sk-acme", ACME_BASE_URL = server:lane("acme", {
      { body = '{"says":"Hello.",' .. said, content_type = "application/json" },
      { body = 'data: {"says":"Hel"}\n\ndata: {"says":"lo."}\n\ndata: {' .. said .. "\n\n",
        content_type = "text/event-stream" } }) }
    local path = folder { ["acme.lua"] = block_with("lua", "-- acme.lua"),
      ["acme_spec.lua"] = block_with("lua", 'require "acme"') }
    local function play()
      return helper.execute({ "sh", "-c", 'cd "$1" && exec "$2" run acme_spec.lua', "sh", path,
        absolute(helper.bin) }, nil, env)
    end
    for _ = 1, 2 do
      local _, stderr, code = play()
      assert.same({ "", 0 }, { stderr, code })
      env.ACME_API_KEY = false -- the second time there is a tape
    end
    assert.equal(2, server:stats().lanes.acme.requests)
    local sent = cjson.decode(server:requests()[1].body)
    assert.same({ model = "acme-1", stream = false, talk = { { from = "you", text = "hi" } } }, sent)
  end)

  it("may be one that speaks as OpenAI does", function()
    local text = block_with("lua", "ChatThere") .. [[

      return ChatThere { api_key = "k", base_url = arg_url }:invoke("hi").content]]
    local chunk = assert(loadstring(text))
    setfenv(chunk, setmetatable({ arg_url = server:lane("there", { answer = "Hi." }) }, { __index = _G }))
    assert.equal("Hi.", chunk())
  end)
end)

-- A chain of seven lines and a half; `map` stands on line 7 of rag.lua, `prompt` on line 9.
local RAG = [[
local template = "{context} {question}"
local prompt = mp.ChatPromptTemplate.from_template(template)
local retriever, stores, prompts = mp.const "harrison worked at kensho", {}, {}

local chain = {
    MAP
  }
  | PROMPT
  | mp.FakeListChatModel { responses = { "yes" } }
]]

local function rag(map, prompt)
  return complaint((RAG:gsub("MAP", map):gsub("PROMPT", prompt)))
end

describe("README.md's messages", function()
  it("has the one of a failing branch", function()
    local said = block_with("", "no such city"):gsub("^moonpipe: ", "")
    local text = [[
local ask = function(city)
  if city then error "no such city" end
end
local upper = function(city) return city end


local weather =
  upper | ask
mp.RunnableParallel { weather = weather } "Rome"]]
    assert.equal(said, (complaint(text, true):gsub("\n$", "")))
  end)

  it("has the ones of mistakes", function()
    local said = {}
    for line in block_with("", "retreiver"):gmatch("[^\n]+") do said[#said + 1] = line end
    local question = ", question = mp.RunnablePassthrough()"
    assert.equal(said[1], rag("context = retreiver" .. question, "prompt"))
    assert.equal(said[2], rag("context = stores.facts" .. question, "prompt"))
    assert.equal(said[3], rag("context = retriever" .. question, "prompts.rag"))
    assert.equal(said[4], rag("context = retriever", "prompt"))
    assert.equal(4, #said)
  end)
end)

describe("README.md's other code", function()
  it("is a session of the REPL", function()
    local session, lines, expected = block_with("", "$ build/moonpipe\n> "), {}, {}
    for line in session:gmatch("[^\n]+") do
      local typed = line:match("^> (.*)")
      if typed then
        lines[#lines + 1] = typed .. "\n"
      elseif line:sub(1, 1) ~= "$" then
        expected[#expected + 1] = line .. "\n"
      end
    end
    local stdout, stderr = helper.moonpipe({ "repl" }, table.concat(lines))
    assert.equal("", stderr)
    assert.equal(table.concat(expected), stdout)
  end)

  it("is a C program", function()
    if helper.sanitized then return pending("links a library with sanitizers") end
    local build = absolute(helper.bin):match("^(.*)/")
    local path = folder({
      ["host.c"] = block_with("c", "moonpipe.h"),
      ["chain.lua"] = 'return function(x) return "said: " .. x end',
    })
    assert.is_true(#block_with("c", "moonpipe.h"):gsub("[^\n]", "") < 20)
    local stdout, stderr, code = helper.execute({ "sh", "-c", [[
      include=$PWD/engine/include && cd "$1" &&
      cc -std=c11 -Wall -I"$include" host.c -L"$2" -lmoonpipe -Wl,-rpath,"$2" -o host && ./host
    ]], "sh", path, build })
    assert.equal("said: where?\n", stdout, stderr)
    assert.equal(0, code)
    assert.equal("", stderr)
  end)

  it("names commands that are there", function()
    for _, text in ipairs(blocks("sh")) do
      for path in text:gmatch("scripts/[%w_/.]+") do
        assert.truthy(io.open(path), path):close()
      end
    end
    local command = block_with("sh", "scripts/rag.lua"):match("build/moonpipe (run scripts/rag%.lua [^\n]*)")
    local stdout, stderr = helper.execute({ "sh", "-c", process.quote(helper.bin) .. " " .. command }, nil,
      OFFLINE)
    assert.truthy(stdout:find("[Pp]lain table", 1), stdout .. stderr)
  end)
end)
