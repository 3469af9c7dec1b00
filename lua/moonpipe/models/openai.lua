--- ChatOpenAI: chat completions of OpenAI and of all servers that speak as it does.
local answer = require "moonpipe.models.openai_answer"
local chat_api = require "moonpipe.models.chat_api"
local quick = require "moonpipe.models.openai_quick"
local records = require "moonpipe.models.openai_records"
local request = require "moonpipe.models.openai_request"

local openai = {}

--- The model that is asked where a script names none.
openai.DEFAULT_MODEL = "gpt-5.4-mini"

--- What is OpenAI's own; embeddings have it too.
---@type moonpipe.EndpointSpec
openai.SPEC = {
  class = "ChatOpenAI",
  name = "openai",
  base_url = request.OPENAI,
  base_env = { "OPENAI_BASE_URL", "OPENAI_API_BASE" },
  proxy_env = "OPENAI_PROXY",
  key_env = "OPENAI_API_KEY",
  key_header = "Authorization",
  key_prefix = "Bearer ",
}

local function env(...)
  for _, name in ipairs({ ... }) do
    local value = os.getenv(name)
    if value and value ~= "" then return value end
  end
end

--- The headers that name who pays: options, else the environment's.
---@param opts { organization: string?, project: string? }
---@return table<string, string>
function openai.headers(opts)
  return {
    ["OpenAI-Organization"] = opts.organization or env("OPENAI_ORG_ID", "OPENAI_ORGANIZATION"),
    ["OpenAI-Project"] = opts.project or env("OPENAI_PROJECT_ID"),
  }
end

local function path()
  return "/chat/completions"
end

-- Chat completions, or the Responses API where that is asked for, by an option that is
-- its own too.
local function variant(opts)
  local asked = opts.use_responses_api
  if asked or asked == nil and opts.reasoning then return require "moonpipe.models.responses" end
end

---@type moonpipe.ChatApi
openai.API = {
  spec = openai.SPEC,
  default_model = openai.DEFAULT_MODEL,
  params = request.TYPES,
  call_params = request.CALL_PARAMS,
  options = {
    organization = "string", project = "string", reasoning = "table", require_finish = "boolean",
    stream_usage = "boolean", use_responses_api = "boolean",
  },
  headers = openai.headers,
  variant = variant,
  path = path,
  wire = request.wire,
  body = request.body,
  quick = quick.message,
  answer = answer.fields,
  records = records,
}

---`ChatOpenAI{ model =, temperature =, max_tokens =, timeout =, max_retries =, base_url =, … }`.
---The key is that of OPENAI_API_KEY, the server that of OPENAI_BASE_URL, where none is given.
---With `use_responses_api` it speaks the Responses API. With `require_finish = false` a stream
---may end without `[DONE]` and a reason, as a few servers' do.
---@class moonpipe.ChatOpenAI: moonpipe.ApiChatModel
openai.ChatOpenAI = chat_api.define(openai.API)

return openai
