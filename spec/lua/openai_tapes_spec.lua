--- What OpenAI and the servers that speak as it does send: spec/tapes/openai.jsonl.
local mp = require "moonpipe"
local server = require("spec.support.server").use()
local tapes = require "spec.support.tapes"

describe("ChatOpenAI", function()
  tapes.play("openai", server, mp.ChatOpenAI)
end)
