--- Chooses the examples that are nearest to an input, by the vectors of their texts.
--
-- The text of an example is its values, sorted by their keys, with blanks between; with
-- `input_keys` only those of them, in the example and in the input.
local errors = require "moonpipe.error"
local floats = require "moonpipe.floats"
local mmr = require "moonpipe.embeddings.mmr"
local store = require "moonpipe.stores.faiss"
local template = require "moonpipe.templates.template"
local traversal = require "moonpipe.traversal"

local examples = {}

-- What both share ---------------------------------------------------------------------------------

local function text_of(self, values)
  local texts = {}
  for _, key in ipairs(self.input_keys or traversal.keys(values)) do
    if values[key] ~= nil then
      texts[#texts + 1] = template.text_of(values[key], key)
    end
  end
  return table.concat(texts, " ")
end

local function texts_of(self, list)
  local texts = {}
  for i, example in ipairs(list) do
    texts[i] = text_of(self, example)
  end
  return texts
end

local function restricted(self, example)
  if not self.example_keys then
    return example
  end
  local result = {}
  for _, key in ipairs(self.example_keys) do
    result[key] = example[key]
  end
  return result
end

local function check_keys(opts, name, what)
  local keys = opts[name]
  if keys ~= nil and (type(keys) ~= "table" or type(keys[1]) ~= "string") then
    errors.usage(("%s of %s is %s; it must be a list of keys"):format(name, what,
      errors.shape(keys)))
  end
end

local function check_count(opts, name, what)
  local count = opts[name]
  if count ~= nil and (type(count) ~= "number" or count < 1 or count % 1 ~= 0) then
    errors.usage(("%s of %s is %s; it must be a positive integer"):format(name, what,
      errors.shape(count)))
  end
end

local function check_list(list, what)
  if type(list) ~= "table" then
    errors.usage(("%s.from_examples takes a list of examples, got %s"):format(what,
      errors.shape(list)))
  end
  for i, example in ipairs(list) do
    if type(example) ~= "table" or getmetatable(example) ~= nil then
      errors.usage(("%s.from_examples: example %d is %s; it must be a table of values"):format(what,
        i, errors.shape(example)))
    end
  end
end

local function new(mt, opts)
  check_keys(opts, "input_keys", mt.label)
  check_keys(opts, "example_keys", mt.label)
  check_count(opts, "k", mt.label)
  check_count(opts, "fetch_k", mt.label)
  return setmetatable({
    k = opts.k or 4, input_keys = opts.input_keys, example_keys = opts.example_keys,
  }, mt)
end

local function class(label, methods)
  local mt = { __name = "moonpipe." .. label, __index = methods, label = label }
  examples[label] = setmetatable({}, {
    __name = "moonpipe.class",
    __call = function()
      errors.usage(("write %s.from_examples(examples, { embedding = … })"):format(label))
    end,
    __tostring = function() return label end,
  })
  return examples[label], mt
end

-- By nearness -------------------------------------------------------------------------------------

---@class moonpipe.SemanticSimilarityExampleSelector: moonpipe.ExampleSelector
---@field vectorstore moonpipe.FAISS
---@field k integer
local semantic = {}
local Semantic, semantic_mt = class("SemanticSimilarityExampleSelector", semantic)

--- `from_examples(examples, { embedding =, k = 4, input_keys =, example_keys = })`; example_keys
--- are what a prompt is given of an example.
---@async
---@param list table[]
---@param opts { embedding: table, k: integer?, input_keys: string[]?, example_keys: string[]? }
---@return moonpipe.SemanticSimilarityExampleSelector
function Semantic.from_examples(list, opts)
  opts = errors.options(opts, { "embedding", "example_keys", "input_keys", "k" },
    semantic_mt.label)
  check_list(list, semantic_mt.label)
  local self = new(semantic_mt, opts)
  self.vectorstore = store.FAISS.from_texts(texts_of(self, list), {
    embedding = opts.embedding, metadatas = list,
  })
  return self
end

--- One more example.
---@async
---@param example table
function semantic:add_example(example)
  self.vectorstore:add_texts({ text_of(self, example) }, { metadatas = { example } })
end

--- The [k] examples nearest to the input, nearest first.
---@async
---@param values table
---@return table[]
function semantic:select_examples(values)
  local list = {}
  for i, found in ipairs(self.vectorstore:similarity_search(text_of(self, values), { k = self.k }))
  do
    list[i] = restricted(self, found.metadata)
  end
  return list
end

-- By nearness and difference ----------------------------------------------------------------------

---@class moonpipe.MaxMarginalRelevanceExampleSelector: moonpipe.ExampleSelector
---@field k integer
---@field fetch_k integer
local marginal = {}
local Marginal, marginal_mt = class("MaxMarginalRelevanceExampleSelector", marginal)

local MARGINAL_OPTIONS = { "embedding", "example_keys", "fetch_k", "input_keys", "k",
  "lambda_mult" }

local function check_marginal(opts)
  local weight, embedding = opts.lambda_mult, opts.embedding
  if weight ~= nil and (type(weight) ~= "number" or not (weight >= 0 and weight <= 1)) then
    errors.usage(("lambda_mult of %s is %s; it must be a number from 0 to 1"):format(
      marginal_mt.label, errors.shape(weight)))
  elseif type(embedding) ~= "table" or type(embedding.embed_query) ~= "function" then
    errors.usage(("embedding of %s is %s; it must be one, such as mp.HashEmbeddings()"):format(
      marginal_mt.label, errors.shape(embedding)))
  end
end

local function add(self, list)
  if #list == 0 then
    return
  end
  local vectors = floats.Floats(self.embedding:embed_documents(texts_of(self, list)))
  for i, example in ipairs(list) do
    self._examples[#self._examples + 1] = example
    self._rows[#self._examples] = vectors:row(i):totable()
  end
end

--- `from_examples(examples, { embedding =, k = 4, fetch_k = 20, lambda_mult = 0.5, input_keys =,
--- example_keys = })`: of the fetch_k nearest those k that are least like one another; lambda_mult
--- weighs nearness (1) against difference (0).
---@async
---@param list table[]
---@param opts table
---@return moonpipe.MaxMarginalRelevanceExampleSelector
function Marginal.from_examples(list, opts)
  opts = errors.options(opts, MARGINAL_OPTIONS, marginal_mt.label)
  check_list(list, marginal_mt.label)
  check_marginal(opts)
  local self = new(marginal_mt, opts)
  self.embedding, self.fetch_k = opts.embedding, opts.fetch_k or 20
  self.lambda_mult = opts.lambda_mult or 0.5
  self._examples, self._rows = {}, {}
  add(self, list)
  return self
end

--- One more example.
---@async
---@param example table
function marginal:add_example(example)
  add(self, { example })
end

--- The [k] examples for the input, in the order in which they were chosen.
---@async
---@param values table
---@return table[]
function marginal:select_examples(values)
  local query = floats.Floats(self.embedding:embed_query(text_of(self, values))):totable()
  local list = {}
  for i, number in ipairs(mmr.select(query, self._rows, self.k, self.fetch_k, self.lambda_mult)) do
    list[i] = restricted(self, self._examples[number])
  end
  return list
end

return examples
