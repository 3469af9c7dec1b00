local errors = require "moonpipe.error"
local helper = require "spec.helper"
local mp = require "moonpipe"

describe("error", function()
  it("reads as kind, message, path, place and figures", function()
    local err = errors.new { kind = "rate_limit", message = "slow down", status = 429, attempts = 3,
      elapsed = 4.06 }
    err:at("step 2 of 2 ChatOpenAI", "rag.lua:12"):at("map.joke", "rag.lua:14")
    assert.equal("http 429 rate_limit: slow down (in map key 'joke' > step 2 of 2 ChatOpenAI, " ..
      "composed at rag.lua:12, attempt 3, 4.1 s)", tostring(err))
    assert.equal("map.joke > step 2 of 2 ChatOpenAI", err.path)
    assert.equal("rag.lua:12", err.where)
  end)

  it("of what no step asked for tells the line that did", function()
    local calls = {
      function() mp.secret_file "/no/key" end, function() mp.secret_cmd "exit 1" end,
      function() mp.PromptTemplate.from_file "/no/prompt" end,
      function() mp.load_prompt "/no/prompt.json" end,
      function() mp.cassette("/no/tape.jsonl", { mode = "replay" }) end,
      function() mp.ChatOpenAI { base_url = "nowhere" } end,
      function() mp.OpenAIEmbeddings { base_url = "nowhere" } end,
    }
    for i, call in ipairs(calls) do
      local ok, err = pcall(call)
      local line = debug.getinfo(call, "S").linedefined
      assert.is_false(ok)
      assert.equal(("error_spec.lua:%d)"):format(line), tostring(err):match("error_spec.*$"), i)
    end
    -- a path is shown as it was written
    local _, err = pcall(mp.load_prompt, "/no/prompt.json")
    assert.equal("cannot read '/no/prompt.json': No such file or directory", err.message)
  end)

  it("reads keys as they are, and files that are called as a map as files", function()
    local err = errors.new { kind = "lua", message = "no" }
    err:at("step 2 of 2 function my_map.lua:2"):at("map.two words"):at("router.a.b")
    assert.equal("lua: no (in router key 'a.b' > map key 'two words' > step 2 of 2 function "
      .. "my_map.lua:2)", tostring(err))
  end)

  it("concatenates like a string", function()
    local err = errors.new { kind = "io", message = "gone" }
    assert.equal("io: gone!", err .. "!")
    assert.equal("!io: gone", "!" .. err)
  end)

  it("refuses a kind that is not on the list", function()
    helper.raises("unknown error kind 'odd'", errors.new, { kind = "odd", message = "x" })
  end)

  it("takes for a list what has no holes", function()
    local json = require "moonpipe.json"
    for _, list in ipairs { {}, { 1, 2 }, { false }, { 1, n = 1 }, json.array { 1 }, json.array() } do
      assert.equal(list, errors.list(list, "X"))
    end
    helper.raises("item 2 of X is nil", errors.list, { 1, nil, 3 }, "X")
    helper.raises("item 1 of X is nil", errors.list, { nil, 2 }, "X")
    helper.raises("X takes a list, got a table with keys {a}", errors.list, { a = 1 }, "X")
    helper.raises("X takes a list, got a string", errors.list, "a", "X")
    helper.raises("X takes a list, got an empty table", errors.list, setmetatable({}, {}), "X")
  end)

  it("says what an error of the user's lacks", function()
    assert.equal("tool: no", tostring(mp.Error { kind = "tool", message = "no" }))
    for problem, fields in pairs {
      ["error_spec.lua:%d+: no error has the kind 'reste'; did you mean 'reset'?"] =
        { kind = "reste", message = "x" },
      ["message of mp.Error must be a string, got nil"] = { kind = "connect" },
      ["mp.Error takes { kind =, message = }, got a string"] = "boom",
    } do
      local ok, err = pcall(mp.Error, fields)
      assert.is_false(ok)
      assert.matches(problem, err)
    end
  end)

  it("passes an mp.Error through wrap unchanged", function()
    local err = errors.new { kind = "io", message = "gone" }
    assert.equal(err, errors.wrap(err))
    assert.equal(err, errors.handler(err))
  end)

  it("knows what LuaJIT says of memory", function()
    assert.equal("memory", errors.wrap("not enough memory").kind)
    assert.equal("memory", errors.wrap("error loading module 'a': not enough memory").kind)
    assert.equal("lua", errors.wrap("not enough memory for bears").kind)
  end)

  it("wraps a table as cause and a string as message", function()
    local cause = { code = 5 }
    assert.equal(cause, errors.wrap(cause).cause)
    local err = errors.wrap("boom")
    assert.equal("boom", err.message)
    assert.is_nil(err.cause)
  end)

  it("survives a __tostring that fails", function()
    local liar = setmetatable({}, { __tostring = function() error("no") end })
    assert.equal("a table whose __tostring fails", errors.wrap(liar).message)
  end)

  it("survives a __tostring that gives no string", function()
    local liar = setmetatable({}, { __tostring = function() return 5 end })
    assert.matches("a table whose __tostring fails", errors.wrap(liar).message)
  end)

  it("blames the nearest line that is not of the library", function()
    local ok, message = pcall(errors.options, { modle = 1 }, { "model" }, "ChatOpenAI")
    assert.is_false(ok)
    assert.matches("error_spec.lua:%d+: unknown option 'modle' of ChatOpenAI; allowed: model; " ..
      "did you mean 'model'%?$", message)
  end)

  it("refuses options that are no table", function()
    helper.raises("X takes a table of options, got a string", errors.options, "a", {}, "X")
  end)

  it("finds the nearest name, and none where nothing is near", function()
    assert.equal("temperature", errors.nearest("temprature", { "model", "temperature" }))
    assert.is_nil(errors.nearest("zzz", { "model", "temperature" }))
    assert.is_nil(errors.nearest("b", { "a", "c" }))
  end)

  it("describes shapes", function()
    assert.equal("nil", errors.shape(nil))
    assert.equal("the number 5", errors.shape(5))
    assert.equal("a string", errors.shape("x"))
    assert.equal("a function", errors.shape(print))
    assert.equal("an empty table", errors.shape({}))
    assert.equal("a list of 2", errors.shape({ 1, 2 }))
    assert.equal("a table with keys {a, b}", errors.shape({ b = 1, a = 2 }))
    assert.equal("a HumanMessage", errors.shape(require("moonpipe").HumanMessage "x"))
  end)
end)
