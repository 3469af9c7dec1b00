--- `moonpipe doctor`: what there is, what is missing, and what that means.
local config = require "moonpipe.tool.config"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local models = require "moonpipe.tool.models"
local mp = require "moonpipe"
local names = require "moonpipe.models.names"
local native = require "moonpipe.native"
local settings = require "moonpipe.settings"
local traversal = require "moonpipe.traversal"

local c = native.c

local doctor = {
  name = "doctor",
  usage = "",
  summary = "Looks at libraries, models and limits, and says what is missing and for what.",
  example = "moonpipe doctor",
  files = {},
  exits = { 0, 1, 2 },
  meaning = { [1] = "what moonpipe cannot do without is missing" },
  options = { { name = "json", help = "a list of objects: name, ok, says" } },
}

-- ---- checks ------------------------------------------------------------------------------
--
-- Each gives a text where all is well, or nil and what is missing; it may raise the same.

local CHECKS = {}

local function check(name, is_needed, fn)
  CHECKS[#CHECKS + 1] = { name = name, is_needed = is_needed, fn = fn }
end

check("moonpipe", true, function() return c.version end)

check("LuaJIT", true, function()
  return ("%s, compiler %s"):format(jit.version, jit.status() and "on" or "off")
end)

-- Which settings the file has. A wrong one is not asked again by what follows.
check("settings", true, function()
  local ok, values, path = pcall(config.read)
  if not ok then
    config.install(nil, true)
    error(values, 0)
  end
  if not path then return ("none (%s is not there)"):format(config.path() or "their file") end
  return ("%s: %s"):format(path, table.concat(traversal.keys(values), ", "))
end)

-- A call that nobody can answer: what it fails with tells whether the library is there.
check("libcurl (models over HTTP)", true, function()
  local nobody = { base_url = "http://127.0.0.1:1", api_key = "none", max_retries = 0 }
  local _, err = mp.ChatOpenAI(nobody):try_invoke "hello"
  if err.kind == "unsupported" then return nil, err.message end
  return "works"
end)

check("SQLite (histories, caches, records)", false, function()
  local db = mp.db.open ":memory:"
  local version = db:rows("select sqlite_version() as v")[1].v
  db:close()
  return version
end)

check("FAISS (vector stores)", false, function()
  mp.FAISS.from_embeddings({ "a" }, { { 1 } }, { embedding = mp.HashEmbeddings() })
  return "works"
end)

check("libxml2 (HTML loader)", false, function()
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write "<p>text</p>"
  file:close()
  local ok, err = pcall(function() return mp.HTMLLoader(path):load() end)
  os.remove(path)
  if not ok then error(err, 0) end
  return "works"
end)

check("pdftotext (PDF loader)", false, function()
  local pipe = io.popen "command -v pdftotext"
  local path = pipe and pipe:read()
  if pipe then pipe:close() end
  if path then return path end
  return nil, "not found; install the package poppler-utils"
end)

check("a model", false, function()
  local wanted, from = settings.get "model"
  if wanted then return ("%s (%s)"):format(wanted, from) end
  local provider, variable = names.at_hand()
  if provider then return ("%s (%s is set)"):format(provider, variable) end
  local server = models.servers()[1]
  if server then return ("%s at %s: %s"):format(server.name, server.url, server.model) end
  return nil, "no key and no local server: answers are sentences of the context"
end)

check("open files", false, function()
  local pipe = io.popen "ulimit -Hn"
  local most = pipe and pipe:read()
  if pipe then pipe:close() end
  local number = tonumber(most)
  if not number or number >= 4096 then return ("up to %s"):format(most or "?") end
  return nil, ("at most %d: wide maps of calls wait for descriptors"):format(number)
end)

-- ---- the command -------------------------------------------------------------------------

local function examined(one)
  local ok, says, missing = pcall(one.fn)
  if not ok then says, missing = nil, errors.wrap(says).message end
  return { name = one.name, ok = says ~= nil, needed = one.is_needed,
    says = mp.printable(says or missing) }
end

function doctor.run(given, words)
  if #words > 0 then return "doctor takes no words" end
  local list, code = {}, nil
  for i, one in ipairs(CHECKS) do
    list[i] = examined(one)
    if not list[i].ok and one.is_needed then code = 1 end
    if not given.json then
      print(("%-7s %-36s %s"):format(list[i].ok and "ok" or "missing", list[i].name, list[i].says))
    end
  end
  if given.json then print(json.encode(json.array(list), { indent = 2 })) end
  return code
end

return doctor
