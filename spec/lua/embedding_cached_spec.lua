local helper = require "spec.helper"
local mp = require "moonpipe"

-- Embeddings that note which texts they were asked for.
local function counting(model)
  local inner = { model = model or "m", asked = {}, queries = 0 }
  function inner.embed_documents(_, texts)
    for _, text in ipairs(texts) do inner.asked[#inner.asked + 1] = text end
    local rows = {}
    for i, text in ipairs(texts) do rows[i] = { #text, 0.5 } end
    return mp.Floats(rows)
  end
  function inner.embed_query(_, text)
    inner.queries = inner.queries + 1
    return mp.Floats { #text, 1 }
  end
  return inner
end

for _, where in ipairs { "memory", "a file" } do
  describe("vectors kept in " .. where, function()
    local function make(inner, opts)
      opts = opts or {}
      if where == "a file" then opts.path = opts.path or helper.fresh() end
      return mp.CacheBackedEmbeddings(inner, opts)
    end

    it("are made once for each text", function()
      local inner = counting()
      local e = make(inner)
      local first = e:embed_documents { "a", "bb", "a" }
      assert.same({ { 1, 0.5 }, { 2, 0.5 }, { 1, 0.5 } }, first:totable())
      assert.same({ { 3, 0.5 }, { 1, 0.5 } }, e:embed_documents({ "ccc", "a" }):totable())
      assert.same({ "a", "bb", "ccc" }, inner.asked)
      assert.equal(0, #e:embed_documents {})
    end)

    it("are of documents, and of queries where that is asked for", function()
      local inner = counting()
      local e = make(inner, { cache_queries = true })
      e:embed_documents { "a" }
      assert.same({ 1, 1 }, e:embed_query("a"):totable())
      e:embed_query "a"
      assert.equal(1, inner.queries)
      local without = make(inner)
      without:embed_query "a"
      without:embed_query "a"
      assert.equal(3, inner.queries)
    end)

    it("are kept batch by batch, so that a failure loses one alone", function()
      local inner = counting()
      local made, calls = inner.embed_documents, 0
      function inner:embed_documents(texts)
        calls = calls + 1
        if calls == 2 then error("broken", 0) end
        return made(self, texts)
      end
      local e = make(inner, { batch_size = 2 })
      assert.is_false((pcall(e.embed_documents, e, { "a", "bb", "ccc" })))
      e:embed_documents { "a", "bb", "ccc" }
      assert.same({ "a", "bb", "ccc" }, inner.asked)
    end)
  end)
end

describe("a file of vectors", function()
  it("serves the next program, and another model not", function()
    local path, inner, other = helper.fresh(), counting(), counting "other"
    mp.CacheBackedEmbeddings(inner, { path = path }):embed_documents { "a", "b\0c" }
    local again = mp.CacheBackedEmbeddings(inner, { path = path })
    assert.same({ { 1, 0.5 }, { 3, 0.5 } }, again:embed_documents({ "a", "b\0c" }):totable())
    assert.equal(2, #inner.asked)
    mp.CacheBackedEmbeddings(other, { path = path }):embed_documents { "a" }
    assert.same({ "a" }, other.asked)
  end)

  it("holds many", function()
    local inner, texts = counting(), {}
    for i = 1, 1200 do texts[i] = "text " .. i end
    local e = mp.CacheBackedEmbeddings(inner, { path = helper.fresh() })
    e:embed_documents(texts)
    assert.equal(1200, #e:embed_documents(texts))
    assert.equal(1200, #inner.asked)
  end)

  helper.with_vectors(it)("is a store's embedding", function()
    local e = mp.CacheBackedEmbeddings(mp.HashEmbeddings(), { path = helper.fresh() })
    local store = mp.FAISS.from_texts({ "a cat", "a dog" }, { embedding = e })
    assert.equal("a dog", store:similarity_search("dog", { k = 1 })[1].page_content)
  end)
end)

describe("CacheBackedEmbeddings", function()
  it("refuses what it cannot use", function()
    helper.raises("CacheBackedEmbeddings takes embeddings first, got nil", mp.CacheBackedEmbeddings)
    helper.raises("path of CacheBackedEmbeddings must be the path of a file",
      mp.CacheBackedEmbeddings, counting(), { path = 1 })
    helper.raises("batch_size of CacheBackedEmbeddings must be a whole number from 1",
      mp.CacheBackedEmbeddings, counting(), { batch_size = 0 })
  end)
end)

describe("the bytes of a vector", function()
  local c = require("moonpipe.native").c

  it("are the vector", function()
    local v = mp.Floats { 1, -2.5, 3e-3 }
    assert.equal(12, #v:bytes())
    assert.equal(v, c.floats_of_bytes(v:bytes()))
  end)

  it("are refused where they are none", function()
    assert.same({ nil, "5 bytes are no float32s", "input" }, { c.floats_of_bytes "12345" })
    assert.is_nil((c.floats_of_bytes ""))
  end)
end)
