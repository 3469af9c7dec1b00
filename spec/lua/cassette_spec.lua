-- Cassettes: what was recorded is played, and how a request finds its answer.
local calls = require "spec.support.calls"
local cjson = require "cjson"
local helper = require "spec.helper"
local http = require "moonpipe.http.http"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local server = require("spec.support.server").use()

local model = calls.models(server, { max_retries = 0 })

-- Records fn() on a new cassette and gives its path and what fn gave.
local function recorded(fn, opts)
  local path = helper.fresh()
  opts = opts or {}
  opts.mode = "record"
  return path, mp.cassette(path, opts, fn)
end

-- fn() played from a cassette, with no server asked.
local function played(path, fn, opts)
  local before = server:stats().requests
  opts = opts or {}
  opts.mode = "replay"
  local results = { mp.cassette(path, opts, fn) }
  assert.equal(before, server:stats().requests)
  return unpack(results)
end

-- The exchanges of a file.
local function lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = cjson.decode(line) end
  return list
end

local function texts(m, input)
  local list = {}
  for chunk in m:stream(input or "one two three") do list[#list + 1] = chunk.content end
  return list
end

after_each(function() http.insert(nil) end) -- should a test have failed

describe("cassette", function()
  it("plays what it recorded", function()
    local m = model({ answer_id = "chat-1", usage = "7,3" })
    local path, live = recorded(function() return m:invoke "hello" end)
    assert.equal(1, server:stats().requests)
    assert.same(live, played(path, function() return m:invoke "hello" end))
    assert.equal("chat-1", live.id)
  end)

  it("plays streams chunk by chunk", function()
    local m = model()
    local path, live = recorded(function() return texts(m) end)
    assert.same({ "one ", "two ", "three", "" }, live)
    assert.same(live, played(path, function() return texts(m) end))
  end)

  it("records streams while they are read", function()
    local m = model({ tokens = 3, gap = 100 })
    local begun, first = native.c.now(), nil
    recorded(function()
      for _ in m:stream "x" do first = first or native.c.now() - begun end
    end)
    assert.is_true(first < (native.c.now() - begun) / 2)
  end)

  it("is for the calls that begin while it is in", function()
    local m = model()
    local path = helper.fresh()
    local tape = mp.cassette(path)
    m:invoke "a"
    tape:close()
    tape:close()
    m:invoke "b"
    assert.same({ 2, "a" }, { #lines(path), lines(path)[2].request.body.messages[1].content })
    assert.equal(1, tape:recorded())
  end)

  it("gives what the function gives, nils included, and is out when it fails", function()
    local m = model()
    local path = helper.fresh()
    local a, b, c, d = mp.cassette(path, function() return 1, nil, 3, nil end)
    assert.same({ 1, nil, 3, nil }, { a, b, c, d })
    local tape
    local err = helper.failure(mp.cassette, path, function(own)
      tape = own
      m:invoke "a"
      mp.RunnableLambda(function() error(mp.Error { kind = "tool", message = "no" }, 0) end):invoke(1)
    end)
    assert.equal("tool", err.kind)
    assert.is_true(tape.closed)
    assert.is_nil(http.tape())
    assert.equal(2, #lines(path))
  end)

  it("gives way to one that is put in later, until that is closed", function()
    local m = model()
    local outer, inner = helper.fresh(), helper.fresh()
    local first = mp.cassette(outer)
    m:invoke "a"
    local second = mp.cassette(inner)
    m:invoke "b"
    first:close() -- in any order
    m:invoke "c"
    second:close()
    m:invoke "d"
    assert.same({ 2, 3 }, { #lines(outer), #lines(inner) })
  end)

  it("hears of what nested tasks and maps ask, in any order", function()
    local m = model()
    local chain = mp.RunnableParallel {
      a = mp.pipe(mp.PromptTemplate.from_template("a {x}"), m, mp.StrOutputParser()),
      b = mp.pipe(mp.PromptTemplate.from_template("b {x}"), m, mp.StrOutputParser()),
      c = mp.RunnableLambda(function(x) return m:invoke("c " .. x.x).content end),
    }
    local path, live = recorded(function() return chain:invoke { x = "1" } end)
    assert.same({ a = "a 1", b = "b 1", c = "c 1" }, live)
    assert.same(live, played(path, function() return chain:invoke { x = "1" } end))
    assert.same({ "a 1", "c 1", "b 1" }, played(path, function()
      return { m:invoke("a 1").content, m:invoke("c 1").content, m:invoke("b 1").content }
    end))
  end)

  it("plays equal requests in the order in which they began", function()
    local base_url = server:lane("order", { { answer = "first", delay = 300 }, "answer=second" })
    local m = model(nil, { base_url = base_url })
    local path, live = recorded(function()
      return helper.run(function()
        local slow = m:start "x"
        calls.wait(server, function(stats) return stats.requests >= 1 end)
        local fast = m:invoke("x").content
        return { slow:wait().content, fast }
      end)
    end)
    assert.same({ "first", "second" }, live)
    assert.same(live, played(path, function()
      return { m:invoke("x").content, m:invoke("x").content }
    end))
  end)

  it("plays embeddings", function()
    local embeddings = mp.OpenAIEmbeddings { base_url = server.base_url }
    local path, live = recorded(function() return embeddings:embed_documents { "a", "b" } end)
    local again = played(path, function() return embeddings:embed_documents { "a", "b" } end)
    assert.same({ #live, live[2][1] }, { #again, again[2][1] })
  end)

  it("does not hear of what is no part of a chain", function()
    local tracer = mp.OTLPTracer { endpoint = server:with({ body = "{}" }) }
    local path = recorded(function()
      model():invoke("x", { callbacks = { tracer } })
      tracer.flush()
    end)
    assert.equal(2, #lines(path))
  end)
end)

describe("cassette: the file", function()
  it("names its format, has an exchange a line with sorted keys, and is its owner's", function()
    local path = recorded(function() model("request_id=r1"):invoke "hello" end)
    local text = helper.read(path)
    assert.truthy(text:find('^{"moonpipe_cassette":1}\n{"request":{"body":{"messages":%[{"content":"hello",'
      .. '"role":"user"}%],"model":'), text)
    assert.truthy(text:find('"headers":{"content-type":"application/json","x-request-id":"r1"},"status":200}}\n', 1,
      true), text)
    assert.equal("600\n", (helper.execute { "stat", "-c", "%a", path }))
  end)

  it("keeps the pieces of a stream, also those that are no text", function()
    local body = 'data: {"choices":[{"delta":{"content":"ä"}}]}\n\ndata: [DONE]\n\n'
    local half = body:find("\195", 1, true)
    local m = model({ content_type = "text/event-stream", body = body, split = half, pause = "30" })
    local path, live = recorded(function() return texts(m) end)
    assert.same({ "ä", "" }, live)
    local pieces = lines(path)[2].response.stream
    assert.same({ bytes = body:sub(1, half - 1) .. "Ã" }, pieces[1])
    assert.same(live, played(path, function() return texts(m) end))
  end)

  it("keeps every byte of an answer", function()
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local stream = require "moonpipe.cassettes.stream"
    local all = table.concat(bytes)
    for _, text in ipairs { all, "", "a", "äö", "\195", "Ã\195\131" } do
      assert.equal(text, stream.bytes_of(cjson.decode(native.c.json_encode(stream.text_of(text)))))
    end
  end)

  it("is read whatever members lines have besides", function()
    local path = recorded(function() model():invoke "hello" end)
    local text = helper.read(path):gsub('{"request"', '{"note":"x","request"')
    helper.write(path, text .. "\n  \n")
    assert.equal("hello", played(path, function() return model():invoke "hello" end).content)
  end)

  local function refused(text, opts)
    return helper.failure(mp.cassette, helper.temp(text), opts or { mode = "replay" })
  end

  it("is refused where a line is none", function()
    local head = '{"moonpipe_cassette":1}\n'
    for text, problem in pairs {
      [""] = "line 1 of the cassette '%s': the file is empty",
      ["x"] = "line 1 of the cassette '%s': ",
      ["[1]\n"] = "line 1 of the cassette '%s': this is no cassette: it must name its format",
      [head .. "\n<<<<<<< HEAD"] = "line 3 of the cassette '%s': ",
      [head .. "7"] = "line 2 of the cassette '%s': it is no object",
      [head .. '{"request":{}}'] = "it has no request.url",
      [head .. '{"request":{"url":"u"}}'] = "it says nothing of an answer",
      [head .. '{"request":{"url":"u"},"response":{}}'] = "it has no response.status",
      [head .. '{"request":{"url":"u"},"response":{"status":200,"stream":[7]}}'] = "response.stream is a list of",
      [head .. '{"request":{"url":"u"},"response":{"status":200,"body":{}}}'] = "response.body a text",
      [head .. '{"request":{"url":"u"},"failure":{"kind":"odd"}}'] = "failure.kind is no kind of an error",
    } do
      local err = refused(text)
      assert.equal("decode", err.kind)
      local expected = problem:gsub("^(.*)'%%s'.*$", "%1")
      assert.truthy(err.message:find(expected, 1, true), err.message)
      assert.is_nil(http.tape())
    end
  end)

  it("is refused where it is of another format, or cannot be read", function()
    local err = refused('{"moonpipe_cassette":2}')
    assert.same({ "unsupported", true }, { err.kind, err.message:find("has format 2", 1, true) ~= nil })
    err = helper.failure(mp.cassette, "spec", { mode = "replay" })
    assert.same({ "io", true }, { err.kind, err.message:find("cannot read the cassette 'spec'", 1, true) ~= nil })
    err = helper.failure(mp.cassette, helper.fresh(), { mode = "replay" })
    assert.equal("io", err.kind)
    assert.truthy(err.message:find("mode = 'record' makes one", 1, true))
  end)

  it("that cannot be written is told, and the cassette is out", function()
    local err = helper.failure(mp.cassette, "/nowhere/x.jsonl", function() model():invoke "x" end)
    assert.equal("io", err.kind)
    assert.truthy(err.message:find("cannot write the cassette '/nowhere/x.jsonl': cannot write: No such", 1, true))
    assert.is_nil(http.tape())
  end)

  it("is written when the program ends, closed or not", function()
    for _, ending in ipairs { "", "error('x', 0)", "os.exit(0, true)" } do
      local path = helper.fresh()
      helper.moonpipe({ "-e", ([[local mp = require "moonpipe"
        mp.cassette(%q)
        mp.ChatOpenAI { base_url = %q }:invoke "x" %s]]):format(path, server.base_url, ending) })
      assert.equal(2, #lines(path), ending)
    end
  end)

  it("stays as it is where nothing was recorded", function()
    local path = recorded(function() model():invoke "hello" end)
    local before = helper.read(path)
    mp.cassette(path, { mode = "record" }):close()
    assert.equal(before, helper.read(path))
  end)
end)

describe("cassette: modes", function()
  it("auto records where there is no file and plays where there is one", function()
    local path = helper.fresh()
    local tape = mp.cassette(path)
    assert.equal("record", tape.mode)
    model():invoke "a"
    tape:close()
    tape = mp.cassette(path)
    assert.equal("replay", tape.mode)
    helper.raises("has no answer", function() model():invoke "b" end)
    tape:close()
    assert.equal(2, #lines(path))
    assert.equal(("cassette %s (replay, 0 played, 0 recorded)"):format(path), tostring(tape))
  end)

  it("record begins the file anew", function()
    local path = recorded(function() model():invoke "a" end)
    mp.cassette(path, { mode = "record" }, function() model():invoke "b" end)
    assert.equal("b", lines(path)[2].request.body.messages[1].content)
    assert.equal(2, #lines(path))
  end)

  it("add plays what is there and records the rest behind it", function()
    local path = recorded(function() model():invoke "a" end)
    local tape = mp.cassette(path, { mode = "add" })
    assert.same({ "b", "a", "a" }, { model():invoke("b").content, model():invoke("a").content,
      model():invoke("a").content })
    assert.same({ 1, 2 }, { tape.played, tape:recorded() })
    tape:close()
    assert.equal(3, server:stats().requests)
    local found = {}
    for i = 2, 4 do found[i - 1] = lines(path)[i].request.body.messages[1].content end
    assert.same({ "a", "b", "a" }, found)
  end)

  it("come from the environment where a script names none", function()
    local path = recorded(function() model():invoke "hello" end)
    local script = ([[local mp = require "moonpipe"
      print(mp.ChatOpenAI { base_url = %q, max_retries = 0 }:try_invoke(...).content)]]):format(server.base_url)
    local file = helper.temp(script)
    local before = server:stats().requests
    local out = helper.moonpipe({ file, "hello" }, nil, { MOONPIPE_CASSETTE = path })
    assert.equal("hello\n", out)
    local _, err = helper.moonpipe({ file, "other" }, nil, { MOONPIPE_CASSETTE = path })
    assert.truthy(err:find("attempt to index a nil value", 1, true), err)
    assert.equal(before, server:stats().requests)
    out = helper.moonpipe({ file, "other" }, nil,
      { MOONPIPE_CASSETTE = path, MOONPIPE_CASSETTE_MODE = "add" })
    assert.same({ "other\n", 3 }, { out, #lines(path) })
  end)

  it("of the environment that are wrong let no call through", function()
    local script = ([[local mp = require "moonpipe"
      local m = mp.ChatOpenAI { base_url = %q, max_retries = 0 }
      for _ = 1, 2 do print(select(2, m:try_invoke "x")) end]]):format(server.base_url)
    for _, env in ipairs { { MOONPIPE_CASSETTE = helper.fresh(), MOONPIPE_CASSETTE_MODE = "replay" },
      { MOONPIPE_CASSETTE = helper.fresh(), MOONPIPE_CASSETTE_MODE = "odd" } } do
      local out = helper.moonpipe({ "-e", script }, nil, env)
      assert.equal(2, select(2, out:gsub("cassette", "")), out)
    end
    assert.equal(0, server:stats().requests)
  end)
end)
