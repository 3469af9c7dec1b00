local helper = require "spec.helper"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local read = steps.chunks_of

local function letters(text, note)
  return mp.RunnableGenerator(function(_, emit)
    for letter in text:gmatch(".") do
      if note then note(letter) end
      emit(letter)
    end
  end)
end

describe("map_chunks", function()
  local upper = mp.map_chunks(string.upper)

  it("is given each chunk of a stream by itself", function()
    assert.same({ "A", "B", "C" }, read(mp.pipe(letters "abc", upper):stream(1)))
  end)

  it("is given the whole input where it is invoked", function()
    assert.equal("ABC", upper:invoke "abc")
    assert.equal("ABC", mp.pipe(letters "abc", upper):invoke(1))
  end)

  it("holds nothing up", function()
    local order = {}
    local function note(what) return function(x) order[#order + 1] = what .. x return x end end
    local stream = mp.pipe(letters("ab", note "made "), mp.map_chunks(note "mapped ")):stream(1)
    for c in stream do order[#order + 1] = "got " .. c end
    assert.same({ "made a", "mapped a", "got a", "made b", "mapped b", "got b" }, order)
  end)

  it("leaves out chunks for which nothing is given", function()
    local vowels = mp.map_chunks(function(c) return c:match "[aeiou]" end)
    assert.same({ "a", "e" }, read(mp.pipe(letters "abcde", vowels):stream(1)))
  end)

  it("has in the error what came before, as a generator of the user's has", function()
    local function breaks(c)
      if c == "c" then error("no", 0) end
      return c:upper()
    end
    local function endless(made)
      return mp.RunnableGenerator(function(_, emit)
        for i = 1, 70000 do emit(made or i) end
        error("late", 0)
      end)
    end
    local function partial_of(stream)
      local ok, err = pcall(function() for _ in stream do end end)
      assert.is_false(ok)
      return err.partial
    end
    assert.equal("AB", partial_of(mp.pipe(letters "abcd", mp.map_chunks(breaks)):stream(1)))
    assert.equal("ab", partial_of(mp.RunnableGenerator(function(_, emit)
      emit "a"
      emit "b"
      error("no", 0)
    end):stream(1)))
    assert.is_nil(partial_of(endless():stream(1))) -- too much to be kept
    assert.is_nil(partial_of(endless(mp.Document "x"):stream(1)))
  end)

  it("lets the marks of a map go by", function()
    local ended = {}
    local count = mp.map_chunks(function(c) assert(next(c)) return c end)
    for c in mp.pipe({ a = letters "x", b = letters "y" }, count):stream(1) do
      ended[#ended + 1] = mp.finished(c)
    end
    table.sort(ended)
    assert.same({ "a", "b" }, ended)
  end)

  it("runs a step that the function returns", function()
    local twice = mp.map_chunks(function() return upper end)
    assert.same({ "A", "B" }, read(mp.pipe(letters "ab", twice):stream(1)))
  end)

  it("gives the config to a function of two parameters", function()
    local tagged = mp.map_chunks(function(c, config) return c .. config.tags[1] end)
    assert.same({ "a!", "b!" }, read(mp.pipe(letters "ab", tagged):stream(1, { tags = { "!" } })))
  end)

  it("gives nothing for an empty stream", function()
    assert.same({}, read(mp.pipe(letters "", upper):stream(1)))
  end)

  it("ends a stream where the function fails", function()
    local picky = mp.map_chunks(function(c) if c == "b" then error("no b", 0) end return c end)
    local stream = mp.pipe(letters "abc", picky):stream(1)
    assert.equal("a", stream())
    local err = helper.failure(stream)
    assert.matches("^step 2 of 2 map_chunks", err.path)
    assert.is_nil(stream())
  end)

  it("refuses what is no function", function()
    assert.equal("map_chunks takes a function, got a string", helper.said(mp.map_chunks, "x"))
    assert.matches("^map_chunks takes a function, got a", helper.said(mp.map_chunks, upper))
  end)

  it("is named after its place", function()
    assert.matches("^map_chunks%(function .*spec.lua:%d+%)$", tostring(mp.map_chunks(function() end)))
    assert.equal("mine", tostring(mp.map_chunks(print, { name = "mine" })))
  end)
end)
