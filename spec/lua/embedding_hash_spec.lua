local helper = require "spec.helper"
local mp = require "moonpipe"

local usage = helper.said

local function product(a, b)
  local sum = 0
  for i = 1, #a do sum = sum + a[i] * b[i] end
  return sum
end

describe("HashEmbeddings", function()
  local embeddings = mp.HashEmbeddings()

  it("gives a row of 1,024 numbers for each text", function()
    local rows, dim = embeddings:embed_documents({ "one", "two", "three" }):shape()
    assert.same({ 3, 1024 }, { rows, dim })
  end)

  it("gives a query the vector of a document", function()
    local text = "where did harrison work?"
    assert.equal(embeddings:embed_documents({ "other", text })[2], embeddings:embed_query(text))
  end)

  it("gives vectors of length 1", function()
    local vector = embeddings:embed_query("harrison worked at kensho")
    assert.near(1, product(vector, vector), 1e-6)
  end)

  it("gives zeros to a text without words", function()
    local vector = embeddings:embed_query(" . ")
    assert.equal(0, product(vector, vector))
  end)

  it("finds the text that shares words", function()
    local rows = embeddings:embed_documents({ "bears like honey", "harrison worked at kensho" })
    local query = embeddings:embed_query("Where did Harrison work?")
    assert.is_true(product(query, rows[2]) > product(query, rows[1]) + 0.2)
  end)

  it("embeds a long query on the pool", function()
    local text = ("harrison worked at kensho "):rep(1000)
    assert.equal(embeddings:embed_documents({ text })[1], embeddings:embed_query(text))
  end)

  it("gives no rows for no texts", function()
    assert.equal(0, #embeddings:embed_documents({}))
  end)

  it("names itself", function()
    assert.equal("HashEmbeddings", tostring(embeddings))
    assert.equal("hash-1024-v1", embeddings.model)
  end)

  it("takes a megabyte in less than two seconds", function()
    local texts = {}
    for i = 1, 1000 do texts[i] = ("word%d and more of it, "):format(i):rep(40) end
    local begin = os.clock()
    embeddings:embed_documents(texts)
    assert.is_true(os.clock() - begin < 2) -- of CPU; the sanitizers' too
  end)

  it("refuses what is no text", function()
    assert.equal("embed_query takes a string, got a table with keys {question}",
      usage(embeddings.embed_query, embeddings, { question = "x" }))
    assert.equal("text 2 of embed_documents is the number 2; it must be a string",
      usage(embeddings.embed_documents, embeddings, { "a", 2 }))
    assert.equal("embed_documents takes a list of strings, got a string",
      usage(embeddings.embed_documents, embeddings, "a"))
  end)

  it("refuses options", function()
    assert.truthy(usage(mp.HashEmbeddings, { model = "x" }):find("unknown option 'model'", 1, true))
  end)
end)
