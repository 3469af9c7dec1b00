--- What `moonpipe doctor` looks at.
--
-- Each check gives a text where all is well, or nil and what is missing; it may raise the same.
local choice = require "moonpipe.models.choice"
local config = require "moonpipe.tool.config"
local errors = require "moonpipe.error"
local models = require "moonpipe.tool.models"
local mp = require "moonpipe"
local names = require "moonpipe.models.names"
local native = require "moonpipe.native"
local secret = require "moonpipe.secret"
local traversal = require "moonpipe.traversal"

local c = native.c

---@class moonpipe.DoctorCheck
---@field group string
---@field name string
---@field is_needed boolean?  moonpipe cannot do without
---@field fn async fun(): string?, string?

---@type moonpipe.DoctorCheck[]
local CHECKS = {}

local group

local function check(name, fn, is_needed)
  CHECKS[#CHECKS + 1] = { group = group, name = name, fn = fn, is_needed = is_needed }
end

-- The first line that a command of ours prints.
local function line_of(command)
  local pipe = io.popen(command)
  local line = pipe and pipe:read()
  if pipe then pipe:close() end
  return line ~= "" and line or nil
end

-- ---- the program -----------------------------------------------------------------------------

group = "the program"

check("moonpipe", function() return c.version end, true)

check("LuaJIT", function()
  return ("%s, compiler %s"):format(jit.version, jit.status() and "on" or "off")
end, true)

-- Which settings the file has. A wrong one is not asked again by what follows.
check("settings", function()
  local ok, values, path = pcall(config.read)
  if not ok then
    config.install(nil, true)
    error(values, 0)
  end
  if not path then return ("none (%s is not there)"):format(config.path() or "their file") end
  return ("%s: %s"):format(path, table.concat(traversal.keys(values), ", "))
end, true)

-- ---- packages --------------------------------------------------------------------------------

group = "packages"

-- A call that nobody can answer: what it fails with tells whether the library is there.
check("libcurl (models over HTTP)", function()
  local nobody = { base_url = "http://127.0.0.1:1", api_key = "none", max_retries = 0 }
  local _, err = mp.ChatOpenAI(nobody):try_invoke "hello"
  if err.kind == "unsupported" then return nil, err.message end
  return "works"
end, true)

check("SQLite (histories, caches, batch)", function()
  local db = mp.db.open ":memory:"
  local version = db:rows("select sqlite_version() as v")[1].v
  db:close()
  return version
end)

check("FAISS (vector stores)", function()
  mp.FAISS.from_embeddings({ "a" }, { { 1 } }, { embedding = mp.HashEmbeddings() })
  return "works"
end)

check("libxml2 (HTML loader)", function()
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write "<p>text</p>"
  file:close()
  local ok, err = pcall(function() return mp.HTMLLoader(path):load() end)
  os.remove(path)
  if not ok then error(err, 0) end
  return "works"
end)

-- Nobody is there either: the refusal comes from the library.
check("libpq (vectors in PostgreSQL)", function()
  local store = mp.PGVector {
    connection = "postgresql://nobody@127.0.0.1:1/none", embedding = mp.HashEmbeddings(),
  }
  local ok, err = pcall(store.similarity_search, store, "hello")
  if not ok and errors.is(err) and err.kind == "unsupported" then return nil, err.message end
  return "works"
end)

check("libseccomp (run --isolate)", function()
  mp.sandbox({ isolate = true }):run "return 1"
  return "works"
end)

-- Programs and modules of others, and what brings them.
local function check_program(name, what, program, package)
  check(("%s (%s)"):format(name, what), function()
    local path = line_of("command -v " .. program)
    return path, path == nil and "not found; install the package " .. package or nil
  end)
end

check_program("pdftotext", "PDF loader", "pdftotext", "poppler-utils")
check_program("Graphviz", "graph --form svg", "dot", "graphviz")

check("busted (moonpipe test)", function()
  if package.searchpath then
    local path = package.searchpath("busted.core", package.path)
    if path then return path end
  end
  return nil, "not found; install the package lua-busted"
end)

-- ---- keys ------------------------------------------------------------------------------------

group = "keys and models"

-- The variables of keys, as the manual page names them.
local function key_variables()
  local list = {}
  for _, part in ipairs(require "moonpipe.tool.environment") do
    for _, variable in ipairs(part) do
      for _, name in ipairs { variable[1], variable[3] } do
        if name:find "_API_KEY$" then list[#list + 1] = name end
      end
    end
  end
  return list
end

-- A command is left alone: it may ask for a word.
local function check_key(name, from)
  if from:find "_FILE$" then
    local path = os.getenv(from)
    secret.file(path)
    return ("%s: %s"):format(from, path)
  elseif from == name then
    secret.env(name)
  end
  return from .. " is set"
end

check("keys", function()
  local set, bad = {}, {}
  for _, name in ipairs(key_variables()) do
    local from = secret.variable(name)
    if from then
      local ok, said = pcall(check_key, name, from)
      table.insert(ok and set or bad, ok and said or errors.wrap(said).message)
    end
  end
  if bad[1] then return nil, table.concat(bad, "; ") end
  return set[1] and table.concat(set, ", ") or nil, "none is set"
end)

check("servers on this machine", function()
  local list = {}
  for i, server in ipairs(models.servers()) do
    list[i] = ("%s at %s: %s"):format(server.name, server.url, server.model)
  end
  if list[1] then return table.concat(list, ", ") end
  local known = {}
  for i, server in ipairs(choice.SERVERS) do known[i] = server.name end
  return nil, ("none answers (%s)"):format(table.concat(known, ", "))
end)

check("a model", function()
  local found = choice.at_hand()
  if not found.is_last then return models.told(found) end
  return nil, "no key and no local server: answers are sentences of the context"
end)

check("embeddings", function()
  return tostring(mp.init_embeddings())
end)

-- ---- limits ----------------------------------------------------------------------------------

group = "limits"

check("open files", function()
  local most = line_of "ulimit -Hn"
  local number = tonumber(most)
  if not number or number >= 4096 then return ("up to %s"):format(most or "?") end
  return nil, ("at most %d: wide maps of calls wait for descriptors"):format(number)
end)

check("processors", function()
  return line_of "nproc" or "?"
end)

local GIB, LEAST = 1024 * 1024, 256 * 1024 -- in kB

check("memory", function()
  local available = tonumber(line_of "sed -n 's/^MemAvailable: *//p' /proc/meminfo | cut -d' ' -f1")
  if not available then return "?" end
  local said = ("%.1f GiB available"):format(available / GIB)
  if available < LEAST then return nil, said .. ": vectors of many texts may not fit" end
  return said
end)

-- ---- keys that are asked ---------------------------------------------------------------------

local checks = { LOCAL = CHECKS }

---A check for each provider that is set: whether its server takes the key.
---@async
---@return moonpipe.DoctorCheck[]
function checks.online()
  local list = {}
  for _, provider in ipairs(names.providers()) do
    local home, is_set = names.home(provider), false
    for _, variable in ipairs(home.env or {}) do is_set = is_set or secret.variable(variable) end
    if is_set then
      list[#list + 1] = { group = "asked", name = provider, fn = function()
        return ("answers, %d models"):format(#models.of(provider))
      end }
    end
  end
  return list
end

return checks
