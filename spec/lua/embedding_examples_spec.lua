local mmr = require "moonpipe.embeddings.mmr"
local mp = require "moonpipe"
local helper = require "spec.helper"

local said = helper.said

-- Vectors by the first letter of a text: known nearness, and counted calls.
local VECTORS = {
  a = { 1, 0, 0 }, b = { 0.9, 0.1, 0 }, c = { 0.6, 0.8, 0 }, d = { 0, 0, 1 }, q = { 1, 0, 0 },
}

local function letters()
  local embedding = { calls = 0, texts = {} }
  function embedding:embed_documents(texts)
    self.calls = self.calls + 1
    local rows = {}
    for i, text in ipairs(texts) do
      self.texts[#self.texts + 1] = text
      rows[i] = VECTORS[text:sub(1, 1)]
    end
    return rows
  end
  function embedding:embed_query(text)
    self.query = text
    return VECTORS[text:sub(1, 1)]
  end
  return embedding
end

local function names(list)
  local texts = {}
  for i, example in ipairs(list) do
    texts[i] = example.word
  end
  return table.concat(texts, " ")
end

local EXAMPLES = { { word = "d" }, { word = "c" }, { word = "b" }, { word = "a" } }

describe("maximal marginal relevance", function()
  local rows = { VECTORS.d, VECTORS.c, VECTORS.b, VECTORS.a }

  it("by nearness alone gives the nearest", function()
    assert.same({ 4, 3, 2 }, mmr.select(VECTORS.q, rows, 3, 4, 1))
  end)

  it("by difference alone begins with the nearest, too", function()
    assert.same({ 4, 1, 2, 3 }, mmr.select(VECTORS.q, rows, 4, 4, 0))
  end)

  it("weighs the two", function()
    assert.same({ 4, 1, 2 }, mmr.select(VECTORS.q, rows, 3, 4, 0.45))
    assert.same({ 4, 3, 2 }, mmr.select(VECTORS.q, rows, 3, 4, 0.55))
  end)

  it("looks at the nearest only", function()
    assert.same({ 4, 3 }, mmr.select(VECTORS.q, rows, 3, 2, 0))
  end)

  it("takes fewer rows than asked for, none, and rows of length 0", function()
    assert.same({}, mmr.select(VECTORS.q, {}, 3, 4, 0.5))
    assert.same({ 2, 1 }, mmr.select({ 1, 0 }, { { 0, 0 }, { 1, 0 } }, 3, 4, 1))
    assert.same({ 1, 2 }, mmr.select({ 0, 0 }, { { 0, 0 }, { 1, 0 } }, 3, 4, 0.5))
  end)

  it("is what comparing everything with everything gives", function()
    math.randomseed(7)
    local function vector()
      return { math.random() - 0.5, math.random() - 0.5, math.random() - 0.5 }
    end
    local function cosine(a, b)
      local ab, aa, bb = 0, 0, 0
      for i = 1, 3 do ab, aa, bb = ab + a[i] * b[i], aa + a[i] ^ 2, bb + b[i] ^ 2 end
      return ab / math.sqrt(aa * bb)
    end
    local query, many = vector(), {}
    for i = 1, 30 do many[i] = vector() end
    local taken, left = {}, {}
    for i = 1, 30 do left[i] = true end
    for _ = 1, 10 do
      local best, worth
      for i = 1, 30 do
        local like = taken[1] and -1 or 0
        for _, j in ipairs(taken) do like = math.max(like, cosine(many[i], many[j])) end
        local value = 0.3 * cosine(query, many[i]) - 0.7 * like
        if left[i] and (not best or value > worth) then best, worth = i, value end
      end
      taken[#taken + 1], left[best] = best, nil
    end
    assert.same(taken, mmr.select(query, many, 10, 30, 0.3))
  end)
end)

describe("SemanticSimilarityExampleSelector", function()
  local Selector = mp.SemanticSimilarityExampleSelector
  local with_vectors = helper.with_vectors(it)

  with_vectors("chooses the nearest examples", function()
    local chosen = Selector.from_examples(EXAMPLES, { embedding = letters(), k = 2 })
    assert.equal("a b", names(chosen:select_examples { input = "q" }))
    chosen:add_example { word = "a2" }
    assert.equal("a a2", names(chosen:select_examples { input = "q" }))
  end)

  with_vectors("makes texts of sorted values, or of some keys", function()
    local embedding = letters()
    Selector.from_examples({ { b = "b", a = "a", c = 5 } }, { embedding = embedding })
    assert.same({ "a b 5" }, embedding.texts)
    embedding = letters()
    local chosen = Selector.from_examples({ { b = "b", a = "a" } },
      { embedding = embedding, input_keys = { "b" }, example_keys = { "a" } })
    assert.same({ "b" }, embedding.texts)
    assert.same({ { a = "a" } }, chosen:select_examples { b = "q", a = "x" })
    assert.equal("q", embedding.query)
  end)

  with_vectors("serves a prompt in a chain, where it may wait", function()
    local prompt = mp.FewShotPromptTemplate {
      example_selector = Selector.from_examples(EXAMPLES,
        { embedding = mp.HashEmbeddings(), k = 1, input_keys = { "word" } }),
      example_prompt = mp.PromptTemplate "{word}!", suffix = "{word}?",
    }
    local both = mp.RunnableParallel { x = prompt, y = prompt }
    assert.equal("c!\n\nc?", both:invoke({ word = "c" }).y:to_string())
  end)

  it("refuses wrong options", function()
    assert.equal("write SemanticSimilarityExampleSelector.from_examples(examples, { embedding = … })",
      said(Selector, {}))
    assert.equal("embedding of FAISS.from_texts is nil; it must be one, such as mp.HashEmbeddings()",
      said(Selector.from_examples, {}, {}))
    assert.equal("SemanticSimilarityExampleSelector.from_examples takes a list of examples, got a"
      .. " string", said(Selector.from_examples, "x", {}))
    assert.equal("SemanticSimilarityExampleSelector.from_examples: example 1 is a string; it must be"
      .. " a table of values", said(Selector.from_examples, { "x" }, {}))
    assert.equal("k of SemanticSimilarityExampleSelector is the number 0; it must be a positive"
      .. " integer", said(Selector.from_examples, {}, { k = 0 }))
    assert.equal("input_keys of SemanticSimilarityExampleSelector is a string; it must be a list of"
      .. " keys", said(Selector.from_examples, {}, { input_keys = "x" }))
  end)
end)

describe("MaxMarginalRelevanceExampleSelector", function()
  local Selector = mp.MaxMarginalRelevanceExampleSelector

  it("chooses near examples that differ", function()
    local chosen = Selector.from_examples(EXAMPLES,
      { embedding = letters(), k = 2, lambda_mult = 0.45 })
    assert.equal("a d", names(chosen:select_examples { input = "q" }))
    local nearest = Selector.from_examples(EXAMPLES,
      { embedding = letters(), k = 2, lambda_mult = 1, example_keys = { "word" } })
    assert.equal("a b", names(nearest:select_examples { input = "q" }))
  end)

  it("looks at fetch_k examples, and takes in more", function()
    local embedding = letters()
    local chosen = Selector.from_examples(EXAMPLES,
      { embedding = embedding, k = 2, fetch_k = 2, lambda_mult = 0 })
    assert.equal("a b", names(chosen:select_examples { input = "q" }))
    chosen:add_example { word = "a2" }
    assert.equal("a a2", names(chosen:select_examples { input = "q" }))
    assert.equal(2, embedding.calls)
  end)

  it("of no examples gives none, and asks for no vectors", function()
    local embedding = letters()
    local chosen = Selector.from_examples({}, { embedding = embedding })
    assert.same({}, chosen:select_examples { input = "q" })
    assert.equal(0, embedding.calls)
  end)

  it("refuses wrong options", function()
    assert.equal("lambda_mult of MaxMarginalRelevanceExampleSelector is the number 2; it must be a"
      .. " number from 0 to 1", said(Selector.from_examples, {}, { lambda_mult = 2 }))
    assert.equal("embedding of MaxMarginalRelevanceExampleSelector is nil; it must be one, such as"
      .. " mp.HashEmbeddings()", said(Selector.from_examples, {}, {}))
    assert.equal("fetch_k of MaxMarginalRelevanceExampleSelector is a string; it must be a positive"
      .. " integer", said(Selector.from_examples, {}, { embedding = letters(), fetch_k = "x" }))
  end)
end)
