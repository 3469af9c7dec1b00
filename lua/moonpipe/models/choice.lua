--- init_chat_model and init_embeddings: what this machine has, when a script names nothing.
--
-- A chat model: the name given, else that of the settings (MOONPIPE_MODEL), else the key or server
-- in the environment, else a server on this machine, else the extractive model. One notice says
-- which.
-- Embeddings: likewise by MOONPIPE_EMBEDDINGS, but what runs here never brings remote ones: it is a
-- key or the hashed ones.
local errors = require "moonpipe.error"
local glance = require "moonpipe.http.glance"
local http = require "moonpipe.http.http"
local lambda = require "moonpipe.steps.lambda"
local log = require "moonpipe.log"
local names = require "moonpipe.models.names"
local native = require "moonpipe.native"
local secret = require "moonpipe.secret"
local settings = require "moonpipe.settings"

local choice = {}

-- Servers that people run, asked all at once; the first one of the list that answers is taken.
choice.SERVERS = {
  { name = "Ollama", provider = "ollama", url = "http://127.0.0.1:11434/v1",
    base_url = "http://127.0.0.1:11434" },
  { name = "llama-server", provider = "llamacpp", url = "http://127.0.0.1:8080/v1" },
  { name = "vLLM", provider = "vllm", url = "http://127.0.0.1:8000/v1" },
  { name = "LM Studio", provider = "openai", url = "http://127.0.0.1:1234/v1" },
}
local PATIENCE = 0.15 -- seconds

local ADVICE = "set a provider's key (OPENAI_API_KEY, …) or MOONPIPE_MODEL, or start a local server"

local function say(what, ...)
  log.notice(what:format(...))
end

local function check_name(name, what)
  if name ~= nil and (type(name) ~= "string" or name == "") then
    errors.usage(("%s takes the name of a model, got %s"):format(what,
      name == "" and "an empty one" or errors.shape(name)))
  end
end

-- ---- chat models -------------------------------------------------------------------------------

local function merged(opts, more)
  local out = {}
  for _, fields in ipairs { opts or {}, more } do
    for key, value in pairs(fields) do out[key] = value end
  end
  out.model_provider = nil
  return out
end

local NAMED = "named in the script"

---The class of a provider.
---@param provider string
---@return table Class
function choice.class(provider)
  local home = names.home(provider)
  return require("moonpipe.models." .. home.module)[home.class]
end

-- Where it stands in for another model, the options are that one's.
local function extractive(opts, from)
  opts = merged(opts, {})
  if from ~= NAMED and next(opts) then
    say("the extractive model does not take the options of another; they are left out")
    opts = nil
  end
  return choice.class "extractive"(opts)
end

-- The model of a provider, by a name where there is one.
local function make(provider, model, opts, from)
  if provider == "extractive" then
    local made = extractive(opts, from)
    say("model ExtractiveChatModel (%s)", from)
    return made
  end
  local made = choice.class(provider)(merged(opts, { model = model }))
  say("model %s %s (%s)", made.class_name, made.model, from)
  return made
end

local function by_name(name, opts, from)
  local provider, model = names.read(name, opts and opts.model_provider, "init_chat_model")
  return make(provider, model, opts, from)
end

-- The first model that a server lists; nothing where no server is.
local function ask(server)
  local plan = http.plan { url = server.url .. "/models", method = "GET", headers = {},
    connect = PATIENCE, untaped = true }
  local ok, answer = pcall(http.send, plan, nil, native.c.now() + PATIENCE)
  if not ok or answer.status ~= 200 then return { false } end
  local list = glance(answer.body)
  local first = type(list) == "table" and type(list.data) == "table" and list.data[1]
  return { type(first) == "table" and type(first.id) == "string" and first.id }
end

---The first model of each of choice.SERVERS, in a table of its own; false where none answers.
---@async
---@return (string|false)[][]
function choice.ask_servers()
  local asking = lambda.RunnableLambda(ask)
  asking.transparent = true -- no step of the user's: not in a trace
  return asking:batch(choice.SERVERS)
end

local function local_server()
  for i, answer in ipairs(choice.ask_servers()) do
    if answer[1] then return choice.SERVERS[i], answer[1] end
  end
end

---What init_chat_model() takes where a script names nothing, and what says so.
---@async
---@param wanted_provider string?  whose model it is that the user has named, where that says none
---@return { provider: string, model: string?, from: string, base_url: string?, is_last: boolean? }
function choice.at_hand(wanted_provider)
  local wanted, from = settings.get "model"
  if wanted then
    local provider, model = names.read(wanted, wanted_provider, from .. ": init_chat_model")
    return { provider = provider, model = model, from = from }
  end
  local url, place = settings.get "base_url"
  if type(url) == "string" then return { provider = "openai", from = place } end
  local provider, variable = names.at_hand()
  if provider then return { provider = provider, from = variable } end
  local server, model = local_server()
  if not server then
    return { provider = "extractive", from = "no key, no local server", is_last = true }
  end
  return { provider = server.provider, model = model, base_url = server.base_url or server.url,
    from = server.name .. " on this machine" }
end

---The chat model [name], or what this machine has: `init_chat_model()`. Names:
---`provider:model`, `provider`, or a model whose name tells its provider (`gpt-…`,
---`claude-…`). With `configurable_fields` (`"any"` or a list such as `{ "model" }`) each
---call may choose: `config.configurable.model`, behind `config_prefix` and `_` where one is
---given.
---@async
---@param name string?
---@param opts table?  for the model's constructor; `model_provider` besides
---@return moonpipe.BaseChatModel
function choice.init_chat_model(name, opts)
  check_name(name, "init_chat_model")
  if opts and (opts.configurable_fields or opts.config_prefix) then
    return require("moonpipe.models.configurable").new(name, opts)
  end
  if name then return by_name(name, opts, NAMED) end
  local found = choice.at_hand(opts and opts.model_provider)
  if found.is_last then
    say("model ExtractiveChatModel (%s); %s", found.from, ADVICE)
    return extractive(opts)
  end
  if found.base_url then opts = merged(opts, { base_url = found.base_url }) end
  return make(found.provider, found.model, opts, found.from)
end

-- ---- embeddings --------------------------------------------------------------------------------

-- The embeddings of each provider that has some.
local EMBEDDINGS = {
  google = { "embeddings.google", "GoogleGenerativeAIEmbeddings" },
  ollama = { "embeddings.ollama", "OllamaEmbeddings" },
  openai = { "embeddings.openai", "OpenAIEmbeddings" },
}

---The embeddings [name], or what this machine has: `init_embeddings()`. Names: `hash`,
---`text-embedding-…`, `openai:…`, `ollama:…`, `google:…`.
---@param name string?
---@param opts table?  for the constructor
---@return table embeddings
function choice.init_embeddings(name, opts)
  check_name(name, "init_embeddings")
  local is_named = name ~= nil -- else the options may be of other embeddings
  name = name or settings.get "embeddings" or secret.variable "OPENAI_API_KEY" and "openai"
    or "hash"
  if name == "hash" then
    return require("moonpipe.embeddings.hash").HashEmbeddings(is_named and opts or nil)
  end
  local provider, model = names.read(name, opts and opts.model_provider, "init_embeddings")
  local home = EMBEDDINGS[provider]
  if not home then
    errors.usage(("%s has no embeddings here; these have: google, hash, ollama, openai"):format(
      provider))
  end
  return require("moonpipe." .. home[1])[home[2]](merged(opts, { model = model }))
end

return choice
