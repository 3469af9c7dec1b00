local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local now = native.c.now
local step, map = mp.RunnableLambda, mp.RunnableParallel

-- Emits the letters of a text, `seconds` apart.
local function letters(text, seconds)
  return mp.RunnableGenerator(function(_, emit)
    for letter in text:gmatch(".") do
      if seconds then mp.sleep(seconds) end
      emit(letter)
    end
  end)
end

-- How many tasks and jobs there are, once those that were cancelled have ended.
local function pending()
  local deadline = now() + 5
  while scheduler.pending() > 0 and now() < deadline do mp.sleep(0.001) end
  return scheduler.pending()
end

describe("stream", function()
  it("gives the chunks, then nil, for ever", function()
    local stream = letters("ab"):stream(1)
    assert.equal("stream (open)", tostring(stream))
    assert.equal("a", stream())
    assert.equal("b", stream:next())
    assert.is_nil(stream())
    assert.is_nil(stream())
    assert.equal("stream (closed)", tostring(stream))
  end)

  it("gives the rest, merged", function()
    local stream = letters("abc"):stream(1)
    stream()
    assert.equal("bc", stream:collect())
  end)

  it("closes when each is left by an error", function()
    local stream = letters("abc"):stream(1)
    helper.raises("enough", stream.each, stream, function() error("enough", 0) end)
    assert.is_nil(stream())
  end)

  it("ends the branches when it is closed #concurrency", function()
    local stream = map({ a = letters("ab", 0.001), b = letters("ab", 60) }):stream(1)
    stream()
    stream:close()
    assert.equal(0, pending())
  end)

  it("ends the branches when nobody holds it #concurrency", function()
    (function()
      local stream = map({ a = letters("ab", 0.001), b = letters("ab", 60) }):stream(1)
      stream()
    end)()
    collectgarbage()
    collectgarbage()
    assert.equal(0, pending())
  end)

  it("ends with the task that opened it, and says so", function()
    local stream
    step(function()
      stream = map({ a = letters "abc" }):stream(1)
      stream()
    end):start(1):wait()
    helper.raises("cancelled: the stream was closed", stream)
    assert.is_nil(stream())
  end)

  it("ends with the stream that reads it #concurrency", function()
    local outer = step(function()
      map({ a = letters("abc", 0.001), b = letters("abc", 60) }):stream(1)()
      return "chunk"
    end):stream(1)
    assert.equal("chunk", outer())
    assert.is_nil(outer())
    assert.equal(0, pending())
  end)

  it("leaves no timer behind", function()
    step(function() letters("a"):stream(1, { timeout = 60 }) end):start(1):wait()
    assert.equal(0, pending())
  end)

  it("holds its timeout for the streams that it reads #concurrency", function()
    local begin = now()
    local outer = step(function() return map({ a = letters("ab", 60) }):stream(1)() end)
    helper.raises("the stream did not end within 0.005 s", outer:stream(1, { timeout = 0.005 }))
    assert.is_true(now() - begin < 30)
  end)

  it("holds its timeout for tasks that it waits for #concurrency", function()
    local begin = now()
    local task
    local outer = step(function()
      task = step(function() mp.sleep(60) end):start(1)
      return task:wait()
    end)
    helper.raises("the stream did not end within 0.005 s", outer:stream(1, { timeout = 0.005 }))
    task:cancel()
    assert.is_true(now() - begin < 30)
  end)

  it("raises its timeout, whatever had arrived", function()
    local stream = map({ a = letters "ab" }):stream(1, { timeout = 0.005, on_error = "collect" })
    stream()
    mp.sleep(0.02)
    helper.raises("the stream did not end within", stream)
  end)

  it("refuses a second reader at the same time #concurrency", function()
    local stream = map({ a = letters("ab", 0.005) }):stream(1)
    local first = step(function() return stream() end):start(1)
    local second = step(function() return stream() end):start(1)
    local _, err = second:wait()
    assert.matches("this stream is being read already", err.message)
    assert.same({ a = "a" }, (first:wait()))
    stream:close()
  end)

  it("may be read by one task after the other", function()
    local stream = letters("abc", 0.001):stream(1)
    local seen = ""
    for _ = 1, 3 do seen = seen .. step(function() return stream() end):start(1):wait() end
    assert.equal("abc", seen)
  end)

  it("cancels who reads when another task closes it", function()
    local stream = letters("a", 60):stream(1)
    local reader = step(function() return stream() end):start(1)
    mp.sleep(0.001)
    stream:close()
    local _, err = reader:wait()
    assert.equal("cancelled", err.kind)
  end)
end)
