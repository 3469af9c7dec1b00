--- `moonpipe test`: a user's specs, offline, with what servers said on cassettes.
--
-- Each spec file has a cassette of its own, which is in while the file runs. A cassette that a spec
-- puts in itself comes before it.
local cassette = require "moonpipe.cassettes.cassette"
local errors = require "moonpipe.error"
local host = require "moonpipe.tool.host"
local scheduler = require "moonpipe.scheduler"
local settings = require "moonpipe.settings"
local terminal = require "moonpipe.terminal"

local test = {
  name = "test",
  usage = "[FILES...]",
  summary = "Runs specs, in Lua with busted, without a network.",
  about = "FILES are specs, or folders of files that end in _spec.lua; without any: those of this "
    .. "folder and of the folder spec. A spec is written as busted wants it, with `describe` and "
    .. "`it`; | works in it, and in what it loads.\n\n"
    .. "Nothing is sent. What a model is asked in NAME_spec.lua is answered from "
    .. "cassettes/NAME_spec.jsonl beside it, which --record writes; a request that has no answer "
    .. "there is an error that names it.",
  example = "moonpipe new joke && moonpipe test\n"
    .. "moonpipe test --record joke_spec.lua",
  exits = { 0, 1, 2, 3, 124, 130, 143 },
  meaning = { [1] = "a test failed", [2] = "wrong usage, or there is no spec",
    [3] = "busted is not installed" },
  files = { "lua" },
  options = {
    { name = "record", short = "r",
      help = "ask the servers, and write what they say to cassettes, anew; with --filter: add what "
        .. "is missing" },
    { name = "live", help = "ask the servers, and keep nothing" },
    { name = "filter", short = "f", value = "PATTERN",
      help = "only tests whose names have this Lua pattern in them" },
    { name = "tags", short = "t", value = "TAGS", help = "only tests with one of these #tags" },
  },
}

local FAILED = 1
local ADVICE = " (`moonpipe test --record` asks, and keeps what is said; the network is off)"
local MISSING = "busted, which runs the specs, is not installed: `apt-get install lua-busted`, or "
  .. "`luarocks --lua-version=5.1 install busted`"

-- ---- files -------------------------------------------------------------------------------------

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function found_in(folder, more)
  local list = {}
  local pipe = assert(io.popen(("find %s %s -name '*_spec.lua' -not -path '*/.*/*' 2>/dev/null")
    :format(quoted(folder), more or "")))
  for path in pipe:lines() do list[#list + 1] = path:gsub("^%./", "") end
  pipe:close()
  table.sort(list)
  return list
end

local function is_folder(path)
  local file = io.open(path)
  if not file then return false end
  local code = select(3, file:read(0))
  file:close()
  return code == 21 -- EISDIR
end

local function add(list, more)
  for _, one in ipairs(more) do list[#list + 1] = one end
end

-- The specs that are meant, or nil and what is wrong.
local function specs_of(words)
  local list = {}
  if #words == 0 then
    add(list, found_in(".", "-maxdepth 1"))
    add(list, found_in "spec")
    if #list == 0 then
      return nil, "there is no spec here; `moonpipe new NAME` writes a chain and its spec"
    end
  end
  for _, word in ipairs(words) do
    local more = is_folder(word) and found_in(word) or { word }
    if not host.exists(word) then return nil, ("there is no file '%s'"):format(word) end
    if #more == 0 then return nil, ("there is no *_spec.lua in '%s'"):format(word) end
    add(list, more)
  end
  return list
end

-- ---- cassettes ---------------------------------------------------------------------------------

local function cassette_of(spec)
  local folder, name = spec:match "^(.*/)([^/]*)$"
  return (folder or "") .. "cassettes", (name or spec):gsub("%.lua$", "") .. ".jsonl"
end

-- The tape of a spec, and what ends it.
local function put_in(given, spec)
  local folder, name = cassette_of(spec)
  local path = folder .. "/" .. name
  if not given.record then return cassette.offline(path, ADVICE) end
  return cassette.cassette(path, { mode = given.filter and "add" or "record" }), folder
end

local function take_out(tape, folder)
  if folder and tape:recorded() > 0 then os.execute("mkdir -p " .. quoted(folder)) end
  tape:close()
end

-- Puts the cassette of each file in while that runs.
local function watch_files(given, busted)
  local tape, folder
  busted.subscribe({ "file", "start" }, function(file)
    tape, folder = put_in(given, file.name)
    return nil, true
  end)
  busted.subscribe({ "file", "end" }, function()
    take_out(tape, folder)
    return nil, true
  end)
end

-- What the words of a spec that puts cassettes in itself mean; nil: as they say.
local function mode_of(given)
  if given.live then return nil end
  if not given.record then return "replay" end
  return given.filter and "add" or "record"
end

-- ---- busted ------------------------------------------------------------------------------------

-- busted makes the object that hears of its files when it runs, from here.
local function hear(given)
  local ok, core = pcall(require, "busted.core")
  if not ok then errors.raise("config", MISSING) end
  package.loaded["busted.core"] = function()
    local busted = core()
    if not given.live then watch_files(given, busted) end
    return busted
  end
end

local function words_for_busted(given, specs)
  local list = { [0] = "moonpipe test", "--ignore-lua",
    "--output=" .. (terminal.may_color(1) and "utfTerminal" or "plainTerminal") }
  if given.filter then list[#list + 1] = "--filter=" .. given.filter end
  if given.tags then list[#list + 1] = "--tags=" .. given.tags end
  if given.verbose then list[#list + 1] = "--verbose" end
  list[#list + 1] = "--"
  add(list, specs)
  return list
end

-- A caller with a file's name has busted tell by an error without a value that a test failed; with
-- ours it would end the program.
local RUN = "local runner = ... local passed = runner { standalone = false } return passed"

---@async
function test.run(given, words)
  if given.record and given.live then return "--record and --live exclude one another" end
  local specs, problem = specs_of(words)
  if not specs then return problem end
  hear(given)
  settings.flags.cassette_mode = mode_of(given)
  rawset(_G, "arg", words_for_busted(given, specs))
  local run = assert(loadstring(RUN, "@moonpipe test"))
  local ok, err = pcall(run, require "busted.runner")
  if ok then return end
  if err ~= nil then error(err, 0) end
  scheduler.raise_if_cancelled(scheduler.current()) -- tests failed of it, one by one
  return FAILED
end

return test
