local helper = require "spec.helper"
local mp = require "moonpipe"

local always, it = it, helper.with_vectors(it)

local function usage(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.equal("string", type(message), tostring(message))
  return message:match("retriever_parent_spec%.lua:%d+: (.*)")
    or "not blamed on the spec: " .. message
end

local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local function splitter(size)
  return mp.RecursiveCharacterTextSplitter { chunk_size = size, chunk_overlap = 0 }
end

local function empty()
  return mp.FAISS.from_texts({}, { embedding = mp.HashEmbeddings() })
end

local function with(more)
  local opts = { vectorstore = empty(), child_splitter = splitter(20) }
  for name, value in pairs(more or {}) do opts[name] = value end
  return mp.ParentDocumentRetriever(opts)
end

local BEARS = "bears eat honey. bears sleep long."
local MOON = "the moon is far. nobody lives there."

local function stored(more)
  local self = with(more)
  self:add_documents {
    mp.Document { page_content = BEARS, metadata = { source = "b" }, id = "bears" },
    mp.Document(MOON),
  }
  return self
end

describe("ParentDocumentRetriever", function()
  it("gives the document of which a piece was found, once", function()
    local found = stored():invoke "bears eat honey"
    assert.same({ BEARS, "bears", "b" },
      { found[1].page_content, found[1].id, found[1].metadata.source })
    assert.equal(2, #found)
    assert.is_true(found[1].score > found[2].score)
    assert.is_nil(found[1].metadata.doc_id)
  end)

  it("gives ids, the documents' own where they have one", function()
    local self = with()
    local ids = self:add_documents { mp.Document { page_content = MOON, id = "m" }, mp.Document(BEARS) }
    assert.equal("m", ids[1])
    assert.equal(BEARS, self.docstore:mget(ids)[ids[2]].page_content)
    assert.same({}, self:add_documents {})
  end)

  it("cuts the documents too, where it is told how", function()
    local self = with { parent_splitter = splitter(40), child_splitter = splitter(12) }
    self:add_documents { mp.Document(BEARS .. "\n\n" .. MOON) }
    local found = self:invoke "moon"
    assert.equal(MOON, found[1].page_content)
  end)

  it("searches as it is told", function()
    assert.equal(1, #stored({ search_kwargs = { k = 1 } }):invoke "moon")
    assert.same({}, stored({
      search_type = "similarity_score_threshold", search_kwargs = { score_threshold = 0.9 },
    }):invoke "xyzzy")
  end)

  it("adds nothing where an id is there, or the pieces cannot be", function()
    local self = stored()
    local err = failure(self.add_documents, self,
      { mp.Document("new"), mp.Document { page_content = "x", id = "bears" } })
    assert.same({ "input", "id 'bears' is already in the docstore" }, { err.kind, err.message })
    local two = { mp.Document { page_content = "x", id = "1" },
      mp.Document { page_content = "y", id = "1" } }
    assert.equal("id '1' is given twice", failure(self.add_documents, self, two).message)
    self.vectorstore.embedding = { embed_documents = function() error("no vectors", 0) end }
    err = failure(self.add_documents, self, { mp.Document { page_content = "x", id = "1" } })
    assert.truthy(tostring(err):find("no vectors", 1, true))
    assert.same({}, self.docstore:mget { "1" })
  end)

  it("says that a document is gone", function()
    local self = stored()
    self.docstore:mdelete { "bears" }
    local err = failure(self.invoke, self, "bears eat honey")
    assert.same({ "input", "the docstore has no document 'bears', of which a piece was found" },
      { err.kind, err.message })
  end)

  it("says where it failed, and traces its search", function()
    local self, starts = stored(), {}
    for event in self:stream_events "moon" do
      if event.event == "on_retriever_start" then
        starts[#starts + 1] = ("%s %d"):format(event.name, #event.parent_ids)
      end
    end
    assert.same({ "ParentDocumentRetriever 0", "VectorStoreRetriever 1" }, starts)
    self.vectorstore.embedding = { embed_query = function() error("no vectors", 0) end }
    local err = failure(self.invoke, self, "x")
    assert.equal("search VectorStoreRetriever", err.path)
    assert.truthy(err.where:find("retriever_parent_spec.lua", 1, true), err.where)
    assert.truthy(self:get_graph():draw_ascii():find("VectorStoreRetriever", 1, true))
  end)

  it("refuses what is no question and no option of it", function()
    local self, new = with(), mp.ParentDocumentRetriever
    assert.truthy(failure(self.invoke, self, { question = "x" }).message:find(
      'use mp.itemgetter("question")', 1, true))
    assert.equal("child_splitter of ParentDocumentRetriever is nil; it must be one, such as"
      .. " mp.RecursiveCharacterTextSplitter { chunk_size = 400, chunk_overlap = 0 }",
      usage(new, { vectorstore = empty() }))
    assert.equal("docstore of ParentDocumentRetriever is a string; it must be one, such as"
      .. " mp.InMemoryDocstore()", usage(with, { docstore = "x" }))
    assert.equal("id_key of ParentDocumentRetriever must be a string, got the number 1",
      usage(with, { id_key = 1 }))
    assert.truthy(usage(self.add_documents, self, { "x" }):find("it must be a Document", 1, true))
  end)

  always("refuses what is no store", function()
    assert.equal("vectorstore of ParentDocumentRetriever is nil; it must be one, such as"
      .. " mp.FAISS.from_texts", usage(mp.ParentDocumentRetriever, {}))
  end)
end)
