-- The translator against Lua 5.4, whose `|` is native: the same random programs
-- must do the same; and on plain Lua, which must come out as it went in.
local helper = require "spec.helper"
local loader = require "moonpipe.loader"
local native = require "moonpipe.native"
require "moonpipe.operator"

local COUNT = tonumber(os.getenv("MOONPIPE_ORACLE")) or (helper.long and 10000 or 1000)

local generate = dofile("spec/pipe/generator.lua")
local oracle = dofile("spec/pipe/oracle.lua")

local function has_oracle()
  return os.execute("command -v lua5.4 >/dev/null 2>&1") == 0
end

-- The records of programs 1 to COUNT under lua5.4.
local function native_records()
  local path = helper.temp()
  assert(os.execute(("lua5.4 spec/pipe/oracle.lua 1 %d >%s"):format(COUNT, path)) == 0)
  local records = {}
  for record in helper.read(path):gmatch("(.-)" .. oracle.separator) do
    records[#records + 1] = record
  end
  return records
end

local function first_difference(a, b)
  local theirs, at = {}, 0
  for line in (a .. "\n"):gmatch("(.-)\n") do theirs[#theirs + 1] = line end
  for line in (b .. "\n"):gmatch("(.-)\n") do
    at = at + 1
    if line ~= theirs[at] then
      return ("line %d\n  lua5.4: %s\n  ours:   %s"):format(at, tostring(theirs[at]), line)
    end
  end
  return "ours ends early, at line " .. at
end

local function lua_files(folder)
  local list = {}
  local pipe = assert(io.popen("find " .. folder .. " -name '*.lua' | sort"))
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

describe("pipe oracle", function()
  it("runs " .. COUNT .. " random programs like lua5.4", function()
    if not has_oracle() then return pending("no lua5.4") end
    local records, long = native_records(), 0
    assert.are.equal(COUNT, #records)
    for seed, expected in ipairs(records) do
      assert(not expected:find("does not load", 1, true), "a program does not load: " .. seed)
      assert(not expected:find("failed: ", 1, true), "a program fails: " .. seed)
      local text = generate(seed)
      if native.c.translate(text, "x"):find(".chain(", 1, true) then long = long + 1 end
      local ours = oracle.run(text, loader.load)
      if ours ~= expected then
        error(("program %d: %s"):format(seed, first_difference(expected, ours)), 0)
      end
    end
    assert(long >= COUNT / 50, "too few long chains: " .. long)
  end)

  it("keeps every line of the programs", function()
    for seed = 1, COUNT / 10 do
      local text = generate(seed)
      local translated = native.c.translate(text, "x")
      local _, before = text:gsub("\n", "")
      local _, after = translated:gsub("\n", "")
      assert(after == before + 1, "program " .. seed)
    end
  end)

  -- The one file there that uses `|` itself, for Lua 5.3.
  local PIPES = "/usr/share/lua/5.1/luacheck/vendor/sha1/lua53_ops.lua"

  it("leaves plain Lua as it is: Debian's modules and our own", function()
    local count = 0
    for _, folder in ipairs { "/usr/share/lua/5.1", "lua" } do
      for _, path in ipairs(lua_files(folder)) do
        local text = helper.read(path)
        local rewritten, message = native.c.rewrite(text, path)
        assert(rewritten, message)
        if path ~= PIPES then assert(rewritten == text, path .. " has changed") end
        count = count + 1
      end
    end
    assert(count > 100, "only " .. count .. " files")
  end)
end)
