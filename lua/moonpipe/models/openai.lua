--- ChatOpenAI: chat completions of OpenAI and of all servers that speak as it does.
local answer = require "moonpipe.models.openai_answer"
local endpoint = require "moonpipe.endpoint"
local errors = require "moonpipe.error"
local message = require "moonpipe.message"
local model = require "moonpipe.model"
local request = require "moonpipe.models.openai_request"
local retry = require "moonpipe.retry"
local runnable = require "moonpipe.runnable"
local stream = require "moonpipe.models.openai_stream"

local openai = {}

--- The model that is asked where a script names none.
openai.DEFAULT_MODEL = "gpt-5.4-mini"

local PATH = "/chat/completions"

--- What is OpenAI's own; embeddings have it too.
---@type moonpipe.EndpointSpec
openai.SPEC = {
  class = "ChatOpenAI",
  name = "openai",
  base_url = "https://api.openai.com/v1",
  base_env = { "OPENAI_BASE_URL", "OPENAI_API_BASE" },
  key_env = "OPENAI_API_KEY",
  key_header = "Authorization",
  key_prefix = "Bearer ",
}

-- ---- options -----------------------------------------------------------------------------

local OPTIONS = {
  "extra_body", "model", "model_kwargs", "organization", "project", "stop", "stream_usage",
  "streaming", unpack(endpoint.OPTIONS),
}
for name in pairs(request.TYPES) do OPTIONS[#OPTIONS + 1] = name end
table.sort(OPTIONS)

local TYPES = {
  extra_body = "table", model = "string", model_kwargs = "table", organization = "string",
  project = "string", stream_usage = "boolean", streaming = "boolean",
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

-- A parameter that is an option is written as one.
local function check_extra(given, what)
  for name in pairs(given or {}) do
    if request.TYPES[name] or name == "stop" or name == "model" or name == "messages" then
      errors.usage(("%s of ChatOpenAI holds '%s'; write it as an option of its own"):format(what,
        tostring(name)))
    end
  end
end

-- OpenAI's newer models refuse the old name of this limit; most other servers
-- know no other.
local function rename_limit(params, base)
  if base.url ~= openai.SPEC.base_url or not params.max_tokens then return end
  params.max_completion_tokens = params.max_completion_tokens or params.max_tokens
  params.max_tokens = nil
end

local function params_of(opts, base)
  check_extra(opts.model_kwargs, "model_kwargs")
  check_extra(opts.extra_body, "extra_body")
  local params = request.add({}, opts, "ChatOpenAI")
  for _, fields in ipairs({ opts.model_kwargs or {}, opts.extra_body or {} }) do
    for name, value in pairs(fields) do params[name] = value end
  end
  params.model = opts.model or openai.DEFAULT_MODEL
  rename_limit(params, base)
  return params
end

-- ---- names of models ---------------------------------------------------------------------

local MODELS_TIMEOUT, MODELS_SHOWN = 3, 8

-- The names that the server lists; none where it does not answer.
local function models_of(server, ctx)
  if server.models then return server.models end
  local response = server:ask("/models", ctx, MODELS_TIMEOUT)
  local list, names = response and answer.decode(response.body), {}
  local entries = type(list) == "table" and list.data
  for _, entry in ipairs(type(entries) == "table" and entries or {}) do
    if type(entry.id) == "string" then names[#names + 1] = entry.id end
  end
  table.sort(names)
  if names[1] then server.models = names end
  return names
end

-- Helps where a model is not there, by the names of those that are.
local function on_failure(server, call, err)
  local is_missing = err.code == "model_not_found" or err.message:lower():find("model", 1, true)
  if err.status ~= 404 or not is_missing then return end
  local names = models_of(server, call.ctx)
  local hint = errors.hint(call.plan.model, names)
  if hint == "" and names[1] and #names <= MODELS_SHOWN then
    hint = "; the server has: " .. table.concat(names, ", ")
  end
  err.message = err.message .. hint
end

-- ---- the class ---------------------------------------------------------------------------

---@class moonpipe.ChatOpenAI: moonpipe.BaseChatModel
---@field model string
---@field endpoint moonpipe.Endpoint
---@field params table
local ChatOpenAI, methods = runnable.class("ChatOpenAI", { base = model.BaseChatModel })
openai.ChatOpenAI = ChatOpenAI
methods.option_names = OPTIONS

---`ChatOpenAI{ model =, temperature =, max_tokens =, timeout =, max_retries =, base_url =, … }`.
---The key is that of OPENAI_API_KEY, the server that of OPENAI_BASE_URL, where none is given.
---@param opts table?
---@return moonpipe.ChatOpenAI
function ChatOpenAI.new(opts)
  opts = errors.options(opts, OPTIONS, "ChatOpenAI")
  for name, expected in pairs(TYPES) do
    if opts[name] ~= nil and type(opts[name]) ~= expected then
      errors.usage(("%s of ChatOpenAI must be a %s, got %s"):format(name, expected,
        errors.shape(opts[name])))
    end
  end
  local server = endpoint.new(openai.SPEC, opts, openai.headers(opts))
  server.on_failure = on_failure
  local params = params_of(opts, server.origin)
  local usage = opts.stream_usage ~= false
  return runnable.instance(ChatOpenAI, {
    model = params.model,
    endpoint = server,
    params = params,
    streaming = opts.streaming,
    stream_usage = usage,
    plan = server:plan(PATH, params.model),
    tail = request.tail(params, false),
    stream_tail = request.tail(params, true, usage),
  })
end

-- ---- calls -------------------------------------------------------------------------------

-- The plan of a call and what follows its messages.
local function prepare(self, ctx, is_stream)
  local kwargs = ctx.kwargs
  if not kwargs then
    return self.plan, is_stream and self.stream_tail or self.tail, self.params.n
  end
  local params = request.with_kwargs(self.params, kwargs, "ChatOpenAI")
  rename_limit(params, self.endpoint.origin)
  local tail = request.tail(params, is_stream, self.stream_usage)
  return self.endpoint:plan(PATH, params.model), tail, params.n
end

function methods:_generate(messages, ctx)
  if self.streaming then return model.BaseChatModel.methods._generate(self, messages, ctx) end
  local plan, tail = prepare(self, ctx, false)
  local body = request.body(messages, tail)
  return self.endpoint:send(plan, body, ctx, answer.message, self.endpoint.who)
end

local function take(source)
  local chunk = source.chunk
  source.chunk = nil
  return chunk
end

-- A source of one chunk.
local function once(chunk)
  return { next = take, chunk = chunk }
end

local function open(self, messages, ctx)
  local plan, tail, n = prepare(self, ctx, true)
  if n and n > 1 then errors.usage("ChatOpenAI cannot stream " .. n .. " choices; leave n out") end
  local body = request.body(messages, tail)
  local reader, call = self.endpoint:open(plan, body, ctx)
  if not reader.body then return stream.new(reader, call) end
  -- a server that knows no streams gives its whole answer
  local ok, whole = pcall(answer.message, reader, self.endpoint.who)
  if not ok then retry.give_up(call, whole) end
  return once(message.to_chunk(whole))
end

function methods:_chunks(messages, ctx)
  local source
  return function()
    if not source then
      source = open(self, messages, ctx)
      messages, ctx = nil, nil -- a stream may be long, and its prompt large
    end
    return source:next()
  end
end

return openai
