--- Embeddings behind an HTTP API: what all providers share.
--
-- Texts go out in batches, all at once under the limits that hold for calls of
-- models, and come back in their order. Queries that are asked at once share a
-- request (together.lua). Vectors are read natively, from base64 or
-- arrays; they never are Lua tables.
local context = require "moonpipe.context"
local endpoint = require "moonpipe.http.endpoint"
local errors = require "moonpipe.error"
local lambda = require "moonpipe.steps.lambda"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"
local scheduler = require "moonpipe.scheduler"
local together = require "moonpipe.embeddings.together"

local c, check = native.c, native.check

local embedding_api = {}

local CHUNK_BYTES = 768 * 1024 -- of texts a request: OpenAI takes 300,000 tokens at once
local DECODED_AT_ONCE = 65536  -- bytes of an answer: 40 us

---@class moonpipe.EmbeddingApi  what is a provider's own
---@field spec moonpipe.EndpointSpec
---@field default_model string
---@field chunk_size integer            texts a request, where none is given
---@field chunk_max integer             that the provider takes
---@field options table<string, string> with their types, besides those of all
---@field headers (fun(opts: table): table<string, string>)?
---@field path fun(model: string): string
---@field body fun(self: moonpipe.ApiEmbeddings, texts: string[], is_query: boolean): string

-- ---- options -----------------------------------------------------------------------------

local TYPES = {
  chunk_size = "number", dimensions = "number", extra_body = "table", model = "string",
}

local function names_of(api)
  local names = { unpack(endpoint.OPTIONS) }
  for _, types in ipairs { TYPES, api.options } do
    for name in pairs(types) do names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function check_types(opts, types, class)
  for name, expected in pairs(types) do
    if opts[name] ~= nil and type(opts[name]) ~= expected then
      errors.usage(("%s of %s must be a %s, got %s"):format(name, class, expected,
        errors.shape(opts[name])))
    end
  end
end

local function check_options(api, names, opts)
  local class = api.spec.class
  opts = errors.options(opts, names, class)
  check_types(opts, TYPES, class)
  check_types(opts, api.options, class)
  for _, name in ipairs({ "chunk_size", "dimensions" }) do
    local value = opts[name] or 1
    if value < 1 or value ~= math.floor(value) then
      errors.usage(("%s of %s must be a whole number from 1, got %s"):format(name, class,
        errors.shape(value)))
    end
  end
  return opts
end

---@class moonpipe.ApiEmbeddings
---@field api moonpipe.EmbeddingApi
---@field opts table
---@field model string
---@field dimensions integer?
---@field endpoint moonpipe.Endpoint
local methods = {}

local function construct(api, names, mt)
  return function(_, opts)
    opts = check_options(api, names, opts)
    local model = opts.model or api.default_model
    local server = endpoint.new(api.spec, opts, api.headers and api.headers(opts))
    return setmetatable({
      api = api,
      opts = endpoint.sealed(api.spec, opts),
      model = model,
      dimensions = opts.dimensions,
      endpoint = server,
      chunk_size = math.min(opts.chunk_size or api.chunk_size, api.chunk_max),
      plan = server:plan(api.path(model), model),
    }, mt)
  end
end

---The class of embeddings that [api] describes.
---@param api moonpipe.EmbeddingApi
---@return table Class
function embedding_api.define(api)
  local class = api.spec.class
  local function name() return class end
  local mt = { __name = "moonpipe." .. class, __index = methods, __tostring = name }
  return setmetatable({}, {
    __name = "moonpipe.class",
    __call = construct(api, names_of(api), mt),
    __tostring = name,
  })
end

-- ---- answers -----------------------------------------------------------------------------

local function decode_on_pool(body, count)
  return (scheduler.await(check(c.embed(body, count))))
end

-- The rows of an answer to [texts].
local function decode(response, with)
  local body, count = response.body, #with.texts
  if #body <= DECODED_AT_ONCE then
    local rows, problem, kind = c.embed_decode(body, count)
    if rows then return rows end
    if kind ~= "decode" then errors.raise(kind, problem) end
    return provider.no_answer(with.who, response, problem)
  end
  local ok, rows = pcall(decode_on_pool, body, count)
  if ok then return rows end
  if not errors.is(rows) or rows.kind ~= "decode" then error(rows, 0) end
  return provider.no_answer(with.who, response, rows.message)
end

-- ---- calls -------------------------------------------------------------------------------

local function embed(self, texts, is_query)
  local server = self.endpoint
  return server:send(self.plan, self.api.body(self, texts, is_query), context.current(), decode,
    { texts = texts, who = server.who })
end

-- The texts in lists that are small enough for one request.
local function chunks_of(self, texts)
  local chunks, chunk, bytes = {}, {}, 0
  for _, text in ipairs(texts) do
    if #chunk == self.chunk_size or chunk[1] and bytes + #text > CHUNK_BYTES then
      chunks[#chunks + 1] = chunk
      chunk, bytes = {}, 0
    end
    chunk[#chunk + 1] = text
    bytes = bytes + #text
  end
  chunks[#chunks + 1] = chunk
  return chunks
end

local function joined(parts)
  local rows = {}
  for _, part in ipairs(parts) do
    for i = 1, #part do rows[#rows + 1] = part:row(i) end
  end
  return check(c.floats(rows))
end

local function embed_all(self, texts)
  local chunks = chunks_of(self, texts)
  if not chunks[2] then return embed(self, chunks[1], false) end
  local step = lambda.RunnableLambda(function(chunk) return embed(self, chunk, false) end)
  return joined(step:batch(chunks))
end

local function check_text(text, what)
  if type(text) ~= "string" then
    errors.usage(("%s; it must be a string"):format(what:format(errors.shape(text))))
  elseif text == "" then
    errors.raise("input", what:format("empty") .. ", and an empty text has no embedding")
  end
end

---The vectors of [texts], a row for each.
---@async
---@param texts string[]
---@return moonpipe.Floats
function methods:embed_documents(texts)
  if type(texts) ~= "table" then
    errors.usage("embed_documents takes a list of strings, got " .. errors.shape(texts))
  end
  for i, text in ipairs(texts) do
    check_text(text, ("text %d of embed_documents is %%s"):format(i))
  end
  if #texts == 0 then return check(c.floats({})) end
  return scheduler.call(embed_all, self, texts)
end

---The vector of [text]; one request for all that are asked before the scheduler's next turn.
---@async
---@param text string
---@return moonpipe.Floats
function methods:embed_query(text)
  check_text(text, "the text of embed_query is %s")
  return scheduler.call(together.ask, self, text, embed, self.chunk_size, CHUNK_BYTES)
end

return embedding_api
