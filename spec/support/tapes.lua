--- Protocol tapes: what providers really send, played through our models.
---
--- spec/tapes/<provider>.jsonl is a cassette (lua/moonpipe/cassettes/cassette.lua): a line that names the
--- format, then a case a line:
---
---     { "name": "stream of a tool call",
---       "response": { "status": 200, "headers": { … }, "stream": [ "data: …\n\n", … ] },
---       "expect": { "content": "", "tool_calls": [ … ] } }
---
---   response.stream  the body of a stream, in pieces; or response.body, a whole answer.
---                    `headers` may be left out: then only the content type is sent.
---   options          of the model, where the case needs some
---   expect           of the message that invoke gives, and that the chunks add up to: fields
---                    that must be there, null for one that must not. Tables are compared
---                    member by member, so they need not name all; lists must be whole.
---   expect.error     of the error instead: `message` is a part of it, `partial` what had come;
---                    the other fields are equal
---
--- In a spec:
---
---     local tapes = require "spec.support.tapes"
---     local server = require("spec.support.server").use()
---
---     describe("ChatOpenAI", function()
---       tapes.play("openai", server, function(opts) return mp.ChatOpenAI(opts) end)
---     end)
---
--- make(opts) gives the model; opts has base_url, max_retries = 0 and the options of the case.
--- A provider that sends lines of JSON says so: tapes.play(…, make, "ndjson").
---
--- Each case is a test, in four parts: played whole; split at every byte; cut at every byte, by
--- a clean end and by a reset: what comes is the whole answer, or an error whose `partial` is a
--- true beginning; and a sample of these through sockets. The first three are made in the
--- process, by the hook that cassettes have (http.insert), so that a case takes some 100 ms.
local attempts = require "moonpipe.steps.attempts"
local busted = require "busted"
local cassette_stream = require "moonpipe.cassettes.stream"
local errors = require "moonpipe.error"
local helper = require "spec.helper"
local http = require "moonpipe.http.http"
local json = require "moonpipe.json"
local message = require "moonpipe.messages.message"

local tapes = {}

local STEP = helper.sanitized and 23 or 1 -- bytes from one place to the next
local PLACES = 6                          -- of each kind, through sockets
local NOWHERE = "http://127.0.0.1:9/v1"   -- never called: needs no key
local TYPES = { sse = "text/event-stream", ndjson = "application/x-ndjson" }

-- ---- files ---------------------------------------------------------------------------

--- The cases of a provider, in order.
---@param provider string
---@return table[]
function tapes.load(provider)
  local cases = {}
  for line in io.lines("spec/tapes/" .. provider .. ".jsonl") do
    local case = json.decode(line)
    if case.name then cases[#cases + 1] = case end
  end
  return cases
end

-- All bytes of a body.
local function bytes_of(response)
  local pieces = {}
  for i, piece in ipairs(response.stream or { response.body or "" }) do
    pieces[i] = cassette_stream.bytes_of(piece)
  end
  return table.concat(pieces)
end

-- The case's response in other pieces, and perhaps with a failure at its end.
local function variant(case, pieces, failure)
  local response = { status = case.response.status, headers = case.headers }
  if case.response.stream then
    response.stream = pieces
  else
    response.body = table.concat(pieces)
  end
  return { response = response, failure = failure }
end

-- ---- in the process ------------------------------------------------------------------

-- A tape that answers every call with one exchange.
local player = { keyless = true, hurries = true }

function player:send()
  return cassette_stream.answer(self.exchange)
end

function player:open(_, _, _, _, framing)
  return cassette_stream.play(self.exchange, framing)
end

-- What a call gives: the message or the error, and the texts that were read before it.
local function outcome(model, streams)
  local merged, texts = nil, {}
  local ok, value = pcall(function()
    if not streams then return model:invoke "x" end
    for chunk in model:stream "x" do
      merged = merged and merged + chunk or chunk
      texts[#texts + 1] = chunk.content
    end
    return message.to_message(merged)
  end)
  if ok then return value, nil, texts end
  if not errors.is(value) then error(value, 0) end
  return nil, value, texts
end

local function played(model, exchange, streams)
  player.exchange = exchange
  return outcome(model, streams)
end

-- ---- comparing -----------------------------------------------------------------------

-- The path at which a value has not what is expected, nil where it has.
local function lacks(value, expected, path)
  if expected == json.null then
    return value ~= nil and value ~= json.null and path .. " is there" or nil
  elseif type(expected) ~= "table" then
    return value ~= expected and ("%s is %s"):format(path, errors.text(value)) or nil
  elseif type(value) ~= "table" then
    return ("%s is %s"):format(path, errors.text(value))
  elseif json.is_array(expected) and #value ~= #expected then
    return ("%s has %d items"):format(path, #value)
  end
  for key, field in pairs(expected) do
    local problem = lacks(value[key], field, path .. "." .. tostring(key))
    if problem then return problem end
  end
end

local ERROR_TEXTS = { message = true }

local function lacks_error(err, expected)
  for key, field in pairs(expected) do
    local value = err[key]
    if ERROR_TEXTS[key] then
      if not value:find(field, 1, true) then return ("error.%s is %s"):format(key, value) end
    elseif key == "retryable" then
      if attempts.is_retryable(err) ~= field then return "error.retryable" end
    elseif value ~= field then
      return ("error.%s is %s"):format(key, errors.text(value))
    end
  end
end

-- Fails the test where a result is not that of the case.
local function check(case, value, err, place)
  local expected, problem = case.expect.error
  if not expected then
    problem = err and tostring(err) or lacks(value, case.expect, "message")
  else
    problem = err and lacks_error(err, expected) or not err and "no error"
  end
  if problem then error(("%s, %s: %s"):format(case.name, place, problem), 0) end
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- Of a message all that its reader acts upon; figures may still be missing.
local ESSENCE = { "content", "tool_calls", "invalid_tool_calls", "additional_kwargs" }

local function check_same_essence(value, whole, place)
  for _, key in ipairs(ESSENCE) do
    if not same(value[key], whole[key]) then
      error(("%s: a wrong success: %s is %s"):format(place, key,
        json.encode(value[key] == nil and json.null or value[key])), 0)
    end
  end
  local reason, expected = value.response_metadata.finish_reason, whole.response_metadata.finish_reason
  if reason ~= expected then
    error(("%s: a wrong success: it ended by %s"):format(place, tostring(reason)), 0)
  end
end

-- The text that the case says in all.
local function text_of(case, whole)
  if case.expect.error then return case.expect.error.partial or "" end
  return type(whole.content) == "string" and whole.content or ""
end

local CUT_KINDS = { truncated = true, reset = true, decode = true, protocol = true }

-- An error of a cut answer: nothing that was not said, and nothing that was read is missing.
local function check_cut_error(case, whole, err, texts, place)
  if not CUT_KINDS[err.kind] and not case.expect.error then
    error(("%s: %s"):format(place, tostring(err)), 0)
  end
  local partial = err.partial or ""
  if text_of(case, whole):sub(1, #partial) ~= partial then
    error(("%s: partial is '%s'"):format(place, partial), 0)
  end
  for _, text in ipairs(texts) do
    if type(text) ~= "string" then return end
  end
  if table.concat(texts) ~= partial then
    error(("%s: read '%s', partial '%s'"):format(place, table.concat(texts), partial), 0)
  end
end

-- ---- the parts of a test -------------------------------------------------------------

local function play_whole(case, model)
  local streams = { case.response.stream ~= nil }
  -- an error is one either way, and a server that knows no streams gives a whole answer
  if not streams[1] then streams[2] = true end
  local first, first_err
  for _, is_stream in ipairs(streams) do
    local value, err = played(model, variant(case, case.pieces), is_stream)
    check(case, value, err, is_stream and "streamed" or "invoked")
    first, first_err = first or value, first_err or err
  end
  return first, first_err
end

local function split_everywhere(case, model, whole, whole_err)
  local body = case.bytes
  for at = 1, #body - 1, STEP do
    local place = ("%s, split at %d"):format(case.name, at)
    local value, err = played(model, variant(case, { body:sub(1, at), body:sub(at + 1) }), true)
    if whole_err then
      check(case, value, err, place)
    elseif err or not same(value, whole) then
      error(("%s: %s"):format(place, err and tostring(err) or json.encode(value.content)), 0)
    end
  end
  local bytes = {}
  for at = 1, #body do bytes[at] = body:sub(at, at) end
  local value, err = played(model, variant(case, bytes), true)
  check(case, value, err, "byte by byte")
end

local RESET = { kind = "reset", message = "the connection was reset" }

local function cut_everywhere(case, model, whole, failure)
  local streams, body = case.response.stream ~= nil, case.bytes
  for at = 0, #body:gsub("%s+$", "") - 1, STEP do
    local place = ("%s, %s at %d"):format(case.name, failure and "reset" or "cut", at)
    local value, err, texts = played(model, variant(case, { body:sub(1, at) }, failure), streams)
    if value and not whole then error(place .. ": a wrong success", 0) end
    if value then
      check_same_essence(value, whole, place)
    else
      check_cut_error(case, whole, err, texts, place)
    end
  end
end

local function in_process(case, make)
  player.exchange = nil
  http.insert(player)
  local model = make(case.opts(NOWHERE))
  local whole, whole_err = play_whole(case, model)
  if case.response.stream then split_everywhere(case, model, whole, whole_err) end
  cut_everywhere(case, model, whole)
  cut_everywhere(case, model, whole, RESET)
end

-- ---- through sockets -----------------------------------------------------------------

local function script_of(case, fields)
  local script = { status = case.response.status, body = case.bytes, header = {} }
  for name, value in pairs(case.headers) do
    if name == "content-type" or name == "x-request-id" then
      script[name == "content-type" and "content_type" or "request_id"] = value
    else
      script.header[#script.header + 1] = name .. ": " .. value
    end
  end
  for name, value in pairs(fields or {}) do script[name] = value end
  return script
end

local function asked(case, server, make, fields)
  local model = make(case.opts(server:with(script_of(case, fields))))
  return outcome(model, case.response.stream ~= nil)
end

local FRAMINGS = { "chunked", "length", "close" }

local function sample(case, server, make, whole)
  local body = case.bytes
  for i = 1, PLACES do
    local at = math.floor(#body * i / (PLACES + 1))
    local framing = FRAMINGS[i % 3 + 1]
    local value, err = asked(case, server, make, { split = math.max(at, 1), pause = "300us" })
    check(case, value, err, "through sockets, split at " .. at)
    local texts
    value, err, texts = asked(case, server, make, { cut = at, framing = framing })
    local place = ("%s, through sockets, cut at %d, %s"):format(case.name, at, framing)
    if value then
      if not whole then error(place .. ": a wrong success", 0) end
      check_same_essence(value, whole, place)
    else
      check_cut_error(case, whole, err, texts, place)
    end
  end
end

local function through_sockets(case, server, make)
  local whole, err = asked(case, server, make)
  check(case, whole, err, "through sockets")
  sample(case, server, make, whole)
end

-- ---- specs ---------------------------------------------------------------------------

local function prepare(case, framing)
  local response = case.response
  case.headers = response.headers or {
    ["content-type"] = response.stream and TYPES[framing] or "application/json",
  }
  case.bytes = bytes_of(response)
  case.pieces = response.stream or { case.bytes }
  function case.opts(base_url)
    local opts = { base_url = base_url, max_retries = 0 }
    for name, value in pairs(case.options or {}) do opts[name] = value end
    return opts
  end
end

--- Makes the tests of all cases of a provider.
---@param provider string
---@param server spec.Server  of `use`
---@param make fun(opts: table): moonpipe.BaseChatModel
---@param framing "sse"|"ndjson"|nil  default "sse"
function tapes.play(provider, server, make, framing)
  local names = {}
  for _, case in ipairs(tapes.load(provider)) do
    if names[case.name] then error("two cases are named " .. case.name) end
    names[case.name] = true
    prepare(case, framing or "sse")
    busted.it("plays: " .. case.name, function()
      local ok, problem = pcall(helper.run, function() in_process(case, make) end, 120)
      http.insert(nil)
      if not ok then error(problem, 0) end
      helper.run(function() through_sockets(case, server, make) end, 60)
    end)
  end
end

return tapes
