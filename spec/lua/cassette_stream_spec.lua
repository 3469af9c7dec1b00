-- Streams that are fed: the records of an inbox do not depend on how its bytes came.
local calls = require "spec.support.calls"
local helper = require "spec.helper"
local native = require "moonpipe.native"
local server = require("spec.support.server").use()

local c = native.c

-- The records of all that an inbox was fed, each with its name.
local function records(inbox)
  local list = {}
  for data, name in inbox.read, inbox do list[#list + 1] = name .. "|" .. data end
  return list
end

local function fed(framing, ...)
  local inbox = native.check(c.inbox(framing))
  for _, piece in ipairs { ... } do assert.is_true(inbox:feed(piece)) end
  assert.is_true(inbox:feed())
  return records(inbox)
end

local EVENTS = "event: a\r\ndata: 1\r\n\r\n: no\ndata: 2\ndata: 3\n\ndata: 4"
local LINES = '{"a":1}\r\n\n{"b":2}\n{"c":3}'

describe("native: an inbox that is fed", function()
  it("cuts events, split anywhere", function()
    for at = 0, #EVENTS do
      assert.same({ "a|1", "|2\n3", "|4" }, fed("sse", EVENTS:sub(1, at), EVENTS:sub(at + 1)), at)
    end
  end)

  it("cuts lines, split anywhere", function()
    for at = 0, #LINES do
      assert.same({ '|{"a":1}', '|{"b":2}', '|{"c":3}' }, fed("ndjson", LINES:sub(1, at), LINES:sub(at + 1)), at)
    end
  end)

  it("gives what is there before it is fed more", function()
    local inbox = c.inbox("sse")
    assert.same({}, records(inbox))
    inbox:feed("data: 1\n\ndata: ")
    assert.same({ "|1" }, records(inbox))
    inbox:feed("2\n\n")
    assert.same({ "|2" }, records(inbox))
    assert.is_nil(inbox:head())
    inbox:window(5) -- nobody is held back
  end)

  it("gives texts that are framed", function()
    local inbox = c.inbox("sse")
    inbox:feed("data: [a]\n\ndata: [b]\n\n")
    inbox:feed("data: [c]\n\ndata: (d)\n\n")
    local list = {}
    assert.same({ 3, "a" }, { inbox:texts("[", "]", list) })
    assert.same({ "a", "b", "c" }, list)
    assert.same({ "|(d)" }, records(inbox))
  end)

  it("keeps what came before an event that is too large, and takes no more", function()
    local inbox = c.inbox("sse")
    local piece = ("x"):rep(2 ^ 20)
    assert.is_true(inbox:feed("data: 1\n\n"))
    assert.is_true(inbox:feed("data: "))
    local ok, message, kind = true, nil, nil
    for _ = 1, 9 do
      if ok then ok, message, kind = inbox:feed(piece) end
    end
    assert.same({ "too_large", "string" }, { kind, type(message) })
    assert.same({ "|1" }, records(inbox))
    helper.raises("this inbox takes no bytes", inbox.feed, inbox, "x")
  end)

  it("takes nothing behind its end, and is of a framing", function()
    local inbox = c.inbox("ndjson")
    inbox:feed()
    helper.raises("this inbox takes no bytes", inbox.feed, inbox, "x")
    helper.raises("invalid option 'xml'", c.inbox, "xml")
    helper.raises("string expected", c.inbox)
  end)
end)

describe("http.open: uncut", function()
  local http = require "moonpipe.http.http"

  calls.it("gives the pieces as they came", function()
    local body = "data: 1\n\n: comment\n\ndata: 2"
    local plan = calls.plan(server:with({ content_type = "text/event-stream", body = body, split = 5, pause = "20" }))
    local reader = http.open_live(plan, "{}", calls.now() + 5, nil, "sse", true)
    local pieces = calls.read(reader)
    assert.equal(body, table.concat(pieces))
    assert.is_true(#pieces > 1)
    helper.raises("this inbox takes no bytes", reader.inbox.feed, reader.inbox, "x")
  end)

  calls.it("gives what came before the stream broke", function()
    local plan = calls.plan(server:with({ tokens = 5, gap = "5", cut = 700 }))
    local reader = http.open_live(plan, calls.STREAM, calls.now() + 5, nil, "sse", true)
    local pieces, err = calls.read(reader)
    assert.equal("truncated", err.kind)
    assert.equal(700, #table.concat(pieces))
  end)

  calls.it("gives an answer that is no stream whole", function()
    local plan = calls.plan(server:with({ status = 400, body = "no" }))
    assert.equal("no", http.open_live(plan, "{}", calls.now() + 5, nil, "sse", true).body)
  end)
end)
