--- Rerankers behind an HTTP API: what all providers share.
--
-- All take a question and texts, and give numbers of texts, from 0, with scores; they differ in
-- where, and in the names of the members. Few sort, and some heed no top_n, so both is done here.
local compressor = require "moonpipe.compressors.compressor"
local document = require "moonpipe.document"
local endpoint = require "moonpipe.http.endpoint"
local errors = require "moonpipe.error"
local glance = require "moonpipe.http.glance"
local lambda = require "moonpipe.steps.lambda"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"

local c, check = native.c, native.check

local reranker_api = {}

---@class moonpipe.RerankApi  what is a provider's own
---@field spec moonpipe.EndpointSpec
---@field default_model string?  none: the server has one
---@field chunk_size integer     documents a request, where none is given
---@field path string
---@field top_n "top_n"|"top_k"|nil  the member that says how many are wanted; nil: there is none
---@field texts "documents"|"texts"  the member that holds the texts
---@field members table?         further members of a request

---@class moonpipe.ApiReranker: moonpipe.BaseDocumentCompressor
---@field api moonpipe.RerankApi
---@field opts table
---@field model string?
---@field top_n integer?
---@field chunk_size integer
---@field endpoint moonpipe.Endpoint

-- ---- answers ----------------------------------------------------------------------------------

local function refuse(response, with, problem)
  return provider.no_answer(with.who, response, problem)
end

-- Where the list of results is: Cohere's, Voyage's, or the answer itself.
local function results_in(value)
  if type(value) ~= "table" then return nil end
  for _, list in ipairs { value.results or false, value.data or false, value } do
    if type(list) == "table" and (list[1] ~= nil or next(list) == nil) then return list end
  end
end

local function problem_of(result, i, scores, count)
  local index = type(result) == "table" and result.index
  if type(index) ~= "number" or index < 0 or index >= count or index % 1 ~= 0 then
    return ("result %d has the index %s, and %d documents were sent"):format(i,
      type(index) == "number" and index or errors.shape(index or nil), count)
  elseif scores[index + 1] then
    return ("result %d has the index %d again"):format(i, index)
  end
  local score = result.relevance_score or result.score
  if type(score) ~= "number" or score ~= score then
    return ("result %d has the score %s"):format(i, errors.shape(score))
  end
end

-- The scores by the numbers of the texts, from 1.
local function decode(response, with)
  local value = glance(response.body)
  if value == nil then return refuse(response, with, "the answer is not JSON") end
  local results, scores = results_in(value), {}
  if not results or provider.said(value) then
    return refuse(response, with, "the answer has no results")
  end
  for i, result in ipairs(results) do
    local problem = problem_of(result, i, scores, with.count)
    if problem then return refuse(response, with, problem) end
    scores[result.index + 1] = result.relevance_score or result.score
  end
  return scores
end

-- ---- calls ------------------------------------------------------------------------------------

local function body_of(self, texts, query)
  local api = self.api
  local members = { model = self.model, query = query, [api.texts] = texts }
  if api.top_n and self.top_n then members[api.top_n] = math.min(self.top_n, #texts) end
  for _, more in ipairs { api.members or {}, self.opts.extra_body or {} } do
    for name, value in pairs(more) do members[name] = value end
  end
  return check(c.json_encode(members))
end

local function chunks_of(self, documents, query)
  local chunks = {}
  for first = 1, #documents, self.chunk_size do
    local texts = {}
    for i = first, math.min(first + self.chunk_size - 1, #documents) do
      texts[#texts + 1] = documents[i].page_content
    end
    chunks[#chunks + 1] = { first = first, texts = texts, query = query }
  end
  return chunks
end

local function ask(self, chunk, ctx)
  local server = self.endpoint
  return server:send(self.plan, body_of(self, chunk.texts, chunk.query), ctx, decode,
    { who = server.who, count = #chunk.texts })
end

-- The scores of each chunk, all asked for at once.
local function ask_all(self, chunks, ctx)
  if not chunks[2] then return { ask(self, chunks[1], ctx) } end
  local step = lambda.RunnableLambda(function(chunk, config) return ask(self, chunk, config) end)
  return run.invoke(step:map(), chunks, ctx)
end

local function compress(self, documents, query, ctx)
  local chunks, entries = chunks_of(self, documents, query), {}
  for i, scores in ipairs(ask_all(self, chunks, ctx)) do
    if errors.is(scores) then error(scores, 0) end -- on_error = "collect" left it there
    for j = 1, #chunks[i].texts do
      local order, score = chunks[i].first + j - 1, scores[j]
      if score then
        local doc = document.scored(documents[order], score)
        entries[#entries + 1] = { doc = doc, score = score, order = order }
      end
    end
  end
  return compressor.ranked(entries, self.top_n)
end

-- ---- making -----------------------------------------------------------------------------------

local OWN = { "chunk_size", "extra_body", "model", "top_n" }

local TYPES = { extra_body = "table", model = "string" }

local function names_of()
  local names = { unpack(endpoint.OPTIONS) }
  for _, name in ipairs(OWN) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function check_options(opts, names, class)
  opts = errors.options(opts, names, class)
  for name, expected in pairs(TYPES) do
    if opts[name] ~= nil and type(opts[name]) ~= expected then
      errors.usage(("%s of %s must be a %s, got %s"):format(name, class, expected,
        errors.shape(opts[name])))
    end
  end
  return opts
end

---The class of rerankers that [api] describes.
---@param api moonpipe.RerankApi
---@return table Class
function reranker_api.define(api)
  local name, names = api.spec.class, names_of()
  local Class, methods = compressor.class(name)
  methods._compress, methods.option_names = compress, names

  function Class.new(opts)
    opts = check_options(opts, names, name)
    local model = opts.model or api.default_model
    local server = endpoint.new(api.spec, opts)
    return runnable.instance(Class, {
      api = api,
      opts = endpoint.sealed(api.spec, opts),
      model = model,
      top_n = compressor.count(opts.top_n, "top_n of " .. name),
      chunk_size = compressor.count(opts.chunk_size, "chunk_size of " .. name) or api.chunk_size,
      endpoint = server,
      plan = server:plan(api.path, model or ""),
    })
  end

  return Class
end

return reranker_api
