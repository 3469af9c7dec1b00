--- The usual answer of a chat completion: one choice of plain text, nothing else.
--
-- Reads it without a table for its envelope, which is half of what a call costs
-- in Lua. Where an answer holds anything more, it gives nil: the caller decodes
-- the whole, to the same message.
local message = require "moonpipe.messages.message"
local native = require "moonpipe.native"

local pick = native.c.json_pick

local AI_MESSAGE = message.AIMessage.instance_mt

local quick = {}

local ANSWER = native.c.json_picker({
  "id", "model", "choices.0.message.content", "choices.0.finish_reason", "usage.prompt_tokens",
  "usage.completion_tokens", "usage.total_tokens", "usage.prompt_tokens_details.cached_tokens",
  "usage.prompt_tokens_details.audio_tokens", "usage.completion_tokens_details.reasoning_tokens",
  "usage.completion_tokens_details.audio_tokens",
  "usage.completion_tokens_details.accepted_prediction_tokens",
  "usage.completion_tokens_details.rejected_prediction_tokens", "service_tier",
  "system_fingerprint",
}, { "object", "created", "choices.0.index", "choices.0.message.role" })

---The message of the body of an answer; nil where it is not of the usual kind.
---@param body string
---@param who moonpipe.Provider
---@return moonpipe.AIMessage?
function quick.message(body, who)
  local _, id, model, content, finish, input, output, total, cached, audio_in, reasoning,
    audio_out, accepted, rejected, tier, fingerprint = pick(ANSWER, body)
  if type(content) ~= "string" or not (id and input and output and total) then return nil end
  local details_in = cached and { cached_tokens = cached, audio_tokens = audio_in }
  local details_out = reasoning and {
    reasoning_tokens = reasoning,
    audio_tokens = audio_out,
    accepted_prediction_tokens = accepted,
    rejected_prediction_tokens = rejected,
  }
  if audio_in and not cached or (audio_out or accepted or rejected) and not reasoning then
    return nil
  end
  return setmetatable({
    content = content,
    id = id,
    usage_metadata = {
      input_tokens = input,
      output_tokens = output,
      total_tokens = total,
      input_token_details = details_in and { cache_read = cached, audio = audio_in },
      output_token_details = details_out and { reasoning = reasoning, audio = audio_out },
    },
    response_metadata = {
      token_usage = {
        prompt_tokens = input,
        completion_tokens = output,
        total_tokens = total,
        prompt_tokens_details = details_in,
        completion_tokens_details = details_out,
      },
      model_name = model,
      model_provider = who.name,
      system_fingerprint = fingerprint,
      service_tier = tier,
      id = id,
      finish_reason = finish,
    },
  }, AI_MESSAGE)
end

return quick
