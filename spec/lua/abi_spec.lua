--- What programs see of the library: its names, and the header in C and C++.
local helper = require "spec.helper"

local BUILD = helper.bin:match "^(.*)/" or "."

local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

-- The names that moonpipe.h declares.
local function declared()
  local text = helper.read("engine/include/moonpipe.h"):gsub("/%*.-%*/", "")
  local list = {}
  for name in text:gmatch "\nMOONPIPE_API [^;(]-([%w_]+)%(" do list[#list + 1] = name end
  table.sort(list)
  return list
end

describe("the library", function()
  it("gives out the functions of its header, and nothing else", function()
    local stdout, stderr = helper.execute { "nm", "-D", "--defined-only", BUILD .. "/libmoonpipe.so" }
    local names = {}
    for name in stdout:gmatch " [TtDdBbRr] ([%w_]+)" do names[#names + 1] = name end
    table.sort(names)
    assert.same(lines(helper.read "spec/embed/symbols.txt"), names, stderr)
    local public = declared()
    public[#public + 1] = "luaopen_moonpipe"
    table.sort(public)
    assert.same(public, names)
  end)

  it("says that programs need its first soname", function()
    local stdout = helper.execute { "objdump", "-p", BUILD .. "/libmoonpipe.so" }
    assert.equal("libmoonpipe.so.1", stdout:match "SONAME%s+(%S+)")
    assert.truthy(stdout:find("MOONPIPE_1", 1, true))
  end)
end)

-- Compiles and runs a program.
local function compiled(source, language, ...)
  if helper.sanitized then return pending "links a library with sanitizers" end
  local path = os.tmpname()
  local _, stderr, code = helper.execute { "cc", "-x", language, "-Wall", "-Wextra", "-pedantic",
    "-Werror", "-Iengine/include", source, "-x", "none", "-L" .. BUILD, "-lmoonpipe",
    "-Wl,-rpath," .. BUILD, "-o", path, ... }
  assert.same({ "", 0 }, { stderr, code })
  local stdout, said, ended = helper.execute { path }
  os.remove(path)
  assert.equal(0, ended, said)
  return stdout, said
end

describe("moonpipe.h", function()
  it("is C99", function() compiled("spec/embed/test_abi.c", "c", "-std=c99") end)

  it("is C11", function() compiled("spec/embed/test_abi.c", "c", "-std=c11") end)

  it("is C++17", function() compiled("spec/embed/test_abi.c", "c++", "-std=c++17") end)
end)
