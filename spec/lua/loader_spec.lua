local helper = require "spec.helper"
local loader = require "moonpipe.loader"
local mp = require "moonpipe"
require "moonpipe.operator"

-- An object whose `|` makes a string.
local function object(name)
  return setmetatable({}, {
    __bor = function(a, b) return tostring(a) .. "|" .. tostring(b) end,
    __tostring = function() return name end,
  })
end

local a, b = object("a"), object("b")

local function run(text, ...)
  return assert(loader.load(text, "=t"))(...)
end

-- A folder with one module file, on package.path during fn.
local function with_module(name, text, fn)
  local path = helper.temp()
  os.remove(path)
  os.execute("mkdir " .. path)
  local file = path .. "/" .. name:gsub("%.", "/") .. ".lua"
  os.execute("mkdir -p " .. file:match("^(.*)/"))
  helper.write(file, text)
  local before = package.path
  package.path = path .. "/?.lua"
  local ok, err = pcall(fn, file)
  package.path = before
  package.loaded[name] = nil
  os.execute("rm -r " .. path)
  if not ok then error(err, 0) end
end

describe("loader.load", function()
  it("loads text that pipes", function()
    assert.are.equal("a|b", run("local a, b = ... return a | b", a, b))
  end)

  it("loads text without pipes as LuaJIT does", function()
    local fn = loader.load("return ...", "=t")
    assert.are.equal("main", debug.getinfo(fn, "S").what)
    assert.are.equal(7, fn(7))
  end)

  it("passes bytecode through", function()
    local code = string.dump(assert(loadstring("return '|', ...")))
    assert.are.same({ "|", 3 }, { loader.load(code)(3) })
  end)

  it("gives the text all its arguments and takes all its results", function()
    local text = "local x = 1 | 2 return select('#', ...), ..."
    assert.are.same({ 3, 5, nil, 6 }, { run(text, 5, nil, 6) })
  end)

  it("reads the text from a function", function()
    local pieces = { "return 1", " | ", 6, "" }
    local at = 0
    local fn = loader.load(function()
      at = at + 1
      return pieces[at]
    end)
    assert.are.equal(7, fn())
  end)

  it("lets the function that gives the text wait", function()
    assert.are.equal(3, helper.run(function()
      local given = false
      return loader.load(function()
        if given then return nil end
        given = true
        mp.sleep(0.001)
        return "return 1 | 2"
      end)()
    end))
  end)

  it("reports what the function that gives the text raises", function()
    local fn, message = loader.load(function() error("broken", 0) end)
    assert.is_nil(fn)
    assert.are.equal("broken", message)
    fn, message = loader.load(function() return {} end)
    assert.is_nil(fn)
    assert.are.equal("reader function must return a string", message)
  end)

  it("names the chunk as LuaJIT does", function()
    local _, message = loader.load("x = 1 |")
    assert.are.equal("[string \"x = 1 |\"]:1: unexpected symbol near '<eof>'", message)
    _, message = loader.load("x = 1 |", "@some/file.lua")
    assert.are.equal("some/file.lua:1: unexpected symbol near '<eof>'", message)
    _, message = loader.load("x = 1 |", "=name")
    assert.are.equal("name:1: unexpected symbol near '<eof>'", message)
    _, message = loader.load("x =\n1 |\n")
    assert.are.equal("[string \"x =...\"]:3: unexpected symbol near '<eof>'", message)
    _, message = loader.load(function() end, nil)
    assert.is_nil(message)
  end)

  it("heeds the mode", function()
    local fn, message = loader.load("return 1 | 2", "=t", "b")
    assert.is_nil(fn)
    assert.are.equal("attempt to load chunk with wrong mode", message)
    assert.are.equal(3, loader.load("return 1 | 2", "=t", "t")())
    assert.are.equal(3, loader.load("return 1 | 2", "=t", "bt")())
  end)

  it("heeds the environment", function()
    local env = { x = 4 }
    assert.are.equal(5, loader.load("y = x | 1 return y", "=t", "t", env)())
    assert.are.equal(5, env.y)
  end)

  it("makes functions whose environment can be set", function()
    local fn = loader.load("return function() return x | 1 end", "=t")
    setfenv(fn, { x = 8 })
    assert.are.equal(9, fn()())
    assert.are.equal(3, setfenv(fn(), { x = 2 })())
  end)

  it("lets LuaJIT complain about other types", function()
    helper.raises("function expected, got table", loader.load, {})
    helper.raises("function expected, got nil", loader.load, nil)
  end)

  it("keeps line numbers of run-time errors", function()
    helper.raises("t:3: here", loader.load("local x = 1\n  | 2\nerror('here')", "=t"))
  end)

  it("keeps LuaJIT's compile errors at their line", function()
    local cases = {
      ["local x = 1 | 2\ngoto nowhere"] = "t:2: undefined label 'nowhere'",
      ["local x = 1 | 2\nbreak"] = "t:2: no loop to break",
      ["x = 1 | 2\n\nx = 3y"] = "t:3: malformed number near '3y'",
      ["x = 1 | 2\nx = '\\q'"] = "t:2: invalid escape sequence near '''",
      ["x = 1 | 2\nfunction f() return ... end"] =
        "t:2: cannot use '...' outside a vararg function near '...'",
      ["x = 1 | 2\nx = a & b"] = "t:2: unexpected symbol near '&'",
    }
    for text, expected in pairs(cases) do
      assert.are.equal(expected, select(2, loader.load(text, "=t")))
    end
  end)

  it("explains `||` and `|=`", function()
    local hint = " (one '|' joins steps; 'or' is the logical or)"
    assert.are.equal("t:1: unexpected symbol near '|'" .. hint,
      select(2, loader.load("x = a || b", "=t")))
    assert.are.equal("t:1: '=' expected near '|'" .. hint,
      select(2, loader.load("x |= b", "=t")))
  end)

  it("explains the limit of upvalues", function()
    local function text(count)
      local locals, uses = {}, {}
      for i = 1, count do locals[i], uses[i] = "local v" .. i .. " = 1", "v" .. i end
      return table.concat(locals, " ") .. "\nreturn function() return 1 | 2, "
        .. table.concat(uses, ", ") .. " end"
    end
    assert.are.equal(3, (loader.load(text(59), "=t")()()))
    assert.are.equal(
      "t:2: function at line 2 has more than 60 upvalues; one that uses '|' may have 59",
      select(2, loader.load(text(60), "=t")))
  end)

  it("takes chains of 150 and of 2,000 operators", function()
    for _, count in ipairs { 150, 2000 } do
      assert.are.equal(1, run("local x = 1 return x" .. (" | x"):rep(count)))
    end
  end)
end)

describe("loader.loadfile and dofile", function()
  it("load a file that pipes", function()
    local path = helper.temp("#!/usr/bin/env moonpipe\nreturn 1 | 2, ...")
    assert.are.same({ 3, "x" }, { loader.loadfile(path)("x") })
    assert.are.equal(3, (loader.dofile(path)))
  end)

  it("name the file in messages", function()
    local path = helper.temp("x =\n 1 |")
    local expected = path .. ":2: unexpected symbol near '<eof>'"
    assert.are.same({ nil, expected }, { loader.loadfile(path) })
    local ok, message = pcall(loader.dofile, path)
    assert.is_false(ok)
    assert.are.equal(expected, message)
  end)

  it("heed mode and environment", function()
    local path = helper.temp("return x | 1")
    assert.are.equal(3, loader.loadfile(path, "t", { x = 2 })())
    assert.are.equal("attempt to load chunk with wrong mode",
      select(2, loader.loadfile(path, "b")))
  end)

  it("say what cannot be read", function()
    assert.are.equal("cannot open /nowhere/x.lua: No such file or directory",
      select(2, loader.loadfile("/nowhere/x.lua")))
    assert.are.equal("cannot read /tmp: Is a directory", select(2, loader.loadfile("/tmp")))
    helper.raises("cannot open /nowhere/x.lua", loader.dofile, "/nowhere/x.lua")
  end)

  it("read standard input without a name", function()
    local out = helper.moonpipe({ "-e", "print(dofile(), loadfile())" }, "return 1 | 2")
    assert.are.equal("3\tfunction", out:match("^3\tfunction"))
  end)

  it("let a file wait while it runs", function()
    local path = helper.temp("require('moonpipe').sleep(0.001) return 1 | 2")
    assert.are.equal(3, helper.run(function() return (loader.dofile(path)) end))
  end)
end)

describe("loader.require", function()
  local function script(text)
    local out, err = helper.script(text)
    assert.are.equal("", err)
    return out
  end

  it("loads a module once, with its name", function()
    with_module("spec_mod.part", "return { name = ..., value = 1 | 2 }", function(file)
      package.path = file:gsub("spec_mod/part%.lua$", "?.lua")
      assert.are.equal("3\tspec_mod.part\ttrue\n", script(([[
        package.path = %q
        local part = require "spec_mod.part"
        print(part.value, part.name, part == require("spec_mod.part"))]]):format(package.path)))
    end)
  end)

  it("takes true, or what the module put there, for a module without value", function()
    package.preload["spec.none"] = function() end
    assert.are.equal(true, loader.require("spec.none"))
    package.preload["spec.put"] = function(name) package.loaded[name] = "put" end
    assert.are.equal("put", loader.require("spec.put"))
    package.preload["spec.false"] = function() return false end
    assert.are.equal(false, loader.require("spec.false"))
    for _, name in ipairs { "spec.none", "spec.put", "spec.false" } do
      package.preload[name], package.loaded[name] = nil, nil
    end
  end)

  it("finds what package.loaded and package.preload hold", function()
    assert.are.equal(string, loader.require("string"))
    package.preload["spec.preloaded"] = function(...) return select("#", ...) end
    assert.are.equal(1, loader.require("spec.preloaded"))
    package.preload["spec.preloaded"], package.loaded["spec.preloaded"] = nil, nil
  end)

  it("finds C modules", function()
    assert.are.equal("table", type(loader.require("lfs") or loader.require("bit")))
  end)

  it("lists where it looked", function()
    local err = helper.raises("module 'spec.nowhere' not found:", loader.require, "spec.nowhere")
    assert.is_truthy(err:find("\n\tno field package.preload['spec.nowhere']", 1, true))
    assert.is_truthy(err:find("\n\tno file './spec/nowhere.lua'", 1, true))
    assert.is_truthy(err:find("\n\tno file './spec/nowhere.so'", 1, true))
  end)

  it("blames the line that requires", function()
    helper.raises("t:2: module 'spec.nowhere' not found:",
      loader.load("local require = ...\nrequire 'spec.nowhere'\n", "=t"), loader.require)
  end)

  it("sees loops, also those that LuaJIT's require began", function()
    local raw = require
    for _, other in ipairs { loader.require, raw } do
      for _, first in ipairs { loader.require, raw } do
        package.preload["spec.loop"] = function(name) return other(name) end
        helper.raises("loop or previous error loading module 'spec.loop'", first, "spec.loop")
        package.preload["spec.loop"], package.loaded["spec.loop"] = nil, nil
      end
    end
  end)

  -- Branches that run `fns` at once; what they gave, or their errors' messages.
  local function at_once(fns)
    local branches = {}
    for i, fn in ipairs(fns) do
      branches[i] = function()
        local ok, value = pcall(fn)
        return ok and value or tostring(value)
      end
    end
    return helper.run(function() return mp.RunnableParallel(branches)(1) end)
  end

  local function preload(modules)
    for name, fn in pairs(modules) do
      package.preload[name] = function(given)
        local module = fn(given)
        package.preload[name] = nil
        return module
      end
    end
  end

  it("waits for a module that another task loads", function()
    local count = 0
    preload { ["spec.slow"] = function()
      count = count + 1
      mp.sleep(0.02)
      return "slow"
    end }
    local get = function() return loader.require("spec.slow") end
    assert.same({ "slow", "slow", "slow", n = 3 }, at_once { get, get, get })
    assert.equal(1, count)
    package.loaded["spec.slow"] = nil
  end)

  it("fails for all when a module fails that they wait for", function()
    preload { ["spec.fails"] = function() mp.sleep(0.01) error("broken", 0) end }
    local get = function() return loader.require("spec.fails") end
    local out = at_once { get, get }
    assert.equal("broken", out[1])
    assert.matches("loop or previous error loading module 'spec.fails'", out[2], 1, true)
    package.preload["spec.fails"], package.loaded["spec.fails"] = nil, nil
  end)

  it("sees loops through several tasks", function()
    preload {
      ["spec.a"] = function() mp.sleep(0.01) return loader.require("spec.b") end,
      ["spec.b"] = function() mp.sleep(0.02) return loader.require("spec.a") end,
      ["spec.c"] = function()
        return mp.RunnableParallel({ function() return loader.require("spec.c") end })(1)
      end,
    }
    local out = at_once {
      function() return loader.require("spec.a") end,
      function() return loader.require("spec.b") end,
      function() return loader.require("spec.c") end,
    }
    assert.matches("loop or previous error", out[1] .. out[2])
    assert.matches("loop or previous error", out[3])
    for _, name in ipairs { "spec.a", "spec.b", "spec.c" } do
      package.preload[name], package.loaded[name] = nil, nil
    end
  end)

  it("can be cancelled while another task loads", function()
    preload { ["spec.slow"] = function() mp.sleep(0.05) return "slow" end }
    local got = at_once {
      function() return loader.require("spec.slow") end,
      function()
        local task = mp.RunnableLambda(function() return loader.require("spec.slow") end):start(1)
        mp.sleep(0.01)
        task:cancel()
        return select(2, task:wait()).kind
      end,
    }
    assert.same({ "slow", "cancelled", n = 2 }, got)
    package.loaded["spec.slow"] = nil
  end)

  it("remembers that a module failed", function()
    package.preload["spec.fails"] = function() error("broken") end
    helper.raises("broken", loader.require, "spec.fails")
    helper.raises("loop or previous error loading module 'spec.fails'", loader.require,
      "spec.fails")
    package.preload["spec.fails"], package.loaded["spec.fails"] = nil, nil
  end)

  it("names module and file of a text that does not load", function()
    with_module("spec_bad", "x = 1\nx = 1 |", function(file)
      local err = helper.raises("error loading module 'spec_bad' from file", function()
        local search = loader.require
        mp.install_loader { "spec_bad" }
        search("spec_bad")
      end)
      assert.is_truthy(err:find("\n\t" .. file .. ":2: unexpected symbol near '<eof>'", 1, true))
    end)
  end)

  it("checks its argument", function()
    helper.raises("bad argument #1 to 'require' (string expected, got nil)", loader.require)
    helper.raises("module '12' not found", loader.require, 12)
  end)

  it("complains about package.loaders that is no table", function()
    local before = package.loaders
    package.loaders = nil
    local ok, message = pcall(loader.require, "spec.nowhere")
    package.loaders = before
    assert.is_false(ok)
    assert.is_truthy(message:find("'package.loaders' must be a table", 1, true))
  end)

  it("lets a module run a chain while it loads", function()
    with_module("spec_waits", [[
      local mp = require "moonpipe"
      local slow = mp.RunnableLambda(function(x) mp.sleep(0.001) return x end)
      return { answer = (slow | slow):invoke("yes") }]], function(file)
      assert.are.equal("yes\n", script(([[
        package.path = %q
        print(require("spec_waits").answer)]]):format((file:gsub("spec_waits%.lua$", "?.lua")))))
    end)
  end)
end)

describe("loader.install", function()
  it("makes the globals of a script understand `|`", function()
    assert.are.equal("3\t3\t3\tnil\n", (helper.script([[
      local f = os.tmpname()
      local file = io.open(f, "w") file:write("return 1 | 2") file:close()
      print(load("return 1 | 2")(), loadstring("return 1 | 2")(), loadfile(f)(),
        (select(2, load("return 1"))))
      os.remove(f)]])))
  end)
end)

describe("loader.install_loader", function()
  it("serves the modules one owns, by LuaJIT's own require", function()
    with_module("spec_owned.inner", "return 1 | 2", function()
      mp.install_loader { "spec_owned" }
      assert.are.equal(3, require("spec_owned.inner"))
    end)
  end)

  it("leaves other modules alone", function()
    with_module("spec_ownedx", "return 1 + 2", function()
      mp.install_loader { "spec_owned" }
      assert.are.equal(3, require("spec_ownedx"))
    end)
  end)

  it("checks its argument", function()
    helper.raises("install_loader takes a list of module names, got a string",
      mp.install_loader, "x")
    helper.raises("install_loader takes a list of module names, got an empty table",
      mp.install_loader, {})
    helper.raises("install_loader takes a list of module names; one is the number 1",
      mp.install_loader, { 1 })
  end)
end)

describe("loader.main", function()
  local function main(text)
    return assert(loader.main(text, "=main"))
  end

  it("names an undefined global, its line and the nearest name", function()
    helper.raises("main:2: undefined global 'prnt'; did you mean 'print'?",
      main("local x = 1\nprnt(x)"))
  end)

  it("knows the names of locals and upvalues", function()
    helper.raises("main:1: undefined global 'promt'; did you mean 'prompt'?",
      main("local prompt = 1 return promt"))
    helper.raises("main:1: undefined global 'promt'; did you mean 'prompt'?",
      main("local prompt = 1 return (function() return prompt, promt end)()"))
  end)

  it("does not offer a name of its own", function()
    local ok, message = pcall(main("local x = 1 | 2 return Pp"))
    assert.is_false(ok)
    assert.are.equal("main:1: undefined global 'Pp'", message)
  end)

  it("takes an assigned name for defined, even if it is nil", function()
    assert.is_nil(main("spec_value = nil return spec_value")())
    assert.are.equal(4, main("spec_value = 4 return spec_value")())
    assert.are.equal(4, _G.spec_value)
    _G.spec_value = nil
  end)

  it("lets _G be asked quietly", function()
    assert.is_nil(main("return _G.spec_undefined")())
  end)

  it("sees globals that others made", function()
    _G.spec_value = 5
    assert.are.equal(5, main("return spec_value")())
    _G.spec_value = nil
  end)

  it("applies to functions, not to other texts", function()
    helper.raises("main:1: undefined global 'spec_undefined'",
      main("local function f() return spec_undefined end return f() | 1"))
    assert.is_nil(main("return load('return spec_undefined')()")())
  end)

  it("gives nil and the message for a text that does not load", function()
    assert.are.same({ nil, "main:1: unexpected symbol near '<eof>'" },
      { loader.main("x = ", "=main") })
  end)
end)
