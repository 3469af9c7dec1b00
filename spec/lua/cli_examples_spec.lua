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
