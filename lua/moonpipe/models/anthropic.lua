--- ChatAnthropic: the Messages API, <https://docs.anthropic.com/en/api/messages>.
local answer = require "moonpipe.models.anthropic_answer"
local chat_api = require "moonpipe.models.chat_api"
local records = require "moonpipe.models.anthropic_records"
local request = require "moonpipe.models.anthropic_request"

local anthropic = {}

--- The model that is asked where a script names none.
anthropic.DEFAULT_MODEL = "claude-sonnet-5"

local VERSION = "2023-06-01"

---@type moonpipe.ChatApi
anthropic.API = {
  spec = {
    class = "ChatAnthropic",
    name = "anthropic",
    base_url = "https://api.anthropic.com",
    base_env = { "ANTHROPIC_BASE_URL" },
    key_env = "ANTHROPIC_API_KEY",
    key_header = "x-api-key",
    key_prefix = "",
  },
  default_model = anthropic.DEFAULT_MODEL,
  params = request.TYPES,
  headers = function() return { ["anthropic-version"] = VERSION } end,
  path = function() return "/v1/messages" end,
  wire = request.wire,
  body = request.body,
  answer = answer.fields,
  records = records,
  models_path = "/v1/models?limit=1000",
}

---`ChatAnthropic{ model =, max_tokens =, temperature =, thinking =, … }`. The key is that of
---ANTHROPIC_API_KEY, the server that of ANTHROPIC_BASE_URL, where none is given.
---@class moonpipe.ChatAnthropic: moonpipe.ApiChatModel
anthropic.ChatAnthropic = chat_api.define(anthropic.API)

return anthropic
