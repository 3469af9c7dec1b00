local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local native = require "moonpipe.native"

local it = helper.with_vectors(it)

local embedding = mp.HashEmbeddings()

-- Embeddings of [dim] numbers, under a name.
local function plain(model, dim, dimensions)
  local function of(text)
    local row = {}
    for i = 1, dim do row[i] = (text:byte(i) or 0) / 255 end
    return row
  end
  return {
    model = model,
    dimensions = dimensions,
    embed_query = function(_, text) return of(text) end,
    embed_documents = function(_, texts)
      local rows = {}
      for i, text in ipairs(texts) do rows[i] = of(text) end
      return rows
    end,
  }
end

local METADATA = {
  {}, mp.array {}, { n = mp.null, list = { 1, "x", { false } }, empty = {}, none = mp.array {} },
  { whole = 2 ^ 53, large = 2 ^ 60, small = 5e-324, third = 1 / 3, minus = -2 ^ 63 },
  { text = "é\0\"\\\n\u{10ffff}", deep = { a = { b = { c = "d" } } } },
  { source = "a.md", page = 7, score = 0.1, draft = true },
}
local CONTENTS = { "", "one", "\0\255 not UTF-8 \r\n", ("x"):rep(5000), "{}", "é" }

local function sample(opts)
  opts = opts or {}
  local documents = {}
  for i, metadata in ipairs(METADATA) do
    documents[i] = mp.Document { page_content = CONTENTS[i], metadata = metadata,
      id = i % 2 == 0 and "id \0\254" .. i or nil }
  end
  return mp.FAISS.from_documents(documents, {
    embedding = opts.embedding or plain("plain", 4), distance_strategy = opts.strategy,
  })
end

local function all_of(store)
  local documents, rows = unpack(helper.run(function() return { store:_all() } end))
  local out = {}
  for i, doc in ipairs(documents) do
    out[i] = { doc.page_content, doc.metadata, doc.id, rows:row(i):totable() }
  end
  return out
end

local function reload(store, opts)
  local path = helper.fresh()
  store:save_local(path)
  return mp.FAISS.load_local(path, opts or { embedding = store.embedding }), path
end

local function found(store, query)
  local out = {}
  for i, hit in ipairs(store:similarity_search_with_score(query, { k = 3 })) do
    out[i] = { hit[1].id, hit[2], hit[3] }
  end
  return out
end

describe("save_local", function()
  it("keeps documents, ids and vectors exactly", function()
    for _, strategy in ipairs { "l2", "cosine", "inner_product" } do
      local store = sample { strategy = strategy }
      local read = reload(store)
      assert.same(all_of(store), all_of(read))
      assert.equal(strategy, read.distance_strategy)
      assert.same(found(store, "one"), found(read, "one"))
    end
  end)

  it("keeps null, arrays and numbers of metadata what they are", function()
    local read = all_of(reload(sample()))
    assert.equal(mp.null, read[3][2].n)
    assert.is_true(json.is_array(read[3][2].none))
    assert.is_false(json.is_array(read[3][2].empty))
    assert.equal(2 ^ 60, read[4][2].large)
    assert.equal(1 / 3, read[4][2].third)
  end)

  it("leaves out what was deleted and replaced", function()
    local store = mp.FAISS.from_texts({ "a", "b", "c" },
      { embedding = embedding, ids = { "1", "2", "3" } })
    store:delete { "1" }
    store:add_texts({ "B" }, { ids = { "2" }, upsert = true })
    local read = reload(store)
    assert.equal(2, read:count())
    assert.same({ "c", "B" }, { all_of(read)[1][1], all_of(read)[2][1] })
    assert.same({}, read:get_by_ids { "1" })
    assert.equal("B", read:similarity_search("b", { k = 1 })[1].page_content)
  end)

  it("gives a store that goes on as before", function()
    local store = sample()
    local read = reload(store)
    local ids = read:add_texts { "new", "newer" }
    assert.equal(#METADATA + 2, read:count())
    assert.equal("new", read:get_by_ids({ ids[1] })[1].page_content)
    helper.raises("already in the store", read.add_texts, read, { "x" }, { ids = { "id \0\2542" } })
    read:delete { ids[1], "id \0\2542" }
    local again = reload(read)
    assert.same(all_of(read), all_of(again))
    assert.equal("newer", again:similarity_search("newer", { k = 1 })[1].page_content)
  end)

  it("keeps an empty store", function()
    local read = reload(mp.FAISS { embedding = embedding })
    assert.equal(0, read:count())
    assert.same({}, read:similarity_search "x")
    read:add_texts { "x" }
    assert.equal(1, #read:similarity_search "x")
  end)

  it("keeps an InMemoryVectorStore", function()
    local store = mp.InMemoryVectorStore(embedding)
    store:add_texts({ "a" }, { ids = { "1" } })
    local path = helper.fresh()
    store:save_local(path)
    local read = mp.InMemoryVectorStore.load_local(path, { embedding = embedding })
    read:add_texts({ "b" }, { ids = { "1" } })
    assert.equal("b", read:get_by_ids({ "1" })[1].page_content)
    assert.equal("cosine", read.distance_strategy)
  end)

  local KINDS = { "flat", { kind = "hnsw", m = 8, ef_search = 32 }, { kind = "ivf", nlist = 4 },
    "sq" }

  it("keeps an index of each kind as it is", function()
    local rows, texts = {}, {}
    for i = 1, 1100 do
      rows[i], texts[i] = { math.sin(i), math.cos(i * i), i % 7 / 7, i % 11 / 11 }, "text " .. i
    end
    for i, kind in ipairs(KINDS) do
      local store = mp.FAISS.from_embeddings(texts, rows, { embedding = plain("plain", 4),
        index = kind })
      store:delete { store:similarity_search("text 9", { k = 1 })[1].id }
      local read = reload(store)
      assert.same(store.index, read.index)
      for query = 1, 20 do
        assert.same(found(store, "query " .. query), found(read, "query " .. query),
          "kind " .. i)
      end
      store:add_embeddings({ "more" }, { { 9, 9, 9, 9 } }, { ids = { "more" } })
      read:add_embeddings({ "more" }, { { 9, 9, 9, 9 } }, { ids = { "more" } })
      assert.same(found(store, "\255\255\255\255"), found(read, "\255\255\255\255"))
      assert.equal(1100, read:count())
    end
  end)

  it("puts the new file in the place of one that is still read", function()
    local first, path = reload(sample())
    local before = all_of(first)
    mp.FAISS.from_texts({ "other" }, { embedding = embedding }):save_local(path)
    assert.same(before, all_of(first))
    first:save_local(path)
    assert.same(before, all_of(mp.FAISS.load_local(path, { embedding = plain("plain", 4) })))
  end)
end)

describe("what cannot be saved", function()
  local function refused(metadata, fragment)
    local store, path = sample(), helper.temp("old")
    store:add_documents { mp.Document { page_content = "x", metadata = metadata, id = "bad" } }
    local err = helper.failure(store.save_local, store, path)
    assert.equal("input", err.kind)
    assert.truthy(err.message:find("metadata of document 'bad' cannot be kept: " .. fragment, 1,
      true), err.message)
    assert.equal("old", helper.read(path))
    assert.equal("", (helper.execute { "sh", "-c", "ls " .. path .. ".* 2>/dev/null" }))
  end

  it("is an error, and the old file stays", function()
    refused({ fn = print }, "cannot encode a function at $.fn")
    refused({ x = 0 / 0 }, "nan is not a number")
    refused({ a = { "\255" } }, "a text in it is not UTF-8")
    refused({ ["\255"] = 1 }, "a text in it is not UTF-8")
    local ring = {}
    ring.ring = ring
    refused(ring, "cannot encode a table that contains itself")
  end)

  it("may hold the character for what is no UTF-8", function()
    local store = mp.FAISS.from_texts({ "a" }, { embedding = embedding,
      metadatas = { { a = { "\u{fffd}", 1 } } } })
    assert.same({ a = { "\u{fffd}", 1 } }, all_of(reload(store))[1][2])
  end)

  it("says where it cannot write", function()
    local err = helper.failure(sample().save_local, sample(), "/nonexistent/x")
    assert.equal("io", err.kind)
    assert.equal("cannot write '/nonexistent/x': No such file or directory", err.message)
  end)

  it("leaves the old file where the disk is full", function()
    local path = helper.fresh()
    mp.FAISS.from_texts({ "old" }, { embedding = embedding }):save_local(path)
    local script = helper.temp [[
      local mp = require "moonpipe"
      local store = mp.FAISS.from_texts({ ("x"):rep(100000) }, { embedding = mp.HashEmbeddings() })
      local ok, err = pcall(store.save_local, store, arg[1])
      print(ok, err.kind, err.message)
    ]]
    local out = helper.execute { "bash", "-c",
      ("trap '' XFSZ; ulimit -f 40; exec %s run %s %s"):format(helper.bin, script, path) }
    assert.equal(("false\tio\tcannot write '%s': File too large\n"):format(path), out)
    local read = mp.FAISS.load_local(path, { embedding = embedding })
    assert.equal("old", read:similarity_search("old")[1].page_content)
    assert.equal("", (helper.execute { "sh", "-c", "ls " .. path .. ".* 2>/dev/null" }))
  end)

  it("leaves the old file where it is cancelled", function()
    local store, path = sample(), helper.temp("old")
    helper.run(function()
      local task = mp.RunnableLambda(function() store:save_local(path) end):start()
      mp.sleep(0)
      task:cancel()
      local _, err = task:wait()
      if err then -- else it was faster
        assert.equal("cancelled", err.kind)
        assert.equal("old", helper.read(path))
      end
    end)
    assert.equal("", (helper.execute { "sh", "-c", "ls " .. path .. ".* 2>/dev/null" }))
    store:save_local(path)
    assert.equal(#METADATA, mp.FAISS.load_local(path, { embedding = store.embedding }):count())
  end)

  it("is a path that is none", function()
    assert.equal("save_local takes the path of a file, got nil", helper.said(function()
      sample():save_local()
    end))
    assert.equal("FAISS.load_local takes the path of a file, got an empty one or one with a zero "
      .. "byte", helper.said(function() mp.FAISS.load_local("a\0b", { embedding = embedding }) end))
    helper.raises("embedding of FAISS.load_local is the number 1", mp.FAISS.load_local, "x",
      { embedding = 1 })
    helper.raises("unknown option 'trust'", mp.FAISS.load_local, "x", { trust = true })
  end)
end)

describe("load_local", function()
  it("refuses embeddings of another model, and names both", function()
    local store, path = reload(sample())
    local err = helper.failure(mp.FAISS.load_local, path, { embedding = embedding })
    assert.equal("input", err.kind)
    assert.equal(("'%s' was saved with the embeddings 'plain', and these are 'hash-1024-v1': give "
      .. "those as `embedding`, or make the store anew"):format(path), err.message)
    local cached = mp.CacheBackedEmbeddings(plain("plain", 4))
    assert.same(all_of(store), all_of(mp.FAISS.load_local(path, { embedding = cached })))
  end)

  it("makes the embeddings anew that the file names, where none are given", function()
    local store, there = reload(sample { embedding = embedding })
    local same = mp.FAISS.load_local(there)
    assert.equal("hash-1024-v1", same.embedding.model)
    assert.same(store:similarity_search("one"), same:similarity_search("one"))
    local remote = mp.OllamaEmbeddings { model = "nomic" }
    remote.embed_documents = plain("nomic", 4).embed_documents
    local _, path = reload(sample { embedding = remote })
    local read = mp.FAISS.load_local(path)
    assert.same({ "OllamaEmbeddings", "nomic" }, { tostring(read.embedding), read.embedding.model })
  end)

  it("makes no embeddings of another server than the file's", function()
    local remote = mp.OllamaEmbeddings { model = "nomic", base_url = "http://127.0.0.1:9" }
    remote.embed_documents = plain("nomic", 4).embed_documents
    local _, path = reload(sample { embedding = remote })
    local err = helper.failure(mp.FAISS.load_local, path)
    assert.equal(("'%s' was saved with the embeddings 'nomic' of http://127.0.0.1:9, which it cannot "
      .. "make: give them as `embedding`"):format(path), err.message)
  end)

  it("says whose embeddings it cannot make", function()
    local _, path = reload(sample())
    local err = helper.failure(mp.FAISS.load_local, path)
    assert.equal("input", err.kind)
    assert.equal(("'%s' was saved with the embeddings 'plain', which it cannot make: give them as "
      .. "`embedding`"):format(path), err.message)
  end)

  it("refuses embeddings with another number of numbers", function()
    local _, path = reload(sample())
    local err = helper.failure(mp.FAISS.load_local, path, { embedding = plain("plain", 5, 5) })
    assert.equal("input", err.kind)
    assert.truthy(err.message:find("has vectors of 4 numbers, and these embeddings, 'plain', give 5",
      1, true))
    local read = mp.FAISS.load_local(path, { embedding = plain(nil, 5) })
    helper.raises("vectors of 4 numbers, got 5", read.similarity_search, read, "x")
  end)

  it("says what is no file of a store", function()
    local function problem(path)
      local err = helper.failure(mp.FAISS.load_local, path, { embedding = embedding })
      assert.equal("io", err.kind)
      return err.message
    end
    local path = helper.temp "<html>"
    assert.equal(("'%s' is no file of a store: give the path that save_local was given"):format(path),
      problem(path))
    assert.equal("cannot read '/nonexistent/x': No such file or directory", problem "/nonexistent/x")
    assert.equal("'/tmp' is no regular file", problem "/tmp")
  end)

  it("waits for nothing on the Lua thread", function()
    local _, path = reload(sample())
    helper.run(function()
      local task = mp.RunnableLambda(function()
        return mp.FAISS.load_local(path, { embedding = plain("plain", 4) })
      end):start()
      assert.not_equal("done", task:status())
      assert.equal(#METADATA, task:wait():count())
    end)
  end)

  it("can be cancelled", function()
    local _, path = reload(sample())
    local task = mp.RunnableLambda(function()
      return mp.FAISS.load_local(path, { embedding = plain("plain", 4) })
    end):start()
    task:cancel()
    local _, err = task:wait()
    assert.equal("cancelled", err.kind)
  end)
end)

describe("saving beside changes #concurrency", function()
  it("saves what was there when it began", function()
    local texts, ids = {}, {}
    for i = 1, 1500 do texts[i], ids[i] = "text " .. i, tostring(i) end
    local store = mp.FAISS.from_texts(texts, { embedding = plain("plain", 16), ids = ids })
    local path = helper.fresh()
    helper.run(function()
      local save = mp.RunnableLambda(function() store:save_local(path) end):start()
      while save:status() == "pending" or save:status() == "running" do
        store:add_texts { "added" }
        local some = table.remove(ids)
        if some then store:delete { some } end
        assert.equal(2, #store:similarity_search("text 7", { k = 2 }))
      end
      save:wait()
    end)
    local read = mp.FAISS.load_local(path, { embedding = store.embedding })
    assert.equal(1500, read:count())
    assert.equal(1500, #all_of(read))
    assert.equal(1500, native.c.index_count(read._index))
    assert.equal(store:count(), #all_of(store))
  end)
end)

-- ---- damage ------------------------------------------------------------------------------------

local CHANGES = {
  function(bytes, at) return bytes:sub(1, at - 1) end,
  function(bytes, at) return bytes .. bytes:sub(at) end,
  function(bytes, at)
    return bytes:sub(1, at - 1) .. string.char(math.random(0, 255)) .. bytes:sub(at + 1)
  end,
  function(bytes, at)
    local len = math.random(64)
    return bytes:sub(1, at - 1) .. ("\0"):rep(len) .. bytes:sub(at + len)
  end,
  function(bytes, at) return bytes:sub(1, at - 1) .. "x" .. bytes:sub(at) end,
  function(bytes, at) return bytes:sub(1, at - 1) .. bytes:sub(at + math.random(64)) end,
  function(bytes, at) -- what another part of the file says
    local from, len = math.random(#bytes), math.random(200)
    local part = bytes:sub(from, from + len)
    return bytes:sub(1, at - 1) .. part .. bytes:sub(at + #part)
  end,
}

describe("a damaged file", function()
  it("is refused, or what was saved, whole", function()
    local store, path = reload(sample())
    local bytes, expected = helper.read(path), all_of(store)
    local seed = os.time()
    math.randomseed(seed)
    local count, refused = helper.long and 10000 or 1000, 0
    for i = 1, count do
      -- half of them in the head
      local most = i % 2 == 0 and 1024 or #bytes
      helper.write(path, CHANGES[math.random(#CHANGES)](bytes, math.random(most)))
      local ok, read = pcall(mp.FAISS.load_local, path, { embedding = plain("plain", 4) })
      local place = ("seed %d, file %d: %s"):format(seed, i, tostring(read))
      if ok then
        assert.same(expected, all_of(read), place)
      else
        refused = refused + 1
        assert.equal("io", read.kind, place)
        assert.truthy(read.message:find(path, 1, true), place)
      end
    end
    assert.is_true(refused > count / 2)
    helper.figure(("%d damaged files of stores: %d refused, %d were what was saved, seed %d"):format(
      count, refused, count - refused, seed))
  end)
end)

-- ---- being killed ------------------------------------------------------------------------------

local SAVES = [[
local mp = require "moonpipe"
local native = require "moonpipe.native"
local function row(text) return { #text, text:byte(1, 3) } end
local embedding = { model = "plain" }
function embedding:embed_query(text) return row(text) end
function embedding:embed_documents(texts)
  local rows = {}
  for i, text in ipairs(texts) do rows[i] = row(text) end
  return rows
end
for version = tonumber(arg[2]), math.huge do
  local texts = {}
  for i = 1, version % 5 * 700 + 1 do texts[i] = ("version %d"):format(version) end
  mp.FAISS.from_texts(texts, { embedding = embedding }):save_local(arg[1])
end
]]

describe("a save that is killed #signal", function()
  it("leaves the old file or the new one, whole", function()
    local path, script, version, kills = helper.fresh(), helper.temp(SAVES), 1, 0
    local seed = os.time()
    math.randomseed(seed)
    for i = 1, helper.long and 200 or 20 do
      local _, _, code = helper.execute { "timeout", "-s", "KILL",
        ("%.3f"):format(0.03 + math.random() * 0.2), helper.bin, "run", script, path, version }
      if code == 137 or code == 124 then kills = kills + 1 end
      local ok, read = pcall(mp.FAISS.load_local, path, { embedding = plain("plain", 4) })
      if ok then
        local documents = all_of(read)
        local text = documents[1][1]
        version = assert(tonumber(text:match "^version (%d+)$"))
        assert.equal(version % 5 * 700 + 1, #documents)
        for _, doc in ipairs(documents) do assert.equal(text, doc[1]) end
      else
        assert.truthy(version == 1 and read.message:find("No such file", 1, true),
          ("seed %d, kill %d: %s"):format(seed, i, tostring(read)))
      end
      os.execute("rm -f " .. path .. ".*") -- drafts
    end
    assert.is_true(kills > 0)
    helper.figure(("%d saves killed, the last in version %d, seed %d: none lost"):format(kills,
      version, seed))
  end)
end)
