--- `moonpipe new`: a chain to begin with, and its spec.
local errors = require "moonpipe.error"
local host = require "moonpipe.tool.host"

local new = {
  name = "new",
  usage = "NAME",
  summary = "Writes NAME.lua, a small chain with comments, and NAME_spec.lua, a test of it.",
  about = "With a .luarc.json, where there is none, that tells editors of the language. What is "
    .. "there is left as it is. The test needs no key and no network: `moonpipe test`.",
  example = "moonpipe new joke && moonpipe run joke.lua bears",
  files = {},
  exits = { 0, 1, 2 },
  options = {},
}

-- @@ is where a comment begins: the build takes out lines that begin with one.
local CHAIN = [[
#!/usr/bin/env moonpipe
@@ Tells a joke:  moonpipe run @NAME@.lua TOPIC
@@ The model is what the environment offers: OPENAI_API_KEY and its like, MOONPIPE_MODEL, or a
@@ server on this machine; `moonpipe models` lists them.
local mp = require "moonpipe"

local chain =
    mp.ChatPromptTemplate.from_template "Tell me a joke about {topic}."
  | mp.init_chat_model()
  | mp.StrOutputParser()

@@ With a topic it answers; a test, and `moonpipe graph`, have the chain alone.
local topic = ...
if topic then
  for text in chain:stream { topic = topic } do
    io.write(text)
    io.flush()
  end
  print()
end

return chain
]]

local SPEC = [[
@@ moonpipe test @NAME@_spec.lua
local mp = require "moonpipe"

local chain = dofile "@NAME@.lua"

describe("@NAME@", function()
  it("asks for a joke about the topic", function()
    local asked
    local model = mp.RunnableLambda(function(prompt)
      asked = prompt:to_string()
      return mp.AIMessage("a joke")
    end)
    @@ The chain with another model: its steps are a list.
    local with_fake = chain.steps[1] | model | chain.steps[3]
    assert.equal("a joke", with_fake:invoke { topic = "bears" })
    assert.truthy(asked:find("a joke about bears", 1, true))
  end)

  @@ What a real model says can be kept: `moonpipe test --record` asks it, and keeps its answers in
  @@ the folder cassettes; from then on `moonpipe test` plays them, without key and network:
  @@
  @@ it("answers", function()
  @@   local model = mp.ChatOpenAI { model = "gpt-5.4-mini" }
  @@   local answer = (chain.steps[1] | model | chain.steps[3]):invoke { topic = "bears" }
  @@   assert.truthy(answer:find "bear")
  @@ end)
end)
]]

local function write(path, text)
  local file, problem = io.open(path, "wb")
  if not file then errors.raise("io", "cannot write " .. problem) end
  file:write(text)
  if not file:close() then errors.raise("io", ("cannot write '%s'"):format(path)) end
  print(path)
end

local function filled(text, name)
  return (text:gsub("@NAME@", name):gsub("@@", "--"))
end

function new.run(_, words)
  local name = words[1]
  if #words ~= 1 then return "new takes one name" end
  if not name:find("^[%w_/.-]+$") then return "a name is letters, digits, _ and -" end
  name = name:gsub("%.lua$", "")
  for _, path in ipairs { name .. ".lua", name .. "_spec.lua" } do
    if host.exists(path) then
      errors.raise("input", ("'%s' is there already; take another name"):format(path))
    end
  end
  write(name .. ".lua", filled(CHAIN, name))
  write(name .. "_spec.lua", filled(SPEC, name))
  local settings = (name:match("^.*/") or "") .. ".luarc.json"
  if not host.exists(settings) then write(settings, require("moonpipe.tool.editor").settings()) end
end

return new
