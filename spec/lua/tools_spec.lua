local helper = require "spec.helper"
local mp = require "moonpipe"
local terminal = require "spec.support.terminal"

local NUMBERS = {
  type = "object",
  properties = { a = { type = "number" }, b = { type = "number" } },
  required = { "a" },
}

local function tool(fn, more)
  local opts = { name = "add", description = "Adds.", schema = NUMBERS, fn = fn }
  for key, value in pairs(more or {}) do opts[key] = value end
  return mp.tool(opts)
end

local add = tool(function(args) return args.a + (args.b or 0) end)

local function call(args, id)
  return { name = "add", args = args, id = id or "c1", type = "tool_call" }
end

describe("tool", function()
  it("gives what its function gives", function()
    assert.equal(3, add:invoke { a = 1, b = 2 })
    assert.equal(1, add { a = 1 })
    assert.same({ "add", "Adds.", NUMBERS }, { add.name, add.description, add.args_schema })
  end)

  it("answers a tool call by a message", function()
    local message = add:invoke(call { a = 1, b = 2 })
    assert.same({ "tool", "3", "add", "c1", "success" },
      { message.type, message.content, message.name, message.tool_call_id, message.status })
  end)

  it("says texts as they are, tables as JSON, Documents and messages by their text", function()
    local function said(value)
      return tool(function() return value end):invoke(call { a = 1 }).content
    end
    assert.equal("hi", said "hi")
    assert.equal('{"x":[1,2]}', said { x = { 1, 2 } })
    assert.equal('["a","b"]', said { "a", "b" })
    assert.equal("true", said(true))
    assert.equal("", said(nil))
    assert.equal("one\n\ntwo", said { mp.Document "one", mp.Document "two" })
    assert.equal("yes", said(mp.AIMessage "yes"))
  end)

  it("keeps a second result as the artifact, which no model sees", function()
    local given = tool(function() return "3 rows", { rows = 3 } end)
    local message = given:invoke(call { a = 1 })
    assert.same({ "3 rows", 3 }, { message.content, message.artifact.rows })
    assert.equal(1, select("#", given:invoke { a = 1 }))
  end)

  it("takes a ToolMessage as it is, but for the call that it answers", function()
    local message = tool(function() return mp.ToolMessage { content = "x", tool_call_id = "?", artifact = 7 } end)
      :invoke(call({ a = 1 }, "c9"))
    assert.same({ "x", "c9", 7 }, { message.content, message.tool_call_id, message.artifact })
  end)

  it("may be a step", function()
    local upper = tool(mp.pipe(mp.itemgetter "a", tostring))
    assert.equal("7", upper:invoke { a = 7 })
  end)

  it("runs a step that its function returns", function()
    assert.equal(5, tool(function() return mp.RunnableLambda(function(x) return x.a + 1 end) end):invoke { a = 4 })
  end)

  it("gives its function the config, and a copy of its arguments", function()
    local given, seen = { a = 1, b = mp.null }, nil
    tool(function(args, config)
      seen = config.tags[1]
      args.a = 2
    end):invoke(given, { tags = { "t" } })
    assert.same({ "t", 1 }, { seen, given.a })
  end)

  it("takes null for an argument that is left out", function()
    assert.equal(1, add:invoke { a = 1, b = mp.null })
  end)

  it("is one run of kind tool", function()
    local seen = {}
    add:invoke({ a = 1 },
      { callbacks = { { on_start = function(run) seen[#seen + 1] = run.kind .. " " .. run.name end } } })
    assert.same({ "tool add" }, seen)
  end)

  it("streams what it gives as one chunk", function()
    assert.equal(3, add:stream({ a = 1, b = 2 }):collect())
    assert.equal("3", add:stream(call { a = 1, b = 2 }):collect().content)
  end)

  it("has no arguments where there is no schema", function()
    local clock = mp.tool { name = "clock", description = "Tells the time.", fn = function() return "noon" end }
    assert.equal("noon", clock:invoke {})
    assert.matches("there is no argument 'x'", helper.input_failure(clock.invoke, clock, { x = 1 }), 1, true)
  end)
end)

describe("tool: failures", function()
  local function told(fn, args)
    local message = tool(fn):invoke(call(args or { a = 1 }))
    assert.equal("error", message.status)
    return message.content
  end

  it("raise where arguments are given, and are told where a call is", function()
    assert.matches("no such city",
      helper.failure(function() tool(function() error "no such city" end):invoke { a = 1 } end).message)
    assert.matches("^error: .*no such city$", told(function() error "no such city" end))
    assert.equal("error: not today", told(function() return nil, "not today" end))
    assert.equal("error: quota: used up", told(function() error(mp.Error { kind = "quota", message = "used up" }) end))
  end)

  it("name what is wrong with the arguments", function()
    assert.equal("error: tool add: argument 'a' is missing; it takes {a, b}", told(nil or print, {}))
    assert.equal("error: tool add: there is no argument 'z'; it takes {a, b}", told(print, { a = 1, z = 1 }))
    assert.equal("tool add: its arguments are a table, got the number 1; it takes {a, b}",
      helper.input_failure(add.invoke, add, 1))
  end)

  it("of what cannot be said are told", function()
    assert.matches("^error: ", told(function() return { print } end))
  end)

  it("by a cancel end the call", function()
    local task = tool(function() mp.sleep(10) end):start(call { a = 1 })
    task:cancel()
    local _, err = task:wait()
    assert.equal("cancelled", err.kind)
  end)

  it("by a timeout are the timeout's", function()
    local slow = tool(function() mp.sleep(10) end):with_timeout(0.01)
    local _, err = slow:try_invoke { a = 1 }
    assert.equal("timeout_total", err.kind)
  end)
end)

describe("tool: confirm", function()
  it("asks a function before each call", function()
    local asked = {}
    local paid = tool(function() return "paid" end,
      { confirm = function(args) asked[#asked + 1] = args.a return args.a < 5 end })
    assert.equal("paid", paid:invoke { a = 1 })
    assert.equal("error: tool add: the call was not allowed", paid:invoke(call { a = 9 }).content)
    assert.same({ 1, 9 }, asked)
  end)

  it("says why not", function()
    local paid = tool(print, { confirm = function() return false, "too dear" end })
    local _, err = paid:try_invoke { a = 1 }
    assert.same({ "tool", "tool add: the call was not allowed: too dear" }, { err.kind, err.message })
  end)

  it("asks the host where it is true", function()
    local calls = {}
    local paid = tool(function() return "paid" end, { confirm = true })
    local config = { configurable = { confirm_tool = function(c) calls[#calls + 1] = c return true end } }
    assert.equal("paid", paid:invoke({ a = 1 }, config))
    assert.same({ name = "add", args = { a = 1 }, type = "tool_call" }, calls[1])
    config.configurable.confirm_tool = function() return false, "not now" end
    assert.equal("tool add: the call was not allowed: not now", select(2, paid:try_invoke({ a = 1 }, config)).message)
  end)

  local SCRIPT = [==[
    local mp = require "moonpipe"
    local paid = mp.tool { name = "pay", description = "d", confirm = true, fn = function() return "paid" end,
      schema = { type = "object", properties = { to = { type = "string" } } } }
    print(paid:invoke { name = "pay", args = { to = "Ann\27[2J" }, id = "1", type = "tool_call" }.content)
  ]==]

  it("asks at the terminal where the host says nothing", function()
    local pane = terminal.start { helper.bin, "run", helper.temp(SCRIPT) }
    local ok, err = pcall(function()
      pane:wait("call tool pay with .*Ann.* %[y/N%]")
      pane:line "y"
      pane:wait "\npaid\nexit 0"
    end)
    pane:stop()
    assert(ok, err)
  end)

  it("takes any other answer for no", function()
    local pane = terminal.start { helper.bin, "run", helper.temp(SCRIPT) }
    local ok, err = pcall(function()
      pane:wait "%[y/N%]"
      pane:line ""
      pane:wait "error: tool pay: the call was not allowed\nexit 0"
    end)
    pane:stop()
    assert(ok, err)
  end)

  it("allows nothing where there is nobody to ask", function()
    local out = helper.execute { "setsid", "-w", helper.bin, "run", helper.temp(SCRIPT) }
    assert.equal("error: tool pay: the call was not allowed: there is nobody to ask\n", out)
  end)

  it("is a choice of as_tool too", function()
    local step = mp.RunnableLambda(print):as_tool { name = "t", description = "d", arg_types = "string",
      confirm = function() return false end }
    assert.equal("tool", select(2, step:try_invoke "x").kind)
    assert.equal("tool", select(2, pcall(function() step:stream("x"):collect() end)).kind)
  end)
end)

describe("tool: what is written wrong", function()
  local function said(opts) return helper.said(mp.tool, opts) end

  it("is said where it is written", function()
    assert.matches("^tool takes a name of letters, digits, _ and %-, by which models call it, got \"a b\"",
      said { name = "a b", description = "d", fn = print })
    assert.equal("tool takes a description, by which models choose it, got nil", said { name = "a", fn = print })
    assert.equal("schema of tool takes a JSON schema of an object, got a table with keys {type}",
      said { name = "a", description = "d", schema = { type = "string" }, fn = print })
    assert.equal("fn of tool: nil is not a step; is the name written right?", said { name = "a", description = "d" })
    assert.equal("confirm of tool takes a function, or true to ask the host, got a string",
      said { name = "a", description = "d", fn = print, confirm = "yes" })
    assert.matches("^unknown option 'fun' of tool; .*did you mean 'fn'%?", said { name = "a", description = "d",
      fun = print })
  end)
end)
