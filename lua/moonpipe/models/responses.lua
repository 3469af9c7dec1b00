--- The Responses API, <https://platform.openai.com/docs/api-reference/responses>: another
-- way to ask the models of ChatOpenAI, with thoughts that stay whole between calls of
-- tools.
local answer = require "moonpipe.models.responses_answer"
local chat_api = require "moonpipe.models.chat_api"
local openai = require "moonpipe.models.openai"
local request = require "moonpipe.models.responses_request"

---@type moonpipe.ChatApi
return chat_api.vary(openai.API, {
  call_params = request.CALL_PARAMS,
  path = function() return "/responses" end,
  wire = request.wire,
  body = request.body,
  quick = false,
  answer = answer.fields,
  records = answer.records,
})
