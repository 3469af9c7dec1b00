--- Chat models behind an HTTP API: what all providers share.
--
-- A provider says in a moonpipe.ChatApi how messages and parameters become a
-- request, and how an answer and the records of a stream become messages; options,
-- keys, limits, retries and failures are the same for all. Bindings carry OpenAI's
-- words (`tools`, `tool_choice`, `response_format`, `stop`, …), which each provider
-- turns into its own.
local chat_stream = require "moonpipe.models.chat_stream"
local endpoint = require "moonpipe.http.endpoint"
local envelope = require "moonpipe.http.envelope"
local errors = require "moonpipe.error"
local listing = require "moonpipe.models.listing"
local message = require "moonpipe.messages.message"
local model = require "moonpipe.models.model"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"
local retry = require "moonpipe.http.retry"
local runnable = require "moonpipe.steps.runnable"

local encode, check = native.c.json_encode, native.check

local AI_MESSAGE = message.AIMessage.instance_mt

---@class moonpipe.ChatApi  what is a provider's own
---@field spec moonpipe.EndpointSpec
---@field default_model string
---@field params table<string, string>   parameters that are options of the model, with types
---@field call_params string[]?          parameters of one call besides those
---@field options table<string, string>? options that are no parameters, with types
---@field framing "sse"|"ndjson"|nil     of a stream; default "sse"
---@field headers (fun(opts: table): table<string, string>)?
---@field path fun(model: string, is_stream: boolean): string
---@field wire fun(params: table, is_stream: boolean, self: moonpipe.ApiChatModel): table
---  the members of a request besides its messages, of parameters in OpenAI's words; a
---  table of its own; raises a usage error where they cannot be said
---@field body fun(messages: moonpipe.Message[], tail: string): string
---  the request: its messages, then `tail`, the other members and the closing brace
---@field quick (fun(body: string, who: moonpipe.Provider): moonpipe.AIMessage?)?  reads a usual
---  answer without making its table
---@field answer fun(value: table, response: moonpipe.HttpResponse, who: moonpipe.Provider): table
---  the fields of the message in a decoded answer
---@field records moonpipe.ChatRecords
---@field models_path string?            lists the models; default "/models"
---@field models (fun(list: table): string[])?  the names in that list; default OpenAI's form
---@field check (fun(opts: table))?      more checks of the options
---@field variant (fun(opts: table): moonpipe.ChatApi?)?  another API that options ask for

--- What all models have that have none of their own: `cache`.
local shared = {}

local chat_api = { shared = shared }

-- ---- options -----------------------------------------------------------------------------

local OPTIONS = {
  extra_body = "table", model = "string", model_kwargs = "table", streaming = "boolean",
}

-- Parameters of one call that every provider is given.
local CALL_PARAMS = {
  "extra_body", "model", "parallel_tool_calls", "response_format", "stop", "tool_choice", "tools",
}

local function sorted(...)
  local names = {}
  for _, set in ipairs { ... } do
    for key, value in pairs(set) do names[#names + 1] = type(key) == "string" and key or value end
  end
  table.sort(names)
  return names
end

local function check_types(given, types, what)
  for name, expected in pairs(types) do
    if given[name] ~= nil and type(given[name]) ~= expected then
      errors.usage(("%s of %s must be a %s, got %s"):format(name, what, expected,
        errors.shape(given[name])))
    end
  end
end

local function check_stop(value, what)
  local is_list = type(value) == "table" and getmetatable(value) == nil and #value > 0
  if value ~= nil and type(value) ~= "string" and not is_list then
    errors.usage(("stop of %s must be a text or a list of texts, got %s"):format(what,
      errors.shape(value)))
  end
end

-- A parameter that is an option is written as one.
local function check_extra(api, given, what)
  for name in pairs(given or {}) do
    if api.params[name] or name == "stop" or name == "model" or name == "messages" then
      errors.usage(("%s of %s holds '%s'; write it as an option of its own"):format(what,
        api.spec.class, tostring(name)))
    end
  end
end

local function copy(fields, more)
  local out = {}
  for name, value in pairs(fields) do out[name] = value end
  for name, value in pairs(more or {}) do out[name] = value end
  return out
end

-- Copies the parameters among [given] to [params].
local function add_params(api, params, given)
  check_stop(given.stop, api.spec.class)
  check_types(given, api.params, api.spec.class)
  params.stop = given.stop or params.stop
  for name in pairs(api.params) do
    if given[name] ~= nil then params[name] = given[name] end
  end
  return params
end

local function params_of(api, opts)
  check_extra(api, opts.model_kwargs, "model_kwargs")
  check_extra(api, opts.extra_body, "extra_body")
  local params = add_params(api, {}, opts)
  params.model = opts.model or api.default_model
  params.extra_body = copy(opts.model_kwargs or {}, opts.extra_body)
  return params
end

-- The parameters of one call: the model's, and what a binding gives.
local function params_with(self, kwargs)
  local api = self.api
  errors.options(kwargs, api.kwargs, "a call of " .. api.spec.class)
  local out = add_params(api, copy(self.params), kwargs)
  for _, names in ipairs { CALL_PARAMS, api.call_params or {} } do
    for _, name in ipairs(names) do
      if kwargs[name] ~= nil then out[name] = kwargs[name] end
    end
  end
  out.extra_body = copy(self.params.extra_body, kwargs.extra_body)
  return out
end

-- What follows the messages in a body: `,"model":"gpt"}`.
local function tail_of(self, params, is_stream)
  local members = self.api.wire(params, is_stream, self)
  for name, value in pairs(params.extra_body) do members[name] = value end
  if next(members) == nil then return "}" end
  return "," .. check(encode(members)):sub(2)
end

-- ---- names of models ---------------------------------------------------------------------

local MODELS_SHOWN = 8

-- Helps where a model is not there, by the names of those that are.
local function on_failure(api)
  return function(server, call, err)
    local is_missing = err.code == "model_not_found" or err.message:lower():find("model", 1, true)
    if err.status ~= 404 or not is_missing then return end
    local names = listing.glance(server, api, call.ctx)
    local hint = errors.hint(call.plan.model, names)
    if hint == "" and names[1] and #names <= MODELS_SHOWN then
      hint = "; the server has: " .. table.concat(names, ", ")
    end
    err.message = err.message .. hint
  end
end

-- ---- the class ---------------------------------------------------------------------------

---@class moonpipe.ApiChatModel: moonpipe.BaseChatModel
---@field api moonpipe.ChatApi
---@field model string
---@field endpoint moonpipe.Endpoint
---@field params table    in OpenAI's words
---@field unbound table<boolean, { plan: table, tail: string }>  of calls without a binding, by
---  whether they stream; made at the first one
local ApiChatModel, base = runnable.class("ApiChatModel", { base = model.BaseChatModel })
chat_api.ApiChatModel = ApiChatModel

local function check_cache(class, value)
  if value and not require("moonpipe.models.cache").is(value) then
    errors.usage(("cache of %s must be a cache or false, got %s"):format(class,
      errors.shape(value)))
  end
  return value
end

local function construct(Class, api, opts)
  opts = errors.options(opts, Class.methods.option_names, api.spec.class)
  api = api.variant and api.variant(opts) or api
  check_types(opts, OPTIONS, api.spec.class)
  check_types(opts, api.options or {}, api.spec.class)
  if api.check then api.check(opts) end
  local server = endpoint.new(api.spec, opts, api.headers and api.headers(opts))
  server.on_failure = on_failure(api)
  local params = params_of(api, opts)
  local self = runnable.instance(Class, {
    api = api, model = params.model, endpoint = server, params = params, streaming = opts.streaming,
    cache = check_cache(api.spec.class, opts.cache), unbound = {},
  })
  for name in pairs(api.options or {}) do self[name] = opts[name] end
  return self
end

---[api] with other members.
---@param api moonpipe.ChatApi
---@param members table
---@return moonpipe.ChatApi
function chat_api.vary(api, members)
  local out = copy(api, members)
  out.kwargs = sorted(CALL_PARAMS, out.call_params or {}, out.params)
  out.variant = nil
  return out
end

---The class of chat models that [api] describes.
---@param api moonpipe.ChatApi
---@return table Class
---@return table methods
function chat_api.define(api)
  local Class, methods = runnable.class(api.spec.class, { base = ApiChatModel })
  methods.option_names = sorted(OPTIONS, api.options or {}, api.params, { "cache", "stop" },
    endpoint.OPTIONS)
  api.kwargs = sorted(CALL_PARAMS, api.call_params or {}, api.params)
  function Class.new(opts) return construct(Class, api, opts) end
  return Class, methods
end

-- ---- calls -------------------------------------------------------------------------------

local function made(self, params, is_stream)
  local api = self.api
  local path = api.path(params.model, is_stream)
  return {
    plan = self.endpoint:plan(path, params.model, nil, api.framing),
    tail = tail_of(self, params, is_stream),
  }
end

-- The plan of a call and what follows its messages.
local function prepare(self, ctx, is_stream)
  local kwargs = ctx.kwargs
  if kwargs then return made(self, params_with(self, kwargs), is_stream) end
  local call = self.unbound[is_stream]
  if not call then
    call = made(self, self.params, is_stream)
    self.unbound[is_stream] = call
  end
  return call
end

-- The message of a whole answer; raises what the answer holds in its place.
local function read_answer(response, self)
  local api = self.api
  local who = self.endpoint.who
  local usual = api.quick and api.quick(response.body or "", who)
  if usual then return usual end
  local value = envelope.read(response, who)
  local said = provider.said(value)
  if said then error(provider.error_in(who, said, response), 0) end
  local fields = api.answer(value, response, who)
  local thoughts = fields.additional_kwargs and fields.additional_kwargs.reasoning_content
  if type(thoughts) == "string" then
    fields.additional_kwargs.reasoning_content = native.c.utf8_repair(thoughts)
  end
  if fields.id then return setmetatable(fields, AI_MESSAGE) end
  return message.answer(fields)
end

-- The cache of a call, and its key: the request that a whole answer is asked with.
local function cache_of(self, messages, ctx)
  local cache = self.cache
  if cache == nil then cache = shared.cache end
  if not cache then return nil end
  local call = prepare(self, ctx, false)
  return cache, call.plan.url .. "\n" .. self.api.body(messages, call.tail)
end

local function ask(self, messages, ctx)
  local call = prepare(self, ctx, false)
  return self.endpoint:send(call.plan, self.api.body(messages, call.tail), ctx, read_answer, self)
end

function base:_generate(messages, ctx)
  if self.streaming then return model.BaseChatModel.methods._generate(self, messages, ctx) end
  local cache, key = cache_of(self, messages, ctx)
  if not cache then return ask(self, messages, ctx) end
  return require("moonpipe.models.cached").whole(cache, key, function()
    return ask(self, messages, ctx)
  end)
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

-- The plan of a stream and its body.
local function stream_request(self, messages, ctx)
  local call = prepare(self, ctx, true)
  return call.plan, self.api.body(messages, call.tail)
end

local function open(self, messages, ctx)
  local reader = self.endpoint:open(ctx, stream_request(self, messages, ctx))
  local call = reader.clock
  call.body = nil -- is not sent again
  if not reader.body then
    return chat_stream.new(self.api.records, reader, call, self.require_finish == false)
  end
  -- a server that knows no streams gives its whole answer
  local ok, whole = pcall(read_answer, reader, self)
  if not ok then retry.give_up(call, whole) end
  return once(message.to_chunk(whole))
end

local function open_cached(self, messages, ctx)
  local cache, key = cache_of(self, messages, ctx)
  if not cache then return open(self, messages, ctx) end
  return require("moonpipe.models.cached").stream(cache, key, function()
    local source = open(self, messages, ctx)
    return function() return source:next() end
  end, ctx)
end

function base:_chunks(messages, ctx)
  return chat_stream.later(open_cached, self, messages, ctx)
end

return chat_api
