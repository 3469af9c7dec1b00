--- The loops of others: LÖVE, Neovim, libuv and SDL2, as they are installed, with the adapters of
--- lua/moonpipe/host/ and the examples of scripts/embed/.
local guest = require "spec.support.guest"
local helper = require "spec.helper"
local process = require "spec.support.process"

-- All of a host would have to be made for the sanitizer.
local plain_it = helper.sanitized and function() end or it

-- With a file of its own, for what xvfb-run makes itself it may fail to remove, and then exits with 5.
local function screen()
  return { "timeout", "50", "xvfb-run", "-a", "-f", helper.temp "", "-s", "-screen 0 640x360x24" }
end

local lines = {}
for i = 1, 8 do lines[i] = ("guest %d says good morning to all\n"):format(i) end
local TEXT = table.concat(lines)

-- Variables for a host that shall find the module, and what is beside the specs.
local function with(env)
  local out = {}
  for name, value in pairs(guest.environment) do out[name] = value end
  out.LUA_PATH, out.LUA_CPATH = "./?.lua;;", out.LUA_CPATH .. ";;"
  for name, value in pairs(env or {}) do out[name] = value end
  return out
end

local function on_screen(...)
  local command = screen()
  for _, word in ipairs { ... } do command[#command + 1] = word end
  return command
end

local function ends_well(stdout, command, env)
  local got, stderr, code = helper.execute(command, nil, with(env))
  assert.equal(stdout, got, stderr)
  assert.equal(0, code, stderr)
  return stderr
end

-- What the examples say of the frames of a game.
local REPORT = "(%d+) frames, (%d+) over their budget; longest update: ([%d.]+) ms of CPU"

-- Ten times the goal, which is 0.1 % of the frames and 10 ms, beside the first ones, in which modules
-- are loaded.
local function check_frames(name, report)
  local frames, late, longest = report:match(REPORT)
  helper.figure(name .. ", 200 streams: " .. report:match "%d+ frames[^\n]*")
  assert.is_true(tonumber(late) <= tonumber(frames) / 100 + 3, report)
  assert.is_true(tonumber(longest) <= 100, report)
end

local TOKENS = helper.long and 500 or 50
local CROWD = ("tokens=%d; gap=50"):format(TOKENS)

-- All of 200 answers of the server to that are whole and where they belong.
local function check_crowd(printed)
  local words = {}
  for i = 1, TOKENS do words[i] = "tok" .. i - 1 end
  local answer, count = table.concat(words, " "), 0
  for line in printed:gmatch "[^\n]+" do
    if line:gsub(" *$", "") ~= answer then return assert.equal(answer, line) end
    count = count + 1
  end
  assert.equal(200, count)
end

describe("hosts", function()
  local server

  setup(function() server = require("spec.support.server").start() end)
  teardown(function() server:stop() end)

  -- The lane is new, so that its peak is the host's own.
  local function url(name)
    return server:lane(name, "gap=20")
  end

  local function were_at_once(name)
    assert.equal(8, server:stats().lanes[name].peak)
  end

  it("give the texts of eight streams: libuv", function()
    ends_well(TEXT .. "the loop went on\n", { "luajit", "spec/support/hosts/luv.lua", url "luv" })
    were_at_once "luv"
  end)

  plain_it("give the texts of eight streams: LÖVE", function()
    ends_well(TEXT .. "frames went on\n", on_screen("love", "spec/support/hosts/love", url "love"))
    were_at_once "love"
  end)

  plain_it("give the texts of eight streams: Neovim", function()
    ends_well(TEXT, { "nvim", "--headless", "--clean", "-c",
      "luafile spec/support/hosts/nvim.lua" }, { MOONPIPE_URL = url "nvim" })
    were_at_once "nvim"
  end)

  it("let a coroutine wait while others go on: libuv", function()
    ends_well("b\na\nboom\n", { "luajit", "-e", [[
      local mp, uv, host = require "moonpipe", require "luv", require "moonpipe.host.luv"
      local stop = host.install(uv)
      local function later(seconds, text)
        return mp.RunnableLambda(function() mp.sleep(seconds) return text end)
      end
      local left = 2
      local function go(...)
        local co = coroutine.create(function(...)
          print((host.invoke(later(...))))
          left = left - 1
          if left > 0 then return end
          local _, err = host.invoke(mp.RunnableLambda(function() error("boom", 0) end))
          print(err.message)
          stop()
        end)
        assert(coroutine.resume(co, ...))
      end
      go(0.2, "a")
      go(0.01, "b")
      uv.run()]] })
  end)

  it("say where a coroutine is missing: libuv", function()
    local _, stderr, code = helper.execute({ "luajit", "-e", [[
      local mp = require "moonpipe"
      require("moonpipe.host.luv").invoke(mp.RunnablePassthrough(), 1)]] }, nil, with())
    assert.equal(1, code)
    assert.truthy(stderr:find("invoke of a host is for a coroutine", 1, true), stderr)
  end)

  it("say where LÖVE is missing", function()
    local _, stderr, code = helper.execute({ "luajit", "-e", [[
      require("moonpipe") require("moonpipe.host.love").install()]] }, nil, with())
    assert.equal(1, code)
    assert.truthy(stderr:find("there is no global 'love'", 1, true), stderr)
  end)
end)

describe("examples of hosts", function()
  local server

  setup(function() server = require("spec.support.server").start() end)
  teardown(function() server:stop() end)

  local function model(url)
    return { MOONPIPE_MODEL = "openai:gpt-5.4-mini", OPENAI_API_KEY = "sk-test",
      OPENAI_BASE_URL = url }
  end

  plain_it("let an innkeeper talk in a LÖVE game", function()
    local stderr = ends_well("Innkeeper, what is the news in the village?\n",
      on_screen("love", "scripts/embed/love", "--once"), model(server:lane("inn", "gap=20")))
    assert.truthy(stderr:find(REPORT), stderr)
  end)

  plain_it("keep their frames with 200 streams: LÖVE", function()
    local printed, stderr, code = helper.execute(on_screen("love", "scripts/embed/love", "--once",
      200), nil, with(model(server:lane("guests", CROWD))))
    assert.equal(0, code, stderr)
    check_crowd(printed)
    check_frames("LÖVE", stderr)
    assert.equal(200, server:stats().lanes.guests.peak)
  end)

  -- Neovim runs `script` when the plugin is there, and what it prints is compared.
  local function in_nvim(expected, script, env)
    local path = helper.temp([[
      vim.opt.runtimepath:append "scripts/embed/nvim"
      vim.cmd "runtime plugin/moonpipe.lua"
      local function text()
        return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
      end
      local function until_(fn) assert(vim.wait(20000, fn, 10), text()) end
      vim.api.nvim_buf_set_lines(0, 0, -1, false, { "Bears sleep in winter." })
      ]] .. script .. [[
      io.stdout:write(text(), "\n")
      vim.cmd "qall!"]])
    return ends_well(expected, { "nvim", "--headless", "--clean", "-c", "luafile " .. path }, env)
  end

  plain_it("answer about a buffer in a split of Neovim's", function()
    in_nvim("Bears sleep in winter.\n", [[
      vim.cmd "Ask When do bears sleep?"
      until_(function() return text() == "Bears sleep in winter." and #vim.api.nvim_list_wins() == 2 end)
    ]], { MOONPIPE_MODEL = "extractive" })
  end)

  plain_it("end an answer in Neovim, and its connection", function()
    in_nvim("stopped\n", [[
      vim.cmd "Ask a long question please"
      until_(function() return text() ~= "" end)
      vim.cmd "AskStop"
      until_(function() return text():find "cancelled" end)
      vim.api.nvim_buf_set_lines(0, 0, -1, false, { "stopped" })
    ]], model(server:lane("stop", "tokens=5000; gap=20")))
    assert.equal(1, server:stats().lanes.stop.aborted)
  end)
end)

describe("an example with SDL2", function()
  local server

  setup(function() server = require("spec.support.server").start() end)
  teardown(function() server:stop() end)

  -- Plays until `guests` have their answers: what they are, and the frames' report and picture.
  local function play(guests, url)
    local found, game = pcall(process.helper, "game")
    if not found then return pending("built without SDL2") end
    local picture = helper.temp()
    local got, stderr, code = helper.execute(on_screen(game, guests, picture), nil,
      { MOONPIPE_MODEL = "openai:gpt-5.4-mini", OPENAI_API_KEY = "sk-test", OPENAI_BASE_URL = url })
    return { code = code, stdout = got, stderr = stderr, picture = helper.read(picture) }
  end

  plain_it("lets eight guests talk in a C game, and saves how it looked", function()
    local game = play(8, server:lane("sdl", "gap=150"))
    if not game then return end
    assert.same({ TEXT, 0 }, { game.stdout, game.code }, game.stderr)
    assert.truthy(tonumber((game.stderr:match(REPORT))) > 3, game.stderr)
    assert.equal(8, server:stats().lanes.sdl.peak)
    assert.equal("BM", game.picture:sub(1, 2))
    for _, color in ipairs { "\112\160\216", "\128\96\48", "\208\232\240" } do -- skin, clothes, letters
      assert.truthy(game.picture:find(color, 1, true))
    end
  end)

  plain_it("keeps its frames with 200 streams", function()
    local game = play(200, server:lane("crowd", CROWD))
    if not game then return end
    assert.equal(0, game.code, game.stderr)
    check_crowd(game.stdout)
    check_frames("SDL2", game.stderr)
    assert.equal(200, server:stats().lanes.crowd.peak)
  end)

  plain_it("shows an error where an answer should be", function()
    local game = play(1, server:lane("locked", "status=401"))
    if not game then return end
    assert.equal(1, game.code)
    assert.truthy(game.stdout:find("%S"), game.stderr)
  end)
end)

describe("an example of nginx", function()
  local server, nginx

  local function started(script)
    server = require("spec.support.server").start()
    nginx = require("spec.support.nginx").start("scripts/embed/nginx", {
      MOONPIPE_MODEL = "openai:gpt-5.4-mini", OPENAI_API_KEY = "sk-test",
      OPENAI_BASE_URL = server:lane("ngx", script),
    })
  end

  after_each(function()
    if nginx then nginx:stop() end
    if server then server:stop() end
    nginx, server = nil, nil
  end)

  plain_it("streams eight answers at once, in two workers", function()
    started "gap=20"
    local out = helper.temp()
    local gets = {}
    for i = 1, 8 do
      gets[i] = ("curl -sS --unix-socket %s 'http://localhost/ask?q=guest%%20%d%%20says%%20"):format(
        nginx.socket, i) .. ("good%%20morning%%20to%%20all' >%s.%d &"):format(out, i)
    end
    os.execute(table.concat(gets, " ") .. " wait")
    local texts = {}
    for i = 1, 8 do
      texts[i] = helper.read(out .. "." .. i) .. "\n"
      os.remove(out .. "." .. i)
    end
    assert.equal(TEXT, table.concat(texts), helper.read(nginx.log))
    assert.is_true(server:stats().lanes.ngx.peak > 2)
  end)

  plain_it("sends each piece when it is there", function()
    started "tokens=5; gap=150"
    local seen = helper.temp()
    nginx:get("/ask", "--trace", seen, "-o", "/dev/null")
    local _, count = helper.read(seen):gsub("<= Recv data", "")
    assert.is_true(count >= 4, helper.read(seen))
  end)

  plain_it("gives a whole answer, and errors with their kind", function()
    started "tokens=3"
    assert.equal("tok0 tok1 tok2", ((nginx:get "/whole"):gsub("%s+$", "")))
    server:lane("ngx", "status=401")
    assert.truthy((nginx:get "/whole"):find("^auth: "))
    assert.truthy((nginx:get "/ask"):find("[auth: ", 1, true))
  end)

  plain_it("ends the call of a client that has gone", function()
    started "tokens=5000; gap=20"
    os.execute(("curl -sSN --unix-socket %s http://localhost/ask 2>/dev/null | head -c 4 >/dev/null")
      :format(nginx.socket)) -- curl leaves when it cannot write any more
    require("spec.helper").run(function()
      require("spec.support.calls").wait(server, function(stats)
        return stats.lanes.ngx.aborted == 1
      end)
    end)
  end)
end)
