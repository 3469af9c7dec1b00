--- Searching a VectorStore: what base.lua says of `_search` and of similarity.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local filter = require "moonpipe.stores.filter"
local floats = require "moonpipe.floats"
local mmr = require "moonpipe.embeddings.mmr"
local native = require "moonpipe.native"
local retriever_base = require "moonpipe.retrievers.base"
local scheduler = require "moonpipe.scheduler"

local c = native.c

---@class moonpipe.SearchOptions
---@field k integer?                4
---@field filter moonpipe.Filter?
---@field score_threshold number?   the least similarity, from 0 to 1

---@class moonpipe.MarginalOptions
---@field k integer?                4
---@field fetch_k integer?          how many of the nearest are looked at; 20
---@field lambda_mult number?       1: by nearness alone, 0: by difference alone; 0.5
---@field filter moonpipe.Filter?

---@class moonpipe.VectorStore
local methods = {}

local SEARCH = { "filter", "k", "score_threshold" }
local MARGINAL = { "fetch_k", "filter", "k", "lambda_mult" }

local function check_filter(given)
  if given == nil then return nil end
  local matches, tree = filter.compile(given)
  return { matches = matches, tree = tree }
end

local function check_search(opts, what)
  opts = errors.options(opts, SEARCH, what)
  return retriever_base.check_k(opts.k),
    retriever_base.check_share(opts.score_threshold, "score_threshold"),
    check_filter(opts.filter)
end

local function check_query(query, what)
  if type(query) ~= "string" then
    errors.usage(("%s takes a string, got %s"):format(what, errors.shape(query)))
  end
end

local function check_vector(vector, what)
  local given = floats.Floats(vector)
  if #given == 0 or type(given[1]) ~= "number" then
    errors.usage(("%s takes one vector, got a matrix of %d"):format(what, #given))
  end
  return given
end

local function query_vector(self, query)
  return floats.given_vector(self.embedding:embed_query(query), "embed_query")
end

local SIMILARITY = {}

function SIMILARITY.l2(measured, square)
  if square == 0 then return measured == 0 and 1 or 0 end
  return 1 - measured / (2 * square)
end

function SIMILARITY.inner_product(measured, square)
  return square == 0 and 0 or measured / square
end

function SIMILARITY.cosine(measured)
  return measured
end

-- From 0 to 1; 0 is also what is no number, of vectors that are too long to be measured.
local function share(value)
  return value > 0 and math.min(1, value) or 0
end

-- Each of the hits as `{ document, similarity, measured }`.
local function scores_of(self, vector, hits)
  local found, similarity = {}, SIMILARITY[self.distance_strategy]
  local square = similarity ~= SIMILARITY.cosine and c.vector_square(vector)
  for i, hit in ipairs(hits) do
    local score = share(similarity(hit.measured, square))
    found[i] = { document.scored(hit.document, score), score, hit.measured }
  end
  return found
end

-- What is found comes nearest first, so that none is left behind one that is too far.
local function search(self, vector, k, least, chosen)
  local found = scores_of(self, vector, self:_search(vector, k, chosen))
  for i = #found, 1, -1 do
    if found[i][2] >= least then break end
    found[i] = nil
  end
  return found
end

local function search_text(self, query, k, least, chosen)
  return search(self, query_vector(self, query), k, least, chosen)
end

local function documents_in(found)
  local list = {}
  for i, pair in ipairs(found) do list[i] = pair[1] end
  return list
end

--- The [k] nearest documents that the filter takes, nearest first, each as `{ document, similarity,
--- measured }`; what they mean stands on top of this file. With `score_threshold` only those whose
--- similarity is at least that.
---@async
---@param query string
---@param opts moonpipe.SearchOptions?
---@return { [1]: moonpipe.Document, [2]: number, [3]: number }[]
function methods:similarity_search_with_score(query, opts)
  local k, least, chosen = check_search(opts, "similarity_search")
  check_query(query, "similarity_search")
  return scheduler.call(search_text, self, query, k, least, chosen)
end

--- The [k] nearest documents that the filter takes, nearest first, each with its similarity as
--- `score`.
---@async
---@param query string
---@param opts moonpipe.SearchOptions?
---@return moonpipe.Document[]
function methods:similarity_search(query, opts)
  return documents_in(self:similarity_search_with_score(query, opts))
end

--- The documents nearest to a vector, a list of numbers or an mp.Floats.
---@async
---@param vector moonpipe.Floats|number[]
---@param opts moonpipe.SearchOptions?
---@return moonpipe.Document[]
function methods:similarity_search_by_vector(vector, opts)
  local k, least, chosen = check_search(opts, "similarity_search_by_vector")
  local given = check_vector(vector, "similarity_search_by_vector")
  return documents_in(scheduler.call(search, self, given, k, least, chosen))
end

-- ---- nearness and difference -------------------------------------------------------------------

local function check_marginal(opts, what)
  opts = errors.options(opts, MARGINAL, what)
  return {
    k = retriever_base.check_k(opts.k),
    fetch_k = retriever_base.check_k(opts.fetch_k, "fetch_k", 20),
    weight = retriever_base.check_share(opts.lambda_mult, "lambda_mult", 0.5),
    chosen = check_filter(opts.filter),
  }
end

local function marginal(self, vector, asked)
  local fetch_k = math.max(asked.k, asked.fetch_k)
  local hits = self:_search(vector, fetch_k, asked.chosen, true)
  local rows, found = {}, {}
  for i, hit in ipairs(hits) do rows[i] = hit.vector:totable() end
  local scored = scores_of(self, vector, hits)
  for i, place in ipairs(mmr.select(vector:totable(), rows, asked.k, fetch_k, asked.weight)) do
    found[i] = scored[place][1]
  end
  return found
end

local function marginal_text(self, query, asked)
  return marginal(self, query_vector(self, query), asked)
end

--- Of the `fetch_k` nearest documents that the filter takes those [k] that are least like one
--- another, in the order in which they were chosen: maximal marginal relevance, by the cosine.
---@async
---@param query string
---@param opts moonpipe.MarginalOptions?
---@return moonpipe.Document[]
function methods:max_marginal_relevance_search(query, opts)
  local asked = check_marginal(opts, "max_marginal_relevance_search")
  check_query(query, "max_marginal_relevance_search")
  return scheduler.call(marginal_text, self, query, asked)
end

--- The same for a vector, a list of numbers or an mp.Floats.
---@async
---@param vector moonpipe.Floats|number[]
---@param opts moonpipe.MarginalOptions?
---@return moonpipe.Document[]
function methods:max_marginal_relevance_search_by_vector(vector, opts)
  local asked = check_marginal(opts, "max_marginal_relevance_search_by_vector")
  local given = check_vector(vector, "max_marginal_relevance_search_by_vector")
  return scheduler.call(marginal, self, given, asked)
end

return methods
