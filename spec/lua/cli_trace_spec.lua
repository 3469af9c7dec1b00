--- moonpipe trace: what run logs, Chrome traces and OpenTelemetry spans tell a person.
local cjson = require "cjson"
local helper = require "spec.helper"
local json = require "moonpipe.json"

local function run(...)
  local stdout, stderr, code = helper.moonpipe({ ... }, nil, { TZ = "UTC" })
  assert.equal(0, code, stderr)
  return stdout, stderr
end

local function refused(said, code, ...)
  local stdout, stderr, got = helper.moonpipe { ... }
  assert.same({ "", code }, { stdout, got })
  assert.truthy(stderr:find(said, 1, true), stderr)
end

-- A call as a run log has it: two branches at once, of which one may fail, each 1 s or 2 s long.
local function call(id, start, problem)
  local function line(name, from, to, more)
    local fields = { id = id .. name, name = name, kind = "chain", trace_id = id .. "root",
      start = start + from, ["end"] = start + to, tags = json.array {} }
    for key, value in pairs(more or {}) do fields[key] = value end
    return json.encode(fields) .. "\n"
  end
  return line("a", 0, 1, { parent_id = id .. "map", tags = { "map:key:left" }, error = problem })
    .. line("b", 0, 2, { parent_id = id .. "map", tags = { "map:key:right" }, kind = "chat_model",
      model = "gpt-5-mini", first = 0.5, tokens = { input_tokens = 1000, output_tokens = 2000,
      total_tokens = 3000 } })
    .. line("map", 0, 2, { parent_id = id .. "root" })
    .. line("last", 2, 4, { parent_id = id .. "root" })
    .. line("root", 0, 4)
end

local TREE = [[
1970-01-12 13:46:40
root                        4.000 s |==============================|
  map                       2.000 s |===============               |
    left: a                 1.000 s |========                      |
    right: b gpt-5-mini     2.000 s |===============               | ]]
  .. "first 0.500 s, 1000+2000 tokens, $0.0043\n"
  .. "  last                      2.000 s |               ===============|\n\n"

describe("moonpipe trace", function()
  it("shows the calls of a run log as trees on one scale each, and sums them up", function()
    local path = helper.temp(call("x", 1000000) .. call("y", 1000010, "lua: no\nway"))
    local stdout, stderr = run("trace", path)
    assert.equal(TREE, (stdout:match "^(.-\n\n)"))
    assert.truthy(stdout:find("left: a                 1.000 s |========                      "
      .. "| lua: no way", 1, true), stdout)
    assert.truthy(stdout:find("\n2 calls, 10 steps, 1 failed, 2000+4000 tokens, $0.0085\n", 1, true),
      stdout)
    assert.truthy(stdout:find("slowest steps:\n    2.000 s  root > map > right: b gpt-5-mini, first",
      1, true), stdout)
    assert.equal("", stderr)
  end)

  it("chooses the calls that failed, and the slowest steps", function()
    local path = helper.temp(call("x", 1000000) .. call("y", 1000010, "lua: no way"))
    local stdout = run("trace", path, "--errors")
    assert.truthy(stdout:find("^1970%-01%-12 13:46:50\nroot "), stdout)
    assert.truthy(stdout:find("\n1 call, 5 steps, 1 failed, ", 1, true), stdout)
    assert.equal("    2.000 s  root > map > right: b gpt-5-mini, first 0.500 s, 1000+2000 tokens, "
      .. "$0.0043\n    2.000 s  root > last\n", (run("trace", path, "-es2")))
  end)

  it("gives an object", function()
    local path = helper.temp(call("x", 1000000, "lua: no way"))
    local value = cjson.decode((run("trace", "--json", path)))
    assert.same({ calls = 1, failed = 1, steps = 5, input_tokens = 1000, output_tokens = 2000,
      cost = 0.00425 }, value.totals)
    local branch = value.calls[1].steps[1].steps[2]
    assert.same({ name = "b", branch = "right", kind = "chat_model", model = "gpt-5-mini",
      start = 1000000, seconds = 2, first = 0.5, input_tokens = 1000, output_tokens = 2000,
      cost = 0.00425 }, branch)
    assert.equal("lua: no way", value.calls[1].steps[1].steps[1].error)
    assert.equal("root > map > right: b gpt-5-mini", value.slowest[1].path)
    value = cjson.decode((run("trace", "--json", "--slow=1", path)))
    assert.is_nil(value.calls)
    assert.equal(1, #value.slowest)
  end)

  local SCRIPT = [[
    local mp = require "moonpipe"
    local step = mp.RunnableLambda(function(x) return x end, { name = "one" })
    local chain = { a = step, b = step | step } | function() return "q" end
      | mp.FakeListChatModel { responses = { "x" } }
    chain:invoke "1"
    chain:invoke "2"
    local bad = ({ c = function() error "no way" end } | step)
    bad:try_invoke(1)
  ]]

  -- Names and depths.
  local function shape(text)
    local list = {}
    for line in text:gmatch "[^\n]+" do list[#list + 1] = line:match "^(.-) +%d+%.%d+ s |" end
    return table.concat(list, "\n")
  end

  it("reads what --trace writes, in either form", function()
    local base = helper.fresh()
    run("--trace=" .. base .. ".json", "--trace=" .. base .. ".jsonl", helper.temp(SCRIPT))
    local log, chrome = run("trace", base .. ".jsonl"), run("trace", base .. ".json")
    os.remove(base .. ".json")
    os.remove(base .. ".jsonl")
    assert.truthy(shape(log):find("^RunnableSequence\n  RunnableParallel<a,b>\n    a: one\n"
      .. "    b: RunnableSequence\n      one\n      one\n  function [^\n]*\n  FakeListChatModel\nRunnableSequence\n"),
      log)
    assert.equal(shape(log), shape(chrome))
    assert.truthy(chrome:find("3 calls, 19 steps, 1 failed\n", 1, true), chrome)
  end)

  it("nests events of other programs as they enclose one another in their lanes", function()
    local events = [=[[
      {"name":"meta","ph":"M","pid":1,"tid":1},
      {"name":"inner","ph":"X","ts":1100000,"dur":500000,"pid":1,"tid":1},
      {"name":"outer","ph":"X","ts":1000000,"dur":1000000,"pid":1,"tid":1},
      {"name":"other","ph":"X","ts":1200000,"dur":100000,"pid":1,"tid":2},
      {"name":"later","ph":"X","ts":1700000,"dur":100000,"pid":1,"tid":1}]]=]
    assert.equal("outer\n  inner\n  later\nother", shape((run("trace", helper.temp(events)))))
  end)

  it("reads OpenTelemetry spans, whole or a line at a time", function()
    local function spans(id, parent, name, from, to, more)
      return ('{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"t","spanId":"%s",%s"name":"%s",'
        .. '"startTimeUnixNano":"%d000000000","endTimeUnixNano":"%d000000000"%s}]}]}]}'):format(id,
        parent and '"parentSpanId":"' .. parent .. '",' or "", name, from, to, more or "")
    end
    local chat = spans("2", "1", "chat gpt-5-mini", 11, 12, ',"status":{"code":2,"message":"http: no"},'
      .. '"attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},'
      .. '{"key":"gen_ai.usage.input_tokens","value":{"intValue":"7"}},'
      .. '{"key":"gen_ai.usage.output_tokens","value":{"intValue":"9"}},'
      .. '{"key":"moonpipe.tag","value":{"stringValue":"map:key:a"}}]')
    local stdout = run("trace", helper.temp(chat .. "\n" .. spans("1", nil, "root", 10, 14) .. "\n"))
    assert.equal("root\n  a: chat gpt-5-mini", shape(stdout))
    assert.truthy(stdout:find("7+9 tokens, http: no\n", 1, true), stdout)
    assert.equal("root", shape((run("trace", helper.temp(
      (spans("1", nil, "root", 10, 14):gsub("%[{", "[\n{")))))))
  end)

  it("shows what is whole of a file that is cut off, and says so", function()
    local log = call("x", 1000000) .. call("y", 1000010)
    local path = helper.temp(log:sub(1, -40))
    local stdout, stderr = run("trace", path)
    assert.equal("root\n  map\n    left: a\n    right: b gpt-5-mini\n  last\n(not in this file)\n"
      .. "  map\n    left: a\n    right: b gpt-5-mini\n  last", shape(stdout))
    assert.truthy(stderr:find(path .. ":10: the last line is cut off; it is left out", 1, true), stderr)
    local _, none = run("trace", helper.temp(log:sub(1, -2)))
    assert.equal("", none)
    local chrome = '{"traceEvents":[\n{"name":"one","ph":"X","ts":1,"dur":5,"pid":1,"tid":1},\n{"name":'
    stdout, stderr = run("trace", helper.temp(chrome))
    assert.equal("one", shape(stdout))
    assert.truthy(stderr:find("is cut off; what is whole is shown", 1, true), stderr)
  end)

  it("says where a file is no trace", function()
    local path = helper.temp(call("x", 1) .. "no json\n")
    refused(path .. ":6: this is no trace: the line is no JSON", 1, "trace", path)
    path = helper.temp(call("x", 1) .. '{"id":"1","name":"a","start":1}\n' .. call("y", 2))
    refused(path .. ":6: this is no trace: it has no 'end'", 1, "trace", path)
    path = helper.temp "print 'a script'\n"
    refused(path .. ":1: this is no trace: it is no JSON", 1, "trace", path)
    path = helper.temp '{"answer":42}'
    refused("it has neither an 'id' nor 'traceEvents' nor 'resourceSpans'", 1, "trace", path)
    refused("this is no trace: it is empty", 1, "trace", helper.temp "")
    refused("cannot open /no/such/file", 1, "trace", "/no/such/file")
    refused("trace takes one file", 2, "trace")
    refused("--follow reads run logs, of --trace=FILE.jsonl", 1, "trace", "-f", "x.json")
    refused("--slow needs a whole file", 2, "trace", "-f", "-s1", "x.jsonl")
  end)

  it("hands on no control sequences, and no keys", function()
    local path = helper.temp(call("x", 1000000, "\27]0;title\7\27[2Jbad sk-proj-"
      .. ("a"):rep(48)))
    for _, option in ipairs { "--errors", "--json", "--slow=9" } do
      local stdout = run("trace", path, option)
      assert.is_nil(stdout:find("[\27\7]"), stdout)
      assert.is_nil(stdout:find(("a"):rep(48), 1, true), stdout)
      assert.truthy(stdout:find("bad", 1, true), stdout)
    end
  end)

  it("paints steps that failed, where that is asked for", function()
    local path = helper.temp(call("x", 1000000, "lua: no way"))
    local stdout = run("trace", path, "--color=always")
    assert.truthy(stdout:find("\n\27%[1;31m    left: a [^\n]*lua: no way\27%[0m\n"), stdout)
    assert.truthy(stdout:find("\n    right: b", 1, true), stdout)
    assert.is_nil(run("trace", path):find("\27", 1, true))
  end)

  it("takes runs that come twice, or are their own parents, once", function()
    local one = call("x", 1000000)
    assert.truthy(run("trace", helper.temp(one .. one)):find("1 call, 5 steps", 1, true))
    local own = '{"id":"a","parent_id":"a","name":"a","start":1,"end":2}\n'
    assert.truthy(run("trace", helper.temp(own .. one)):find("1 call, 5 steps", 1, true))
  end)

  local FOLLOW = [[
    moonpipe=$1 log=$2 out=$3
    wait_for() { n=0; while ! grep -q "$1" "$out" "$out.err"; do
      n=$((n + 1)); [ $n -lt 300 ] || break; sleep 0.05; done; }
    "$moonpipe" trace --follow "$log" >"$out" 2>"$out.err" & pid=$!
    wait_for '^root'
    printf '%s' "$4" >>"$log"; sleep 0.2; printf '%s' "$5" >>"$log"
    wait_for '^second'
    printf '%s' "$6" >"$log"
    wait_for 'begun anew'; wait_for '^third'
    kill -TERM $pid; wait $pid; echo $?
  ]]

  it("follows a run log that grows, until it is told to end", function()
    local log, out = helper.temp(call("x", 1000000)), helper.temp()
    local second = call("y", 1000010):gsub('"root"', '"second"')
    local third = '{"id":"z","name":"third","start":1,"end":2}\n'
    local stdout = helper.execute { "sh", "-c", FOLLOW, "sh", helper.bin, log, out,
      second:sub(1, 700), second:sub(701), third }
    local shown, told = helper.read(out), helper.read(out .. ".err")
    os.remove(out .. ".err")
    assert.equal("143\n", stdout)
    assert.truthy(shape(shown):find("^root\n  map\n.*\nsecond\n  map\n.*\nthird$"), shown)
    assert.truthy(told:find(log .. " was begun anew", 1, true), told)
  end)
end)
