local helper = require "spec.helper"
local ingest = require "spec.support.ingest"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local contents, doc, docs = ingest.contents, ingest.doc, ingest.docs
local it = helper.with_vectors(it)

-- Refuses texts that say so, as a server would; notes how many it was asked for each time.
local function picky()
  local hash, asked = mp.HashEmbeddings(), {}
  return {
    asked = asked,
    embed_query = function(_, text) return hash:embed_query(text) end,
    embed_documents = function(_, texts)
      asked[#asked + 1] = #texts
      for _, text in ipairs(texts) do
        if text:find "bad" then error("what a text: " .. text, 0) end
      end
      return hash:embed_documents(texts)
    end,
  }
end

local function new_store(embedding)
  return mp.FAISS { embedding = embedding or picky() }
end

local function failure(opts)
  return helper.failure(mp.ingest, opts)
end

describe("ingest: a failure", function()
  it("names the source of the document, and ends all", function()
    local store = new_store()
    local err = failure { store = store, documents = docs "1:a 2:b 3:bad 4:c", batch_size = 4 }
    assert.equal("lua", err.kind)
    assert.truthy(tostring(err):find("what a text: bad (in document '3'", 1, true))
    assert.equal("1:a 2:b", contents(store)) -- those before it
  end)

  it("leaves out the document alone, where it may go on", function()
    local store = new_store()
    local result = mp.ingest { store = store, on_error = "collect", batch_size = 8,
      documents = docs "1:a 2:b 3:bad 4:c 5:d 6:e 6:bad2 7:f" }
    assert.same({ 6, 2, 2 }, { result.added, result.failed, #result.errors })
    assert.equal("3", result.errors[1].source)
    assert.truthy(tostring(result.errors[2].error):find("in document '6'", 1, true))
    assert.equal("1:a 2:b 4:c 5:d 6:e 7:f", contents(store))
  end)

  it("is decided about by a function", function()
    local seen = {}
    local function decide(err, source)
      seen[#seen + 1] = source .. " " .. err.message
      return source == "1"
    end
    local err = failure { store = new_store(), on_error = decide, batch_size = 1,
      concurrency = 1, documents = docs "1:bad 2:b 3:bad 4:c" }
    assert.same({ "1 what a text: bad", "3 what a text: bad" }, seen)
    assert.truthy(tostring(err):find("document '3'", 1, true))
  end)

  it("that is no document's is that of the whole batch, and not asked about again", function()
    local e = mp.OpenAIEmbeddings { base_url = server:with { status = 503 }, dimensions = 4,
      max_retries = 0 }
    local opts = { store = new_store(e), documents = docs "1:a 2:b 3:c", on_error = "collect" }
    local result = mp.ingest(opts)
    assert.same({ 0, 3, 1 }, { result.added, result.failed, server:stats().requests })
    assert.truthy(tostring(result.errors[1].error):find("documents '1' to '3'", 1, true))
  end)

  it("that all others would share ends all", function()
    local e = mp.OpenAIEmbeddings { base_url = server:with { status = 401 }, dimensions = 4 }
    local err = failure { store = new_store(e), documents = docs "1:a 2:b", batch_size = 1,
      concurrency = 1, on_error = "collect" }
    assert.equal("auth", err.kind)
    assert.equal(1, server:stats().requests)
  end)

  it("in a splitter or in metadata is that of its document", function()
    local splitter = { split_documents = function(_, list)
      if list[1].page_content == "x" then error("cannot split", 0) end
      return list
    end }
    local odd = mp.Document("a", { source = "4", fn = print })
    local result = mp.ingest { store = new_store(), splitter = splitter, on_error = "collect",
      documents = { doc("x", "1"), doc("b", "2"), odd, "text" } }
    assert.same({ 1, 3, "1", "4" }, { result.added, result.failed, result.errors[1].source,
      result.errors[2].source })
    assert.truthy(tostring(result.errors[3].error):find("must be a Document", 1, true))
  end)

  it("of on_progress is raised", function()
    helper.raises("enough", mp.ingest, { store = new_store(), documents = docs "1:a",
      on_progress = function() error("enough", 0) end })
  end)
end)

describe("ingest: what cannot be read", function()
  it("is told by its path, and the rest is added", function()
    local good, bad, store = helper.temp("text"), helper.fresh(), new_store()
    local err = failure { store = store, paths = { bad, good } }
    assert.equal("io", err.kind)
    assert.truthy(tostring(err):find(bad, 1, true))
    local result = mp.ingest { store = store, paths = { bad, good }, on_error = "collect" }
    assert.same({ 1, 1, bad }, { result.added, result.failed, result.errors[1].source })
  end)

  it("in a folder is left out too", function()
    local folder = helper.fresh()
    os.execute("mkdir " .. folder)
    helper.write(folder .. "/a.txt", "text")
    helper.write(folder .. "/b.txt", "\0\1")
    local result = mp.ingest { store = new_store(), paths = { folder }, on_error = "collect" }
    assert.same({ 1, 1, folder .. "/b.txt" }, { result.added, result.failed,
      result.errors[1].source })
    os.execute("rm -r " .. folder)
  end)

  it("keeps what it has in the store, whatever is cleaned up", function()
    local store, records = new_store(), ingest.records()
    local function go(list, cleanup)
      return mp.ingest { store = store, record_manager = records, documents = docs(list),
        cleanup = cleanup, on_error = "collect" }
    end
    go "1:a 1:b 2:c 3:d"
    for _, cleanup in ipairs { "incremental", "scoped_full" } do
      assert.equal(0, go("1:bad", cleanup).deleted)
    end
    assert.equal(2, go("1:bad", "full").deleted)
    assert.equal("1:a 1:b", contents(store))
  end)

  it("keeps it too where its beginning could be read", function()
    local folder, store, records = helper.fresh(), new_store(), ingest.records()
    os.execute("mkdir " .. folder)
    local function go(cleanup, key)
      return mp.ingest { store = store, record_manager = records, cleanup = cleanup,
        paths = { folder }, on_error = "collect", source_id_key = key }
    end
    helper.write(folder .. "/a.jsonl", '{"a":1}\n{"a":2}\n')
    helper.write(folder .. "/b.txt", "text")
    assert.equal(3, go().added)
    helper.write(folder .. "/a.jsonl", '{"a":1}\n{"a":')
    for _, cleanup in ipairs { "incremental", "full", "scoped_full" } do
      local result = go(cleanup)
      assert.same({ 2, 0, 1 }, { result.skipped, result.deleted, result.failed }, cleanup)
    end
    assert.equal(3, store:count())
    os.execute("rm -r " .. folder)
  end)

  it("keeps it too where its name is not its source", function()
    local folder, store, records = helper.fresh(), new_store(), ingest.records()
    os.execute("mkdir " .. folder)
    local function go(cleanup)
      return mp.ingest { store = store, record_manager = records, cleanup = cleanup,
        paths = { folder }, on_error = "collect",
        source_id_key = function(one) return "of " .. one.metadata.source end }
    end
    helper.write(folder .. "/a.jsonl", '{"a":1}\n{"a":2}\n')
    helper.write(folder .. "/b.txt", "text")
    assert.equal(3, go().added)
    helper.write(folder .. "/a.jsonl", '{"a":1}\n{"a":')
    for _, cleanup in ipairs { "incremental", "full", "scoped_full" } do
      local result = go(cleanup)
      assert.same({ 2, 0, 1 }, { result.skipped, result.deleted, result.failed }, cleanup)
    end
    os.execute("rm -r " .. folder)
  end)

  it("keeps everything where nobody knows what it was", function()
    local store, records = new_store(), ingest.records()
    local opts = { store = store, record_manager = records, documents = docs "1:a 2:b" }
    mp.ingest(opts)
    opts.cleanup, opts.on_error = "full", "collect"
    opts.documents = function() error("the disk is gone", 0) end
    local result = mp.ingest(opts)
    assert.same({ 0, 1 }, { result.deleted, result.failed })
    assert.equal("1:a 2:b", contents(store))
  end)
end)

describe("ingest: mistakes", function()
  local function said(opts)
    opts.store = opts.store == nil and { add_documents = function() end } or opts.store or nil
    return helper.said(function() mp.ingest(opts) end)
  end

  it("are named", function()
    assert.equal("ingest takes one of documents, loader and paths, got none", said {})
    assert.equal("ingest takes one of documents, loader and paths, got documents and paths",
      said { documents = {}, paths = {} })
    assert.equal("store of ingest is nil; it must be one, such as an mp.FAISS, or there must be "
      .. "embedding and save_to", said { documents = {}, store = false })
    assert.equal("ingest takes a store or an embedding: a store has one",
      said { documents = {}, embedding = picky() })
    assert.equal("embedding of ingest is the number 1; it must be one, such as "
      .. "mp.HashEmbeddings()", said { documents = {}, store = false, embedding = 1,
      save_to = "a.mp" })
    assert.equal("cleanup of ingest is a string; it must be nil, 'incremental', 'full' or "
      .. "'scoped_full'", said { documents = {}, cleanup = "all", record_manager = ingest.records() })
    assert.equal("cleanup = 'full' needs a record_manager: mp.SQLiteRecordManager(\"docs\", "
      .. "{ path = \"records.db\" })", said { documents = {}, cleanup = "full" })
    assert.equal("on_error of ingest is a string; it must be 'raise', 'collect' or a function",
      said { documents = {}, on_error = "ignore" })
    assert.equal("batch_size of ingest is the number 0; it must be a whole number from 1",
      said { documents = {}, batch_size = 0 })
    assert.equal("save_to needs a store that can be saved, such as an mp.FAISS",
      said { documents = {}, save_to = "a.mp" })
    assert.equal("paths[2] of ingest is the number 3; it must be a path",
      said { paths = { "a", 3 } })
    helper.raises("unknown option 'document' of ingest", mp.ingest, { document = {} })
  end)

  it("in documents without a source are told where one is needed", function()
    local err = failure { store = new_store(), documents = { mp.Document("a") },
      record_manager = ingest.records(), cleanup = "incremental" }
    assert.equal("input", err.kind)
    assert.truthy(err.message:find("cleanup = 'incremental' needs one in metadata['source']", 1,
      true))
    err = failure { store = new_store(), documents = { mp.Document("a", { source = {} }) } }
    assert.truthy(err.message:find("is an empty table; it must be a string", 1, true))
  end)
end)
