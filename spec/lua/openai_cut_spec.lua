--- A recorded stream that is cut at every byte, and one that comes in pieces split at
--- every byte: the whole result, or an error with a true beginning.
local calls = require "spec.support.calls"
local cjson = require "cjson"
local errors = require "moonpipe.error"
local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local STEP = helper.sanitized and 5 or 1 -- bytes from one place to the next
local WIDTH = 50                         -- calls at once

-- ---- recordings ------------------------------------------------------------------------

local function record(delta, reason)
  return cjson.encode({ id = "i", choices = { { delta = delta, finish_reason = reason } } })
end

-- What a server says in all, in order; text is what the records before have said.
local LINES = {
  { "data: " .. record({ role = "assistant", content = "" }), says = "" },
  { "data: " .. record({ content = "aä" }), says = "aä" },
  { ": ping", says = "" },
  { "data: " .. record({ content = " b\\n\"" }), says = " b\\n\"" },
  { "data: " .. record({ content = "€\240\159\152\128" }), says = "€\240\159\152\128" },
  { "data: " .. record({}, "stop"), says = "", finishes = true },
  { "data: [DONE]", says = "" },
}
local WHOLE = "aä b\\n\"€\240\159\152\128"

---@class spec.Recording
---@field body string
---@field ends table[]      after byte `at` a record is complete that says `text`, with all before
---@field finished integer  after this byte the provider has said that it is finished
---@field sure integer      after this one that record is complete

-- The body with that line end.
local function recording(eol)
  local self, text = { body = "", ends = {} }, ""
  for _, line in ipairs(LINES) do
    self.body = self.body .. line[1]
    if line.finishes then self.finished = #self.body end
    self.body, text = self.body .. eol .. eol, text .. line.says
    if line.finishes then self.sure = #self.body end
    self.ends[#self.ends + 1] = { at = #self.body, text = text }
  end
  return self
end

-- What must have come of the first [at] bytes.
local function complete(self, at)
  local text = ""
  for _, one in ipairs(self.ends) do
    if one.at <= at then text = one.text end
  end
  return text
end

-- ---- calls -----------------------------------------------------------------------------

-- Runs fn(at) for each place of [count], many at once; gives what came by place.
local function at_every_byte(count, fn)
  local places = {}
  for at = 1, count, STEP do places[#places + 1] = at end
  local seen = helper.run(function()
    return mp.RunnableLambda(function(at)
      return { at = at, fn(at) }
    end):batch(places, { max_concurrency = WIDTH })
  end, 120)
  assert.equal(#places, #seen)
  return seen
end

-- How a stream ended, the text that was read of it, and the error.
local function outcome(script)
  local model = mp.ChatOpenAI { base_url = server:with(script), max_retries = 0 }
  local parts, stream = {}, model:stream "x"
  local ok, err = pcall(function()
    for chunk in stream do parts[#parts + 1] = chunk.content end
  end)
  if not ok and not errors.is(err) then error(err, 0) end
  return ok and "whole" or err.kind, table.concat(parts), err
end

local function script_of(body, fields)
  local script = { content_type = "text/event-stream", body = body }
  for name, value in pairs(fields) do script[name] = value end
  return script
end

-- ---- cut -------------------------------------------------------------------------------

local KINDS = { whole = true, truncated = true, reset = true }

local function check_cut(self, fault, one)
  local at, how, text, err = one.at, one[1], one[2], one[3]
  local place = ("%s=%d: %s, '%s'"):format(fault, at, how, text)
  assert.is_true(KINDS[how], place)
  assert.equal(WHOLE:sub(1, #text), text, place)
  if how == "whole" then
    assert.equal(WHOLE, text, place)
    assert.is_true(at >= self.finished, place)
    return
  end
  assert.equal(text, err.partial or "", place)
  if fault == "reset" then return end -- takes with it what was on its way
  assert.is_true(at < self.sure, place)
  assert.is_true(#text >= #complete(self, at), place)
end

-- Gives how often which end was seen.
local function cut_everywhere(self, fault, framing)
  local count = {}
  for _, one in ipairs(at_every_byte(#self.body - 1, function(at)
    return outcome(script_of(self.body, { [fault] = at, framing = framing }))
  end)) do
    check_cut(self, fault, one)
    count[one[1]] = (count[one[1]] or 0) + 1
  end
  return count
end

local EOLS = { { "line feeds", "\n" }, { "CRLF", "\r\n" }, { "carriage returns", "\r" } }

describe("ChatOpenAI: a recorded stream", function()
  for _, eol in ipairs(EOLS) do
    local self = recording(eol[2])

    for _, framing in ipairs({ "chunked", "length", "close" }) do
      it(("with %s, framed by %s, cut at any byte"):format(eol[1], framing), function()
        for _, fault in ipairs({ "cut", "end" }) do
          local count = cut_everywhere(self, fault, framing)
          assert.truthy(count.whole and count.truncated, fault)
        end
      end)
    end

    it(("with %s, reset at any byte"):format(eol[1]), function()
      assert.truthy(cut_everywhere(self, "reset", "chunked").reset)
    end)

    it(("with %s, split at any byte"):format(eol[1]), function()
      for _, one in ipairs(at_every_byte(#self.body, function(at)
        return outcome(script_of(self.body, { split = at, pause = "300us" }))
      end)) do
        assert.same({ "whole", WHOLE }, { one[1], one[2] }, one.at)
      end
    end)
  end

  it("cut at any byte of its head is an error without a text", function()
    for _, one in ipairs(at_every_byte(100, function(at)
      return outcome(script_of(recording("\n").body, { cut = "h" .. at }))
    end)) do
      assert.is_true(one[1] == "reset" or one[1] == "truncated", one.at .. " " .. one[1])
      assert.equal("", one[2])
    end
  end)
end)

describe("ChatOpenAI: a whole answer", function()
  it("cut at any byte is an error", function()
    local body = cjson.encode({ id = "i", choices = { { finish_reason = "stop",
      message = { role = "assistant", content = WHOLE } } } })
    for _, framing in ipairs({ "chunked", "length", "close" }) do
      for _, one in ipairs(at_every_byte(#body - 1, function(at)
        local model = mp.ChatOpenAI {
          base_url = server:with({ body = body, cut = at, framing = framing }), max_retries = 0,
        }
        return model:try_invoke("x")
      end)) do
        local value, err = one[1], one[2]
        assert.is_nil(value, framing .. " " .. one.at)
        assert.truthy(({ truncated = 1, decode = framing == "close" or nil })[err.kind], tostring(err))
      end
    end
  end)
end)

-- ---- lines of JSON -----------------------------------------------------------------------

describe("http.open: lines of JSON", function()
  local RECORDS = { '{"a":"x"}', '{"a":"ä\240\159\152\128"}', '{"b":[1,2]}', '{"done":true}' }

  local function read(body, fields)
    local script = script_of(body, fields)
    script.content_type = "application/x-ndjson"
    local ok, reader = pcall(calls.open, server:with(script), nil, 60, "ndjson")
    if not ok then return {}, reader end
    return calls.read(reader)
  end

  -- All records before the cut, and of the next one at most a beginning.
  local function check_lines(body, fault, one)
    local lines, err = one[1], one[2]
    local place = ("%s=%d: %s"):format(fault, one.at, cjson.encode(lines))
    local _, complete_lines = body:sub(1, one.at):gsub("\n", "")
    for i, line in ipairs(lines) do
      local expected = i < #lines and RECORDS[i] or RECORDS[i]:sub(1, #line)
      assert.equal(expected, line, place)
    end
    if fault == "reset" then return end
    assert.is_true(#lines >= complete_lines, place)
    assert.is_true(#lines <= complete_lines + 1, place)
    if fault == "cut" then assert.equal("truncated", err and err.kind, place) end
  end

  for _, eol in ipairs({ EOLS[1], EOLS[2] }) do
    local body = table.concat(RECORDS, eol[2]) .. eol[2]

    it(("with %s, cut at any byte"):format(eol[1]), function()
      for _, fault in ipairs({ "cut", "end", "reset" }) do
        for _, one in ipairs(at_every_byte(#body - 1, function(at)
          return read(body, { [fault] = at, framing = "chunked" })
        end)) do
          check_lines(body, fault, one)
        end
      end
    end)

    it(("with %s, split at any byte"):format(eol[1]), function()
      for _, one in ipairs(at_every_byte(#body, function(at)
        return read(body, { split = at, pause = "300us" })
      end)) do
        assert.same(RECORDS, one[1], one.at)
        assert.is_nil(one[2])
      end
    end)
  end
end)
