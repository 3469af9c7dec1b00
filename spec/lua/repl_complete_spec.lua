--- What Tab does in the REPL, and how it reads text that has not ended.
local complete = require "moonpipe.tool.repl.complete"
local env = require "moonpipe.tool.repl.env"
local helper = require "spec.helper"
local mp = require "moonpipe"
local scan = require "moonpipe.tool.repl.scan"

-- What is inserted, and the list that is shown.
local function tab(text, columns)
  local said = helper.run(function() return complete((columns or 80) .. "\n" .. text) end)
  return said:match("^([^\n]*)\n(.*)$")
end

local function inserts(expected, text)
  assert.same({ expected, "" }, { tab(text) }, text)
end

local function lists(pattern, text, columns)
  local inserted, listed = tab(text, columns)
  assert.equal("", inserted)
  assert.matches(pattern, listed)
end

describe("completion", function()
  env.keep("mp", mp)

  it("is of globals, kept variables, keywords and names of the language", function()
    env.keep("my_chain", 1)
    inserts("ain", "x = my_ch")
    inserts("through", "y = 5; RunnablePass")
    inserts("able", "x == setmetat")
    inserts("l", "repeat x = 1 unti")
    inserts("", "nothing_is_called_so")
    lists("^FAISS +Few.*\nFake.*\n", "F")
  end)

  it("is of fields and methods", function()
    env.keep("t", { alpha = { beta = 1, _hidden = 1 }, call = print })
    env.keep("chain", mp.RunnablePassthrough() | mp.StrOutputParser())
    inserts("ha", "t.alp")
    inserts("beta", "t.alpha.")
    inserts("hidden", "t.alpha._")
    inserts("call", "t:")
    inserts("etry", "x = 1 ..chain:with_r")
    inserts("I", "mp.ChatOpenA")
    inserts("from_", "mp.PromptTemplate.")
    inserts("", "f().x")
    inserts("", "t.gone.x")
  end)

  it("calls nothing of the user's", function()
    local called = false
    env.keep("odd", setmetatable({ inside = 1 }, { __index = function() called = true end,
      __call = function() called = true end, __tostring = function() called = true end }))
    inserts("ide", "odd.ins")
    inserts("", "odd.inside.x")
    inserts("", "odd { zz")
    for _, name in ipairs { "tool", "My", "ingest" } do
      env.keep(name, function() called = true end)
      inserts("", name .. " { zz")
      env.keep(name, nil)
    end
    env.keep("odd", { with_retry = function() called = true end })
    inserts("", "odd:with_retry { zz")
    assert.is_false(called)
  end)

  it("is of the options in a constructor's table, also lines behind it", function()
    inserts("mperature = ", "mp.ChatOpenAI { te")
    inserts("etries = ", "ChatOpenAI({ model = 'x',\n  max_r")
    lists("^temperature +timeout", "mp.ChatOpenAI {\n  model = f { 1, 2 }, -- so\n  t")
    inserts("op_after_attempt = ", "chain:with_retry { st")
    inserts("bedding = ", "mp.FAISS.from_texts({ 'a' }, { em")
    inserts("concurrency = ", "chain:batch({ 1, 2 }, { max_")
    inserts("", "chain:invoke({ max_conc")
  end)

  it("is of files in strings", function()
    local folder = helper.fresh()
    helper.execute { "mkdir", "-p", folder .. "/sub folder" }
    helper.write(folder .. "/sub folder/è.lua", "")
    helper.write(folder .. "/sub folder/é.lua", "")
    helper.write(folder .. "/.hidden", "")
    inserts("b folder/", ("dofile '%s/su"):format(folder))
    inserts("sub folder/", ('dofile "%s/'):format(folder))
    inserts('n"', ('dofile "%s/.hidde'):format(folder))
    lists("^è.lua +é.lua\n", ('dofile "%s/sub folder/'):format(folder))
    inserts('lua"', ('dofile "%s/sub folder/é.'):format(folder))
    inserts("ub folder/", (":load %s/s"):format(folder))
    inserts("", "x = 'there is no such")
    inserts("", "x = [[/us")
    os.execute("rm -r '" .. folder .. "'")
  end)

  it("is of commands and what they take", function()
    inserts("aph ", ":gr")
    inserts("ain", ":graph my_ch")
    inserts("nthropic", ":model a")
    lists("^off +on", ":jit o")
    inserts("mperature = ", ":time ChatOpenAI { te")
    lists("^explain +quit\ngraph", ":", 20)
  end)

  it("indents at the beginning of a line, and leaves comments alone", function()
    inserts("  ", "")
    inserts("  ", "for i = 1, 2 do\n")
    inserts("", "-- mp.ChatOpenA")
    inserts("", "--[[ mp.ChatOpenA")
  end)
end)

describe("completion of anything", function()
  it("gives an answer", function()
    local pieces = { "mp", ".", ":", "ChatOpenAI", "{", "}", "(", ")", "[", "]", "'", '"', "[[", "]]", "--",
      "--[[", "\n", " ", "x", "=", ",", "..", "te", "é", "\\", "::", ":load", "return", "function", "end",
      "0x", "FAISS", "from_texts", "\0", "\255", "~/", "/", "%" }
    for _ = 1, 2000 do
      local text = {}
      for i = 1, math.random(0, 12) do text[i] = pieces[math.random(#pieces)] end
      local whole = table.concat(text)
      local ok, inserted = pcall(tab, whole)
      assert.is_true(ok and inserted ~= nil, whole)
    end
  end)
end)

describe("scan", function()
  it("finds the return at the end of a chunk", function()
    assert.equal(11, scan.final_return("local x\n  return x"))
    assert.equal(1, scan.final_return("return function() return 1 end"))
    for _, text in ipairs { "function f() return 1 end", "x = t.return_", "-- return 1", "s = 'return'",
      "do return end", "repeat return until x", "if x then return elseif y then return else return end",
      "for i = 1, 2 do return end while x do return end", "x = [[\nreturn 1]]" } do
      assert.is_nil(scan.final_return(text), text)
    end
  end)

  it("finds what an expression calls for its value", function()
    local function calls(expected, text) assert.equal(expected, scan.final_call(text), text) end
    calls("chain:invoke", "chain:invoke(x)")
    calls("chain", "chain 'x' -- said")
    calls("chain", " chain { f(1), 2 }")
    calls("(a | b)", "(a | b)(x)")
    calls("f(1)[2].c:invoke", "f(1)[2].c:invoke [[x]]")
    for _, text in ipairs { "x", "f(x).y", "f(x)[1]", "#f(x)", "1 + f(x)", "not f(x)", "f(x), 1", "'x'",
      "function() f(x) end", "a .. b(c)" } do
      assert.is_nil(scan.final_call(text), text)
    end
  end)
end)
