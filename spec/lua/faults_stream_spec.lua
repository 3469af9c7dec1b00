-- Streams and tasks of model calls that nobody reads, that are read slowly, whose
-- readers fail, and answers of another shape than was asked for. The numbers are the
-- rows of the fault list.
local calls = require "spec.support.calls"
local helper = require "spec.helper"
local mp = require "moonpipe"

local server = require("spec.support.server").use()
local it, model = calls.it, calls.models(server)

local function check_closed(count)
  local stats = calls.wait(server, function(s) return s.in_flight == 0 end)
  assert.same({ count, 0 }, { stats.aborted, stats.broken })
end

-- ---- row 10, 11, 21: what comes is something else -------------------------------------

describe("row 10: an answer that is no JSON", function()
  local function offset_of(body)
    local err = helper.failure(function()
      return model({ body = body }, { max_retries = 0 }):invoke("hi")
    end)
    assert.same({ "decode", 200 }, { err.kind, err.status })
    return err.offset
  end

  it("tells behind how many bytes it ends to be JSON", function()
    assert.equal(12, offset_of('{"choices": }'))
    assert.equal(0, offset_of("]"))
    local cut = '{"choices":[{"message":{"content":"half an ans'
    assert.equal(#cut, offset_of(cut))
  end)
end)

describe("row 11: a malformed stream", function()
  local TOKENS = { token = { "one", " two", " three" } }

  local function text_of(script, more)
    local all = {}
    for _, part in ipairs { TOKENS, script, more or {} } do
      for key, value in pairs(part) do all[key] = value end
    end
    return model(all):stream("hi"):collect().content
  end

  it("is read whatever ends its lines, whole and byte by byte", function()
    for _, script in ipairs { { eol = "cr" }, { eol = "crlf" }, { eol = "mixed" }, { bom = true },
      { no_space = true }, { fields = true }, { multiline = true }, { keepalive = true },
      { no_last_blank = true }, { bom = true, eol = "cr", no_last_blank = true } } do
      local name = next(script)
      assert.same({ name, "one two three" }, { name, text_of(script) })
      assert.same({ name, "one two three" }, { name, text_of(script, { split = 1 }) })
    end
  end)

  it("may hold NUL in its text, and in comments", function()
    local function record(text)
      return ('data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'):format(text)
    end
    local body = ": \0\n\n" .. record("a\\u0000b") .. "data: [DONE]\n\n"
    for _, split in ipairs { 1, 1000 } do
      local got = model({ body = body, split = split, content_type = "text/event-stream" })
      assert.equal("a\0b", got:stream("hi"):collect().content)
    end
  end)

  it("with a record that is no JSON is protocol, after what came before", function()
    for _, bad in ipairs { "{not json", "\0", '{"choices":', "[1,2", "\255\254" } do
      local body = 'data: {"choices":[{"delta":{"content":"so far"}}]}\n\ndata: ' .. bad .. "\n\n"
        .. "data: [DONE]\n\n"
      local seen = {}
      local err = helper.failure(function()
        for chunk in model({ body = body, content_type = "text/event-stream" }):stream("hi") do
          seen[#seen + 1] = chunk.content
        end
      end)
      assert.same({ "protocol", "so far", "so far" }, { err.kind, err.partial, table.concat(seen) }, bad)
    end
    calls.wait(server, function(stats) return stats.in_flight == 0 end)
    assert.equal(5, server:stats().requests) -- none was tried again
  end)
end)

describe("row 21: another kind of answer than was asked for", function()
  local page = "<html><head><title>Sign in</title></head>" .. ("<p>proxy</p>"):rep(100) .. "</html>"

  it("of HTML shows its first 200 bytes, and no more", function()
    local function check(call, content_type)
      local err = helper.failure(call, model({ body = page, content_type = content_type }))
      assert.same({ "protocol", 1 }, { err.kind, err.attempts })
      assert.truthy(err.message:find(page:sub(1, 200), 1, true), err.message)
      assert.is_nil(err.message:find(page:sub(1, 220), 1, true))
    end
    check(function(m) return m:invoke("hi") end, "text/html; charset=utf-8")
    check(function(m) return m:invoke("hi") end, "text/plain")
    check(function(m) return m:stream("hi"):collect() end, "text/html")
  end)

  it("of JSON for a stream is one answer", function()
    local chunks = {}
    for chunk in model({ stream = "no", tokens = 3 }):stream("hi") do chunks[#chunks + 1] = chunk.content end
    assert.equal("tok0 tok1 tok2", table.concat(chunks))
    assert.equal(1, server:stats().completed)
  end)

  it("of a stream for JSON is protocol, with its beginning", function()
    local err = helper.failure(function() return model({ stream = "yes", tokens = 3 }):invoke("hi") end)
    assert.equal("protocol", err.kind)
    assert.matches("the answer is a stream, not JSON: data:", err.message, 1, true)
  end)
end)

-- ---- row 46: nobody holds it ---------------------------------------------------------------

describe("row 46: a handle that is left behind", function()
  local function collect()
    for _ = 1, 3 do collectgarbage() end
    mp.sleep(0) -- the loop closes what was collected
  end

  it("of a stream closes its connection when it is collected", function()
    do
      local stream = model({ tokens = 100000, gap = 1 }):stream("hi")
      stream() -- and no more
    end
    collect()
    check_closed(1)
  end)

  it("of a chain's stream closes those of its branches", function()
    do
      local map = mp.RunnableParallel {
        a = mp.pipe(model({ tokens = 100000, gap = 1 }), mp.StrOutputParser()),
        b = model({ tokens = 100000, gap = 1 }),
      }
      local stream, seen = map:stream("hi"), {}
      while not (seen.a and seen.b) do seen[next(stream())] = true end
    end
    collect()
    check_closed(2)
  end)

  it("of a stream gives its slot to the next one", function()
    local endless, short = model({ tokens = 100000, gap = 1 }), model({ tokens = 2 })
    local task = mp.RunnableLambda(function()
      do
        local stream = endless:stream("hi")
        stream()
      end
      collect()
      return short:invoke("hi").content
    end):start(nil, { max_concurrency = 1 })
    assert.equal("tok0 tok1", (task:wait()))
    assert.equal(1, server:stats().peak)
  end)

  it("of a task changes nothing: it goes on to its end", function()
    local done
    model({ hold = true }):start("hi", { on_done = function(answer) done = answer.content end })
    calls.wait(server, function(stats) return stats.in_flight == 1 end)
    collect()
    assert.is_nil(done)
    server:release()
    calls.wait(server, function() return done end)
    assert.same({ "hi", 1, 0 }, { done, server:stats().completed, server:stats().aborted })
  end)
end)

-- ---- row 56: a slow reader -------------------------------------------------------------------

describe("row 56: a stream that is read slowly", function()
  -- In KiB, of this process.
  local function rss()
    local file = assert(io.open("/proc/self/statm"))
    local _, pages = file:read("*n", "*n")
    file:close()
    return pages * 4
  end

  it("holds the server back, in bounded memory, and others go on", function()
    collectgarbage()
    local before = rss()
    local http_stream = calls.open(server:with({ tokens = 400000 }), nil, 60) -- 80 MB
    http_stream:read()
    local quick = model({ tokens = 200 })
    local sent
    for _ = 1, 5 do
      assert.matches("tok199$", quick:stream("hi"):collect().content)
      mp.sleep(0.05)
    end
    sent = server:stats().bytes.out
    mp.sleep(0.2)
    -- it sends no more: what the sockets and we hold is full
    assert.truthy(server:stats().bytes.out - sent < 1024 * 1024)
    assert.truthy(sent < 40 * 1024 * 1024, sent)
    assert.truthy(helper.sanitized or rss() - before < 48 * 1024, rss() - before)
    assert.equal(1, server:stats().in_flight)
    http_stream:close()
    check_closed(1)
  end, 60)

  it("loses nothing, and is not taken for silent", function()
    -- 6 MB of tokens, read with a pause at each hundredth of them
    local text = ("x"):rep(2000)
    local tokens = {}
    for i = 1, 20 do tokens[i] = ("%04d"):format(i) .. text end
    local script = { token = tokens }
    local slow, seen = model(script, { timeout = { idle = 0.5 } }), {}
    for chunk in slow:stream("hi") do
      seen[#seen + 1] = chunk.content:sub(1, 4)
      mp.sleep(0.05)
    end
    for i = 1, 20 do assert.equal(("%04d"):format(i), seen[i]) end
    assert.same({ 1, 0 }, { server:stats().completed, server:stats().aborted })
  end)

  it("goes on where it was, after a pause that was longer than the idle time", function()
    local reader = calls.open(server:with({ tokens = 40000 }), { idle = 0.3 }, 60)
    local first = reader:read()
    mp.sleep(1)
    local records, err = calls.read(reader)
    assert.is_nil(err)
    assert.truthy(first)
    local bytes = #first
    for _, record in ipairs(records) do bytes = bytes + #record end
    assert.truthy(bytes > 4 * 1024 * 1024, bytes)
    assert.equal(1, server:stats().completed)
  end, 60)
end)

-- ---- row 57: the reader fails ------------------------------------------------------------------

describe("row 57: a callback that raises", function()
  local ENDLESS = { tokens = 100000, gap = 1 }

  it("in on_token fails the call, and its connection is closed", function()
    local seen, told = 0, nil
    local task = model(ENDLESS):start("hi", {
      on_token = function()
        seen = seen + 1
        if seen == 3 then error("too much for me") end
      end,
      on_error = function(err) told = err end,
    })
    local _, err = task:wait()
    assert.same({ "lua", 3, "failed" }, { err.kind, seen, task:status() })
    assert.matches("faults_stream_spec.lua:%d+: too much for me$", err.message)
    assert.equal(err, told)
    check_closed(1)
  end)

  it("in on_token of a chain closes all that the chain has open", function()
    local map = mp.RunnableParallel { a = model(ENDLESS), b = model(ENDLESS), c = model "never" }
    local seen = {}
    local task = map:start("hi", { on_token = function(chunk)
      seen[next(chunk)] = true
      if seen.a and seen.b then
        calls.wait(server, function(stats) return stats.in_flight == 3 end)
        error("enough", 0)
      end
    end })
    local _, err = task:wait()
    assert.same({ "lua", "enough" }, { err.kind, err.message })
    check_closed(3)
  end)

  it("in the function of each closes the stream", function()
    local stream = model(ENDLESS):stream("hi")
    local err = select(2, pcall(stream.each, stream, function() error("no", 0) end))
    assert.equal("no", err)
    check_closed(1)
    assert.is_nil(stream())
  end)

  it("in a step of the chain closes the model's stream", function()
    local chain = mp.pipe(model(ENDLESS), mp.StrOutputParser(), mp.RunnableGenerator(function(chunks, emit)
      emit(chunks())
      error("no more", 0)
    end))
    local err = helper.failure(function() chain:stream("hi"):collect() end)
    assert.same({ "lua", "no more" }, { err.kind, err.message })
    check_closed(1)
  end)

  it("in on_done fails the task, whose call has ended", function()
    local task = model({ tokens = 1 }):start("hi", { on_done = function() error("after all", 0) end })
    local _, err = task:wait()
    assert.same({ "lua", "after all" }, { err.kind, err.message })
    assert.same({ 1, 0 }, { server:stats().completed, server:stats().aborted })
  end)

  it("leaves other calls alone", function()
    local others = {}
    for i = 1, 5 do others[i] = model({ tokens = 30, gap = 5 }):start("hi", { on_token = function() end }) end
    local bad = model(ENDLESS):start("hi", { on_token = function() error("no") end })
    assert.equal("lua", select(2, bad:wait()).kind)
    for _, task in ipairs(others) do assert.matches("tok29$", assert(task:wait()).content) end
    check_closed(1)
  end)
end)
