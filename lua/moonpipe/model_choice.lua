--- init_chat_model and init_embeddings: what this machine has, when a script names nothing.
--
-- A chat model: the name given, else MOONPIPE_MODEL, else the key or server in the environment,
-- else a server on this machine, else the extractive model. One notice says which.
-- Embeddings: likewise by MOONPIPE_EMBEDDINGS, but what runs here never brings remote ones: it is a
-- key or the hashed ones.
local errors = require "moonpipe.error"
local http = require "moonpipe.http"
local json = require "moonpipe.json"
local lambda = require "moonpipe.lambda"
local log = require "moonpipe.log"
local native = require "moonpipe.native"

local choice = {}

-- Servers that people run, asked all at once; the first one of the list that answers is taken.
choice.SERVERS = {
  { name = "Ollama", url = "http://127.0.0.1:11434/v1" },
  { name = "llama-server", url = "http://127.0.0.1:8080/v1" },
  { name = "vLLM", url = "http://127.0.0.1:8000/v1" },
  { name = "LM Studio", url = "http://127.0.0.1:1234/v1" },
}
local PATIENCE = 0.15 -- seconds

local ADVICE = "set OPENAI_API_KEY or MOONPIPE_MODEL, or start a local server"

local function env(name)
  local value = os.getenv(name)
  return value and value ~= "" and value or nil
end

local function say(what, ...)
  log.notice(what:format(...))
end

local function check_name(name, what)
  if name ~= nil and (type(name) ~= "string" or name == "") then
    errors.usage(("%s takes the name of a model, got %s"):format(what, errors.shape(name)))
  end
end

-- `openai:gpt-x` and `gpt-x` are OpenAI's; `openai` alone is its default.
local function openai_name(name)
  local rest = name:match("^openai:?(.*)$")
  if rest then return rest ~= "" and rest or nil end
  return name
end

-- ---- chat models -------------------------------------------------------------------------------

local function extractive(opts)
  if opts and next(opts) then say("the extractive model takes no options; they are left out") end
  return require("moonpipe.models.extractive").ExtractiveChatModel()
end

local function openai(opts, more, from)
  local merged = {}
  for key, value in pairs(opts or {}) do merged[key] = value end
  for key, value in pairs(more) do merged[key] = value end
  local model = require("moonpipe.models.openai").ChatOpenAI(merged)
  say("model ChatOpenAI %s (%s)", model.model, from)
  return model
end

local function by_name(name, opts, from)
  if name == "extractive" then
    say("model ExtractiveChatModel (%s)", from)
    return extractive(opts)
  end
  return openai(opts, { model = openai_name(name) }, from)
end

-- The first model that a server lists; nothing where no server is.
local function ask(server)
  local plan = http.plan { url = server.url .. "/models", method = "GET", headers = {},
    connect = PATIENCE }
  local ok, answer = pcall(http.send, plan, nil, native.c.now() + PATIENCE)
  if not ok or answer.status ~= 200 then return { false } end
  local decoded, list = pcall(json.decode, answer.body)
  local first = decoded and type(list) == "table" and type(list.data) == "table" and list.data[1]
  return { type(first) == "table" and type(first.id) == "string" and first.id }
end

local function local_server()
  local asking = lambda.RunnableLambda(ask)
  asking.transparent = true -- no step of the user's: not in a trace
  local answers = asking:batch(choice.SERVERS)
  for i, server in ipairs(choice.SERVERS) do
    if answers[i][1] then return server, answers[i][1] end
  end
end

---The chat model [name], or what this machine has: `init_chat_model()`. Names: `gpt-…`,
---`openai:…`, `extractive`.
---@async
---@param name string?
---@param opts table?  for the model's constructor
---@return moonpipe.BaseChatModel
function choice.init_chat_model(name, opts)
  check_name(name, "init_chat_model")
  if name then return by_name(name, opts, "named in the script") end
  if env "MOONPIPE_MODEL" then return by_name(env "MOONPIPE_MODEL", opts, "MOONPIPE_MODEL") end
  for _, variable in ipairs({ "OPENAI_API_KEY", "OPENAI_BASE_URL" }) do
    if env(variable) then return openai(opts, {}, variable) end
  end
  local server, model = local_server()
  if server then
    return openai(opts, { base_url = server.url, model = model }, server.name .. " on this machine")
  end
  say("model ExtractiveChatModel (no key, no local server); %s", ADVICE)
  return extractive(opts)
end

-- ---- embeddings --------------------------------------------------------------------------------

---The embeddings [name], or what this machine has: `init_embeddings()`. Names: `hash`,
---`text-embedding-…`, `openai:…`.
---@param name string?
---@param opts table?  for the constructor
---@return table embeddings
function choice.init_embeddings(name, opts)
  check_name(name, "init_embeddings")
  name = name or env "MOONPIPE_EMBEDDINGS" or env "OPENAI_API_KEY" and "openai" or "hash"
  if name == "hash" then return require("moonpipe.embedding_hash").HashEmbeddings() end
  local merged = {}
  for key, value in pairs(opts or {}) do merged[key] = value end
  merged.model = openai_name(name) or merged.model
  return require("moonpipe.embedding_openai").OpenAIEmbeddings(merged)
end

return choice
