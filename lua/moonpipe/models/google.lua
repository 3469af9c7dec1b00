--- ChatGoogleGenerativeAI: Gemini, <https://ai.google.dev/api/generate-content>.
local answer = require "moonpipe.models.google_answer"
local chat_api = require "moonpipe.models.chat_api"
local envelope = require "moonpipe.http.envelope"
local request = require "moonpipe.models.google_request"

local google = {}

--- The model that is asked where a script names none.
google.DEFAULT_MODEL = "gemini-3.8-flash"

--- What is Google's own; embeddings have it too.
---@type moonpipe.EndpointSpec
google.SPEC = {
  class = "ChatGoogleGenerativeAI",
  name = "google",
  base_url = "https://generativelanguage.googleapis.com/v1beta",
  base_env = { "GOOGLE_GEMINI_BASE_URL" },
  key_env = "GOOGLE_API_KEY",
  key_env_also = "GEMINI_API_KEY",
  key_header = "x-goog-api-key",
  key_prefix = "",
}

--- A model's place in a path; its name may say what it is.
---@param model string
---@return string
function google.place(model)
  return "/models/" .. model:gsub("^models/", "")
end

-- Without alt=sse a stream would be one JSON array.
local function path(model, is_stream)
  return google.place(model) .. (is_stream and ":streamGenerateContent?alt=sse"
    or ":generateContent")
end

local function names(list)
  local out = envelope.texts(list.models, "name")
  for i, name in ipairs(out) do out[i] = name:gsub("^models/", "") end
  return out
end

---@type moonpipe.ChatApi
google.API = {
  spec = google.SPEC,
  default_model = google.DEFAULT_MODEL,
  params = request.TYPES,
  path = path,
  wire = request.wire,
  body = request.body,
  answer = answer.fields,
  records = answer.records,
  models_path = "/models?pageSize=1000",
  models = names,
}

---`ChatGoogleGenerativeAI{ model =, temperature =, max_tokens =, … }`. The key is that of
---GOOGLE_API_KEY or GEMINI_API_KEY, where none is given.
---@class moonpipe.ChatGoogleGenerativeAI: moonpipe.ApiChatModel
google.ChatGoogleGenerativeAI = chat_api.define(google.API)

return google
