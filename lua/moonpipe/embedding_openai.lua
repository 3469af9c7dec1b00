--- OpenAIEmbeddings: vectors from OpenAI and from all servers that speak as it does.
--
-- Texts go out in batches, all at once under the limits that hold for calls of
-- models, and come back in their order. Texts are sent as texts, never as token
-- ids, which other servers refuse; vectors are asked for in base64, and arrays
-- are taken too.
local envelope = require "moonpipe.envelope"
local context = require "moonpipe.context"
local endpoint = require "moonpipe.endpoint"
local errors = require "moonpipe.error"
local lambda = require "moonpipe.lambda"
local native = require "moonpipe.native"
local openai = require "moonpipe.models.openai"
local provider = require "moonpipe.provider"
local scheduler = require "moonpipe.scheduler"

local c, check = native.c, native.check

local embedding = {}

--- The model that is asked where a script names none.
embedding.DEFAULT_MODEL = "text-embedding-3-small"

local PATH = "/embeddings"
local CHUNK_SIZE, MAX_CHUNK_SIZE = 1000, 2048 -- texts a request; the latter is OpenAI's limit
local CHUNK_BYTES = 768 * 1024 -- of texts a request: OpenAI takes 300,000 tokens at once
local DECODED_AT_ONCE = 65536  -- bytes of an answer: 40 us

-- ---- options -----------------------------------------------------------------------------

local OPTIONS = {
  "chunk_size", "dimensions", "extra_body", "model", "organization", "project", "user",
  unpack(endpoint.OPTIONS),
}
table.sort(OPTIONS)

local TYPES = {
  chunk_size = "number", dimensions = "number", extra_body = "table", model = "string",
  organization = "string", project = "string", user = "string",
}

local function check_options(opts)
  opts = errors.options(opts, OPTIONS, "OpenAIEmbeddings")
  for name, expected in pairs(TYPES) do
    if opts[name] ~= nil and type(opts[name]) ~= expected then
      errors.usage(("%s of OpenAIEmbeddings must be a %s, got %s"):format(name, expected,
        errors.shape(opts[name])))
    end
  end
  for _, name in ipairs({ "chunk_size", "dimensions" }) do
    local value = opts[name] or 1
    if value < 1 or value ~= math.floor(value) then
      errors.usage(("%s of OpenAIEmbeddings must be a whole number from 1, got %s"):format(name,
        errors.shape(value)))
    end
  end
  return opts
end

---@class moonpipe.OpenAIEmbeddings
---@field model string
---@field dimensions integer?
---@field endpoint moonpipe.Endpoint
local methods = {}

local mt = { __name = "moonpipe.OpenAIEmbeddings", __index = methods }

function mt.__tostring()
  return "OpenAIEmbeddings"
end

local SPEC = setmetatable({ class = "OpenAIEmbeddings" }, { __index = openai.SPEC })

-- What stands around the texts in a body: `{…,"input":` and `}`.
local function head_of(opts, model)
  local params = {
    model = model, dimensions = opts.dimensions, user = opts.user, encoding_format = "base64",
  }
  for name, value in pairs(opts.extra_body or {}) do params[name] = value end
  return check(c.json_encode(params)):sub(1, -2) .. ',"input":'
end

local function construct(_, opts)
  opts = check_options(opts)
  local model = opts.model or embedding.DEFAULT_MODEL
  local server = endpoint.new(SPEC, opts, openai.headers(opts))
  return setmetatable({
    model = model,
    dimensions = opts.dimensions,
    endpoint = server,
    chunk_size = math.min(opts.chunk_size or CHUNK_SIZE, MAX_CHUNK_SIZE),
    plan = server:plan(PATH, model),
    head = head_of(opts, model),
  }, mt)
end

-- ---- answers -----------------------------------------------------------------------------

-- Raises what an answer without the vectors is instead.
local function refuse(response, who, problem)
  local body = response.body
  if body == "" then provider.reject(who, response, "protocol", "the answer is empty", true) end
  local said = provider.said((envelope.decode(body)))
  if said then error(provider.error_in(who, said, response), 0) end
  if (response.header("content-type") or ""):find("html", 1, true) or body:find("^%s*<") then
    provider.reject(who, response, "protocol", "the answer is HTML, not JSON", false)
  end
  errors.raise("decode", problem, { provider = who.name, status = response.status })
end

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
    return refuse(response, with.who, problem)
  end
  local ok, rows = pcall(decode_on_pool, body, count)
  if ok then return rows end
  if not errors.is(rows) or rows.kind ~= "decode" then error(rows, 0) end
  return refuse(response, with.who, rows.message)
end

-- ---- calls -------------------------------------------------------------------------------

local function embed(self, texts)
  local server = self.endpoint
  return server:send(self.plan, self.head .. check(c.json_encode(texts)) .. "}",
    context.current(), decode, { texts = texts, who = server.who })
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
  if not chunks[2] then return embed(self, chunks[1]) end
  local step = lambda.RunnableLambda(function(chunk) return embed(self, chunk) end)
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

---The vector of [text].
---@async
---@param text string
---@return moonpipe.Floats
function methods:embed_query(text)
  check_text(text, "the text of embed_query is %s")
  return scheduler.call(embed, self, { text }):row(1)
end

---`OpenAIEmbeddings{ model =, dimensions =, chunk_size =, base_url =, api_key =, … }`.
---@overload fun(opts: table?): moonpipe.OpenAIEmbeddings
embedding.OpenAIEmbeddings = setmetatable({}, {
  __name = "moonpipe.class",
  __call = construct,
  __tostring = function() return "OpenAIEmbeddings" end,
})

return embedding
