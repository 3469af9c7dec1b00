--- Which class a name of a model means: `provider:model`, a provider alone, or a model
--- whose name tells who has it.
local errors = require "moonpipe.error"
local secret = require "moonpipe.secret"
local settings = require "moonpipe.settings"

local names = {}

---@class moonpipe.ModelHome
---@field module string   that has the class
---@field class string
---@field env string[]?   where one of these is set the provider is at hand

---@type table<string, moonpipe.ModelHome>
local HOMES = {
  anthropic = { module = "anthropic", class = "ChatAnthropic", env = { "ANTHROPIC_API_KEY" } },
  deepseek = { module = "compatible", class = "ChatDeepSeek", env = { "DEEPSEEK_API_KEY" } },
  extractive = { module = "extractive", class = "ExtractiveChatModel" },
  google = { module = "google", class = "ChatGoogleGenerativeAI",
    env = { "GOOGLE_API_KEY", "GEMINI_API_KEY" } },
  groq = { module = "compatible", class = "ChatGroq", env = { "GROQ_API_KEY" } },
  llamacpp = { module = "compatible", class = "ChatLlamaCpp" },
  mistralai = { module = "compatible", class = "ChatMistralAI", env = { "MISTRAL_API_KEY" } },
  ollama = { module = "ollama", class = "ChatOllama", env = { "OLLAMA_HOST" } },
  openai = { module = "openai", class = "ChatOpenAI",
    env = { "OPENAI_API_KEY", "OPENAI_BASE_URL" } },
  openrouter = { module = "compatible", class = "ChatOpenRouter", env = { "OPENROUTER_API_KEY" } },
  together = { module = "compatible", class = "ChatTogether", env = { "TOGETHER_API_KEY" } },
  vllm = { module = "compatible", class = "ChatVLLM" },
  xai = { module = "compatible", class = "ChatXAI", env = { "XAI_API_KEY" } },
}

--- Asked in this order for what is at hand.
local ORDER = { "openai", "anthropic", "google", "mistralai", "groq", "deepseek", "xai",
  "openrouter", "together", "ollama" }

-- Other names that people write.
local ALIASES = { gemini = "google", google_genai = "google", ["llama.cpp"] = "llamacpp" }

-- What the beginning of a model's name tells.
local BEGINNINGS = {
  { "gpt-", "openai" }, { "o1", "openai" }, { "o3", "openai" }, { "o4", "openai" },
  { "chatgpt", "openai" }, { "claude", "anthropic" }, { "gemini", "google" },
  { "models/gemini", "google" }, { "mistral-", "mistralai" }, { "magistral", "mistralai" },
  { "codestral", "mistralai" }, { "ministral", "mistralai" }, { "deepseek-", "deepseek" },
  { "grok", "xai" },
}

---The names of all providers, sorted.
---@return string[]
function names.providers()
  local list = {}
  for name in pairs(HOMES) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function provider_of(text, what)
  local provider = ALIASES[text] or text
  if HOMES[provider] then return provider end
  errors.usage(("%s knows no provider '%s'%s; it knows %s"):format(what, text,
    errors.hint(text, names.providers()), table.concat(names.providers(), ", ")))
end

-- `llama3.2:3b` is a model of Ollama, `ft:gpt-…` one of OpenAI; a server that
-- OPENAI_BASE_URL names may have any.
local function told_by(model)
  local is_tagged = model:find(":", 1, true) and model:sub(1, 3) ~= "ft:"
  if is_tagged and not os.getenv "OPENAI_BASE_URL" then return "ollama" end
  for _, pair in ipairs(BEGINNINGS) do
    if model:sub(1, #pair[1]) == pair[1] then return pair[2] end
  end
  return "openai"
end

-- What Ollama's models have for tags, besides sizes (`8b`), versions (`v1.5`, `e4b`, `q4_0`).
local TAGS = {}
for tag in ([[base chat cloud code instruct it large latest medium mini python small text tools
  vision]]):gmatch("%S+") do
  TAGS[tag] = true
end

-- Families of models that no Ollama has: `grok:5` is no model with a tag.
local HOSTED = { chatgpt = "openai", claude = "anthropic", gpt = "openai", grok = "xai" }

local function is_tag(text)
  return text:find("^%a?%d") ~= nil or TAGS[text:match("^%a*")] == true
end

-- `opanai:gpt-5`, `cohere:command-r`; `mistral:7b` and `llama3:mine` are models with a tag, and
-- so is any name where OPENAI_BASE_URL names a server.
local function check_provider(before, rest, what)
  local family = HOSTED[before]
  if family then
    if rest:sub(1, #before) ~= before then rest = before .. "-" .. rest end
    errors.usage(("%s knows no provider '%s'; it is a family of models of '%s': write \"%s:%s\"")
      :format(what, before, family, family, rest))
  end
  if is_tag(rest) or before:find("%d") then return end
  if errors.hint(before, names.providers()) ~= "" then provider_of(before, what) end
  if os.getenv "OPENAI_BASE_URL" then return end
  errors.usage(("%s knows no provider '%s'; it knows %s (of a model of Ollama with a tag of your"
    .. " own write \"ollama:%s:%s\")"):format(what, before, table.concat(names.providers(), ", "),
    before, rest))
end

---What [name] means: the provider, and the model where the name says one.
---@param name string
---@param provider string?  said apart
---@param what string       who asks, for messages
---@return string provider
---@return string? model
function names.read(name, provider, what)
  if provider then return provider_of(provider, what), name end
  local before, rest = name:match("^([%w_.]+):(.*)$")
  before = before or name
  if HOMES[before] or ALIASES[before] then
    return ALIASES[before] or before, rest ~= "" and rest or nil
  end
  if rest and before ~= "ft" then check_provider(before, rest, what) end
  return told_by(name), name
end

---What is known of a provider, to be read only.
---@param provider string
---@return moonpipe.ModelHome
function names.home(provider)
  return HOMES[provider]
end

-- The model beside which a server is named. Another one that an option asks for is another
-- provider's business: its key must not go there.
local function model_beside(where)
  local written = settings.written "model"
  if where == "written" then return written end
  return settings.variable "model" or written or settings.flags.model
end

local function url_in(value, provider, where)
  if type(value) == "table" then return value[provider] end
  local model = model_beside(where)
  local whose = model and names.read(model, nil, "base_url") or "openai"
  return whose == provider and value or nil
end

---The server that the settings name for a provider. One that is said for no provider is for that
---of the model that is named beside it, or openai's.
---@async
---@param provider string
---@param where "said"|"written"
---@return string? url
---@return string? from
function names.base_url(provider, where)
  local value, from = settings[where] "base_url"
  local url = value and url_in(value, provider, where)
  if url then return url, from end
end

---The first provider that is at hand, and the variable that says so.
---@return string? provider
---@return string? variable
function names.at_hand()
  for _, provider in ipairs(ORDER) do
    for _, variable in ipairs(HOMES[provider].env) do
      local found = secret.variable(variable)
      if found then return provider, found end
    end
  end
end

return names
