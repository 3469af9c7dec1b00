--- Providers whose servers speak as OpenAI's chat completions do: where they are, and
-- what each does in a way of its own.
local chat_api = require "moonpipe.models.chat_api"
local openai = require "moonpipe.models.openai"
local request = require "moonpipe.models.openai_request"

local compatible = {}

-- Mistral refuses members that it does not know, and has names of its own.
local function mistral(wire)
  wire.random_seed, wire.seed = wire.seed, nil
  if wire.tool_choice == "required" then wire.tool_choice = "any" end
  wire.max_tokens = wire.max_tokens or wire.max_completion_tokens
  wire.stream_options, wire.max_completion_tokens = nil, nil
  return wire
end

-- DeepSeek has a JSON mode and calls of functions, but no answers by a schema.
local function deepseek(wire)
  local format = wire.response_format
  if format and format.type == "json_schema" then
    wire.response_format = { type = "json_object" }
  end
  return wire
end

-- In its thinking mode DeepSeek refuses calls of tools without what was thought before them,
-- be it nothing, <https://api-docs.deepseek.com/guides/thinking_mode>.
local function with_thoughts(wire, m)
  local kwargs = rawget(m, "additional_kwargs") or {}
  if wire.tool_calls then wire.reasoning_content = kwargs.reasoning_content or "" end
end

-- Signed and encrypted thoughts, <https://openrouter.ai/docs/use-cases/reasoning-tokens>.
local function with_details(wire, m)
  wire.reasoning_details = (rawget(m, "additional_kwargs") or {}).reasoning_details
end

---@class moonpipe.CompatibleSpec
---@field name string         "groq"
---@field class string        "ChatGroq"
---@field base_url string
---@field base_env string?    a variable that names another one
---@field key_env string
---@field key_optional boolean?
---@field default_model string
---@field structured_method string?  of with_structured_output, where none is given
---@field tweak (fun(wire: table): table)?  what is said in another way
---@field adorn (fun(wire: table, m: moonpipe.AIMessage))?  what of an answer goes back besides

---@type moonpipe.CompatibleSpec[]
local PROVIDERS = {
  { name = "deepseek", class = "ChatDeepSeek", base_url = "https://api.deepseek.com/v1",
    base_env = "DEEPSEEK_BASE_URL", key_env = "DEEPSEEK_API_KEY", default_model = "deepseek-chat",
    structured_method = "function_calling", tweak = deepseek, adorn = with_thoughts },
  { name = "groq", class = "ChatGroq", base_url = "https://api.groq.com/openai/v1",
    base_env = "GROQ_BASE_URL", key_env = "GROQ_API_KEY", default_model = "llama-3.3-70b-versatile",
    structured_method = "function_calling" },
  { name = "llamacpp", class = "ChatLlamaCpp", base_url = "http://127.0.0.1:8080/v1",
    base_env = "LLAMA_SERVER_URL", key_env = "LLAMA_API_KEY", key_optional = true,
    default_model = "default" },
  { name = "mistralai", class = "ChatMistralAI", base_url = "https://api.mistral.ai/v1",
    base_env = "MISTRAL_BASE_URL", key_env = "MISTRAL_API_KEY",
    default_model = "mistral-small-latest", tweak = mistral },
  { name = "openrouter", class = "ChatOpenRouter", base_url = "https://openrouter.ai/api/v1",
    base_env = "OPENROUTER_BASE_URL", key_env = "OPENROUTER_API_KEY",
    default_model = "openrouter/auto", adorn = with_details },
  { name = "together", class = "ChatTogether", base_url = "https://api.together.xyz/v1",
    base_env = "TOGETHER_BASE_URL", key_env = "TOGETHER_API_KEY",
    default_model = "meta-llama/Llama-3.3-70B-Instruct-Turbo" },
  { name = "vllm", class = "ChatVLLM", base_url = "http://127.0.0.1:8000/v1",
    base_env = "VLLM_BASE_URL", key_env = "VLLM_API_KEY", key_optional = true,
    default_model = "default" },
  { name = "xai", class = "ChatXAI", base_url = "https://api.x.ai/v1",
    base_env = "XAI_BASE_URL", key_env = "XAI_API_KEY", default_model = "grok-4" },
}

local function endpoint_of(spec)
  return {
    class = spec.class,
    name = spec.name,
    base_url = spec.base_url,
    base_env = { spec.base_env },
    key_env = spec.key_env,
    key_optional = spec.key_optional,
    key_header = openai.SPEC.key_header,
    key_prefix = openai.SPEC.key_prefix,
  }
end

local function wire_of(tweak)
  if not tweak then return request.wire end
  return function(params, is_stream, self) return tweak(request.wire(params, is_stream, self)) end
end

---The class of chat models of a server that speaks as OpenAI's does.
---@param spec moonpipe.CompatibleSpec
---@return table Class
function compatible.define(spec)
  local api = chat_api.vary(openai.API, {
    spec = endpoint_of(spec),
    default_model = spec.default_model,
    options = { require_finish = "boolean", stream_usage = "boolean" },
    headers = false,
    wire = wire_of(spec.tweak),
    body = spec.adorn and request.body_with(spec.adorn) or request.body,
  })
  local Class, methods = chat_api.define(api)
  methods.structured_method = spec.structured_method
  return Class
end

for _, spec in ipairs(PROVIDERS) do compatible[spec.class] = compatible.define(spec) end

return compatible
