-- Cassettes: which exchange answers a request, and what is said where none does.
local helper = require "spec.helper"
local http = require "moonpipe.http.http"
local json = require "moonpipe.json"
local mp = require "moonpipe"

local BASE_URL = "http://127.0.0.1:9/v1"

-- A file with an exchange for each body, whose answers are numbered.
local function cassette_of(...)
  local lines = { '{"moonpipe_cassette":1}' }
  for i, body in ipairs { ... } do
    lines[i + 1] = json.encode {
      request = { url = BASE_URL .. "/chat/completions", method = "POST",
        body = type(body) == "table" and body or { model = "m", messages = { { role = "user", content = body } } } },
      response = { status = 200, headers = {}, body = json.encode { choices = { {
        message = { role = "assistant", content = "answer " .. i }, finish_reason = "stop" } } } },
    }
  end
  return helper.temp(table.concat(lines, "\n") .. "\n")
end

local function ask(path, input, opts, model_opts)
  local m = mp.ChatOpenAI { base_url = BASE_URL, model = "m", max_retries = 0, unpack(model_opts or {}) }
  for name, value in pairs(model_opts or {}) do m = m:bind { [name] = value } end
  return mp.cassette(path, opts or { mode = "replay" }, function() return m:invoke(input).content end)
end

local function refused(path, input, opts, model_opts)
  local err = helper.failure(ask, path, input, opts, model_opts)
  assert.equal("input", err.kind)
  local said = err.message:gsub(" %(mode = 'add' records what is missing%)$", "")
  assert.is_true(#said < #err.message)
  return (said:gsub("^the cassette '[^']*' has no answer to POST " .. BASE_URL:gsub("%p", "%%%0")
    .. "/chat/completions: ", ""))
end

after_each(function() http.insert(nil) end)

describe("cassette_match", function()
  it("compares bodies as JSON", function()
    local path = cassette_of({ messages = { { content = "x", role = "user" } }, model = "m", temperature = 1 })
    assert.equal("answer 1", ask(path, "x", nil, { temperature = 1.0 }))
  end)

  it("compares URLs and methods too", function()
    local path = cassette_of("x")
    helper.write(path, (helper.read(path):gsub("chat", "chit")))
    assert.equal("it has only POST http://127.0.0.1:9/v1/chit/completions", refused(path, "x"))
    helper.write(path, (helper.read(path):gsub("chit", "chat"):gsub("completions", "completions?a=1")))
    assert.equal("it has only POST http://127.0.0.1:9/v1/chat/completions?a=1", refused(path, "x"))
  end)

  it("says that it is empty", function()
    assert.equal("it is empty", refused(helper.temp '{"moonpipe_cassette":1}', "x"))
  end)

  it("names some of the places that it has answers of", function()
    local path = cassette_of("a", "b", "c", "d", "e")
    local number = 0
    helper.write(path, (helper.read(path):gsub("chat/completions", function()
      number = number + 1
      return number
    end)))
    assert.equal("it has only POST http://127.0.0.1:9/v1/1, POST http://127.0.0.1:9/v1/2,"
      .. " POST http://127.0.0.1:9/v1/3, 2 more", refused(path, "x"))
  end)

  it("names the nearest exchange and where it differs", function()
    local path = cassette_of({ model = "other", messages = { { role = "user", content = "why?" } } }, "when?")
    assert.equal('line 3 is nearest: $.messages[1].content: "when?" there, "where?" asked', refused(path, "where?"))
    assert.equal('line 2 is nearest: $.model: "other" there, "m" asked', refused(path, "why?"))
  end)

  it("shows of long texts where they part", function()
    local long = ("word "):rep(50)
    local path = cassette_of(long .. "cats and dogs", "x")
    local said = refused(path, long .. "bears")
    assert.equal('line 2 is nearest: $.messages[1].content: "…word word cats and dogs" there, "…word word bears" asked',
      said)
    path = cassette_of(("ä"):rep(30) .. "ö" .. ("z"):rep(60))
    said = refused(path, ("ä"):rep(31) .. ("z"):rep(60))
    assert.is_nil(said:find("\239\191\189", 1, true), said)
    assert.truthy(said:find("ö", 1, true), said)
  end)

  it("shows members that are not there, tables, and that there are more", function()
    local path = cassette_of({ model = "m", n = 2, stop = { "a", "b" },
      messages = { { role = "user", content = "x" } } })
    assert.equal('line 2 is nearest: $.n: 2 there, nothing asked; $.stop: ["a","b"] there, nothing asked',
      refused(path, "x"))
    assert.equal('line 2 is nearest: $.messages[1].content: "x" there, "y" asked; $.n: 2 there, nothing asked;'
      .. ' $.seed: nothing there, 7 asked; 2 more',
      refused(path, "y", nil, { seed = 7, stop = { "a" }, temperature = 0 }))
  end)

  it("says how often a request was recorded that is asked more often", function()
    local path = cassette_of("x", "x", "y")
    local m = mp.ChatOpenAI { base_url = BASE_URL, model = "m" }
    local err = helper.failure(mp.cassette, path, function()
      assert.same({ "answer 1", "answer 2" }, { m:invoke("x").content, m:invoke("x").content })
      m:invoke "x"
    end)
    assert.truthy(err.message:find("asked 3 times, recorded 2 times", 1, true), err.message)
  end)

  it("leaves out what is to be ignored", function()
    local path = cassette_of({ model = "m", user = "u1", metadata = { run = 1, name = "n" },
      messages = { { role = "user", content = "x" } } })
    local opts = { mode = "replay", ignore = { "$.user", "metadata.run" } }
    assert.equal("answer 1", ask(path, "x", opts, { user = "u2", metadata = { run = 2, name = "n" } }))
    assert.equal('line 2 is nearest: $.metadata.name: "n" there, "o" asked',
      refused(path, "x", opts, { user = "u2", metadata = { run = 2, name = "o" } }))
    assert.equal("answer 1", ask(path, "other", { mode = "replay",
      ignore = { "$.user", "$.metadata", "$.messages[1].content" } }))
  end)

  it("tells what nobody asked for", function()
    local path = cassette_of("x", "y", "x")
    local m = mp.ChatOpenAI { base_url = BASE_URL, model = "m" }
    local tape = mp.cassette(path)
    m:invoke "x"
    assert.equal(0, tape.missed)
    pcall(m.invoke, m, "z")
    assert.equal(1, tape.missed)
    tape:close()
    assert.same({ "line 3: POST http://127.0.0.1:9/v1/chat/completions",
      "line 4: POST http://127.0.0.1:9/v1/chat/completions" }, tape:unplayed())
  end)
end)

describe("cassette: wrong options", function()
  local function said(...)
    return helper.said(mp.cassette, ...)
  end

  it("are told", function()
    assert.equal("cassette takes the name of a file, got nil", said(nil))
    assert.equal("cassette takes the name of a file, got a string", (said(""):gsub("got .*", "got a string")))
    assert.equal("mode of cassette must be 'auto', 'replay', 'record' or 'add', got 'once'",
      said("x", { mode = "once" }))
    assert.truthy(said("x", { mode = 7 }):find("or 'add', got", 1, true))
    assert.truthy(said("x", { mod = "add" }):find("unknown option 'mod' of cassette", 1, true))
    assert.truthy(said("x", { redact = "y" }):find("redact of cassette must be a function, got", 1, true))
    for _, ignored in ipairs { 7, "$" } do
      assert.truthy(said("x", { mode = "record", ignore = { ignored } }):find(
        "ignore of a cassette is a list of paths such as '$.user', got", 1, true))
    end
    assert.truthy(said("x", {}, 7):find("cassette runs a function, got", 1, true))
    assert.is_nil(http.tape())
  end)
end)
