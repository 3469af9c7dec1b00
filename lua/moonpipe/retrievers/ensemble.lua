--- EnsembleRetriever: several retrievers asked at once, their lists fused into one.
--
-- Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): a document's score is the sum, over
-- the lists in which it is, of weight / (c + rank), ranks from 1. Scores of the retrievers do not
-- matter, so lists of any kind go together.
local base = require "moonpipe.retrievers.base"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local parallel = require "moonpipe.steps.parallel"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.EnsembleRetriever: moonpipe.BaseRetriever
---@field retrievers moonpipe.Runnable[]
---@field weights number[]
---@field c number
---@field id_key string?
---@field map moonpipe.RunnableParallel
local EnsembleRetriever, methods = runnable.class("EnsembleRetriever", {
  base = base.BaseRetriever,
})

local OPTIONS = { "c", "id_key", "retrievers", "weights" }

-- ---- making ------------------------------------------------------------------------------------

local function is_positive(value)
  return type(value) == "number" and value >= 0 and value < math.huge
end

local function check_weights(weights, count)
  if weights == nil then
    weights = {}
    for i = 1, count do weights[i] = 1 / count end
  end
  if type(weights) ~= "table" or #weights ~= count then
    errors.usage(("weights of EnsembleRetriever must be a list of %d, one for each retriever,"
      .. " got %s"):format(count, errors.shape(weights)))
  end
  for i, weight in ipairs(weights) do
    if not is_positive(weight) then
      errors.usage(("weight %d of EnsembleRetriever is %s; it must be a number from 0"):format(i,
        errors.shape(weight)))
    end
  end
  return weights
end

--- `EnsembleRetriever{ retrievers = { a, b }, weights = { 0.5, 0.5 }, c = 60, id_key = "source" }`.
--- Documents are the same that have the same text, or with `id_key` the same value there in their
--- metadata (`id_key = "id"`: the same id, where the metadata has none). Any step that gives
--- documents for a string is a retriever.
---@param opts { retrievers: any[], weights: number[]?, c: number?, id_key: string? }
---@return moonpipe.EnsembleRetriever
function EnsembleRetriever.new(opts)
  opts = errors.options(opts, OPTIONS, "EnsembleRetriever")
  local given = errors.list(opts.retrievers, "retrievers of EnsembleRetriever")
  if given[1] == nil then
    errors.usage("retrievers of EnsembleRetriever is an empty list")
  elseif opts.c ~= nil and not is_positive(opts.c) then
    errors.usage(("c of EnsembleRetriever is %s; it must be a number from 0"):format(
      errors.shape(opts.c)))
  elseif opts.id_key ~= nil and type(opts.id_key) ~= "string" then
    errors.usage("id_key of EnsembleRetriever must be a string, got " .. errors.shape(opts.id_key))
  end
  local map = parallel.from_table({ unpack(given) }, nil, errors.caller())
  return runnable.instance(EnsembleRetriever, {
    map = map,
    retrievers = map.list,
    weights = check_weights(opts.weights, #given),
    c = opts.c or 60,
    id_key = opts.id_key,
    sync = map.sync,
  })
end

-- ---- fusing ------------------------------------------------------------------------------------

local function check_list(self, i, list)
  base.check_documents(list, ("retriever %d of EnsembleRetriever, %s,"):format(i,
    self.retrievers[i]:get_name()))
end

local function key_of(self, doc)
  if self.id_key == nil then return doc.page_content end
  local key = doc.metadata[self.id_key]
  if key == nil and self.id_key == "id" then key = doc.id end
  return key == nil and doc.page_content or key
end

-- Adds what one list says; a document that is in it twice counts where it is first.
local function add_list(self, i, list, entries, by_key)
  local seen = {}
  for rank, doc in ipairs(list) do
    local key = key_of(self, doc)
    local entry = by_key[key]
    if not entry then
      entry = { doc = doc, score = 0, order = #entries + 1 }
      by_key[key], entries[entry.order] = entry, entry
    end
    if not seen[key] then entry.score = entry.score + self.weights[i] / (self.c + rank) end
    seen[key] = true
  end
end

local function is_better(a, b)
  if a.score ~= b.score then return a.score > b.score end
  return a.order < b.order
end

local function fuse(self, lists)
  local entries, by_key, out = {}, {}, {}
  for i = 1, #self.retrievers do
    check_list(self, i, lists[i])
    add_list(self, i, lists[i], entries, by_key)
  end
  table.sort(entries, is_better)
  for i, entry in ipairs(entries) do out[i] = document.scored(entry.doc, entry.score) end
  return out
end

function methods:_invoke(input, ctx)
  base.check(input)
  return fuse(self, run.invoke(self.map, input, ctx))
end

-- ---- what others ask ---------------------------------------------------------------------------

function methods:_begins_with_user_code()
  return self.map:_begins_with_user_code()
end

function methods:_takes_kwargs()
  return self.map:_takes_kwargs()
end

function methods:_parts()
  return self.map:_parts()
end

return { EnsembleRetriever = EnsembleRetriever }
