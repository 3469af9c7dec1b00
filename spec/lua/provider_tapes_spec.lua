--- What the other providers send: spec/tapes/<provider>.jsonl.
local mp = require "moonpipe"
local server = require("spec.support.server").use()
local tapes = require "spec.support.tapes"

-- Keys are made up: no tape holds one.
local function keyed(class)
  return function(opts)
    opts.api_key = "sk-none-of-the-tapes"
    return mp[class](opts)
  end
end

describe("ChatAnthropic", function()
  tapes.play("anthropic", server, keyed "ChatAnthropic")
end)

describe("ChatGoogleGenerativeAI", function()
  tapes.play("google", server, keyed "ChatGoogleGenerativeAI")
end)

describe("ChatOllama", function()
  tapes.play("ollama", server, keyed "ChatOllama", "ndjson")
end)

describe("the Responses API", function()
  tapes.play("responses", server, keyed "ChatOpenAI")
end)
