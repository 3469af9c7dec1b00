-- Runs every spec/cli/*.lua through the binary. In such a script
--
--   print(1 + 1) --> 2           is a line of stdout; they come in this order
--   --> more                     on a line of its own: one more line of stdout
--   error("no") --! no           is a fragment of stderr
--   --: exit 1                   the exit code; 0 without it
--   --: args "a", "b c"          its arguments, as Lua
--   --: options "--jit=off"      options of moonpipe, before `run`
--   --: stdin "one\ntwo\n"       what it reads, as Lua; nothing without it
--
-- stdout must be those lines and nothing else; without a `--!` stderr must be
-- empty. FILE in an expectation stands for the script's path.
local helper = require "spec.helper"

local function literals(text)
  return assert(loadstring("return { " .. text .. " }"))()
end

local function parse(path)
  local example = { exit = { 0 }, args = {}, options = {}, stdin = {}, stdout = {}, stderr = {} }
  for line in io.lines(path) do
    local name, value = line:match("^%-%-: (%l+) (.*)$")
    local stream, text = line:match("%-%-([>!]) ?(.*)$")
    if name then
      example[name] = literals(value)
    elseif stream then
      local lines = stream == ">" and example.stdout or example.stderr
      lines[#lines + 1] = text:gsub("FILE", path)
    end
  end
  return example
end

local function command(path, example)
  local args = {}
  for _, option in ipairs(example.options) do args[#args + 1] = option end
  args[#args + 1] = "run"
  args[#args + 1] = path
  for _, arg in ipairs(example.args) do args[#args + 1] = arg end
  return args
end

local function check_stderr(fragments, stderr)
  if #fragments == 0 then assert.equal("", stderr) end
  for _, fragment in ipairs(fragments) do
    local found = stderr:find(fragment, 1, true)
    assert.is_truthy(found, ("stderr has no '%s':\n%s"):format(fragment, stderr))
  end
end

local function check(path)
  local example = parse(path)
  local stdout, stderr, code = helper.moonpipe(command(path, example), example.stdin[1])
  local expected = table.concat(example.stdout, "\n")
  assert.equal(expected == "" and "" or expected .. "\n", stdout, stderr)
  check_stderr(example.stderr, stderr)
  assert.equal(example.exit[1], code)
end

describe("spec/cli", function()
  local found = assert(io.popen("find spec/cli -name '*.lua' | sort"))
  for path in found:lines() do
    it("runs " .. path, function() check(path) end)
  end
  found:close()
end)

-- ---- the examples of --help --------------------------------------------------------------------

-- What they speak of, in a folder of their own.
local FILES = {
  ["README.md"] = "A plain table is a parallel map. The branches of a map run at once.\n",
  ["docs/more.md"] = "Calls of a map share a limiter.\n",
  ["rag.lua"] = [[
    local mp = require "moonpipe"
    local chain = { text = mp.RunnablePassthrough() }
      | mp.ChatPromptTemplate.from_template "{text}" | mp.init_chat_model() | mp.StrOutputParser()
    local question = ...
    if question then print(chain:invoke(question)) end
    return chain]],
  ["chain.lua"] = [[
    local mp = require "moonpipe"
    return mp.RunnableLambda(function(x) return x end) | mp.FakeListChatModel { responses = { "x" } }
      | mp.StrOutputParser()]],
  ["in.jsonl"] = '"one"\n"two"\n',
}

-- What the sentences of the offline model cannot be.
local NEED_A_MODEL = { "ask --schema", "ask -x", "models openai" }

local SHELL = [[
moonpipe() { %s "$@"; }
git() { echo a change; }
cd %s
]]

local SETUP = [[
moonpipe new joke && moonpipe index README.md -o docs.mp && gzip -k in.jsonl
moonpipe --trace=run.jsonl -e 'require("moonpipe").RunnableLambda(tostring):invoke(1)'
]]

describe("examples of --help", function()
  local commands = require "moonpipe.tool.commands"
  local bin = helper.bin:match "^/" and helper.bin or io.popen("pwd"):read() .. "/" .. helper.bin

  local function is_left_out(line)
    for _, part in ipairs(NEED_A_MODEL) do
      if line:find(part, 1, true) then return true end
    end
    return false
  end

  local prepared, folder

  local function in_shell(text, at)
    return helper.execute({ "sh", "-ec", SHELL:format(bin, at) .. text }, nil,
      { MOONPIPE_MODEL = "extractive", MOONPIPE_EMBEDDINGS = "hash", MOONPIPE_BIN = false,
        XDG_DATA_HOME = at })
  end

  setup(function()
    prepared = os.tmpname()
    os.execute(("rm %s && mkdir -p %s/docs"):format(prepared, prepared))
    for name, text in pairs(FILES) do helper.write(prepared .. "/" .. name, text) end
    in_shell(SETUP, prepared)
  end)
  teardown(function() os.execute("rm -r " .. prepared) end)
  before_each(function()
    folder = helper.fresh()
    os.execute(("cp -r %s %s"):format(prepared, folder))
  end)
  after_each(function() os.execute("rm -r " .. folder) end)

  local function check_line(line)
    if line:find "%-%-continue" then in_shell("echo hi | moonpipe chat --save trip", folder) end
    if line:find "new joke" then os.execute(("rm %s/joke*.lua"):format(folder)) end
    local stdout, stderr, code = in_shell(line, folder)
    assert.equal(0, code, line .. "\n" .. stdout .. stderr)
  end

  for _, name in ipairs(commands.names()) do
    for line in commands.find(name).example:gmatch "[^\n]+" do
      if not is_left_out(line) then it("run: " .. line, function() check_line(line) end) end
    end
  end
  for line in require("moonpipe.tool.program").example:gmatch "[^\n]+" do
    it("run: " .. line, function() check_line(line) end)
  end
end)
