local helper = require "spec.helper"
local ingest = require "spec.support.ingest"
local mp = require "moonpipe"
local server = require("spec.support.server").use()
local terminal = require "spec.support.terminal"

local contents, doc, docs, told = ingest.contents, ingest.doc, ingest.docs, ingest.told
local it = helper.with_vectors(it)

local function new_store(embedding)
  return mp.FAISS { embedding = embedding or mp.HashEmbeddings() }
end

describe("ingest", function()
  it("adds documents once, however often they come", function()
    local store = new_store()
    local list = docs "1:a 1:b 2:c 1:a"
    assert.equal("3 0 1 0", told { documents = list, store = store })
    assert.equal("0 0 4 0", told { documents = list, store = store })
    assert.equal("1:a 1:b 2:c", contents(store))
  end)

  it("adds what comes twice in batches at once but once", function()
    local store, list = new_store(), {}
    for i = 1, 60 do list[i] = doc("text " .. i % 3, "s") end
    assert.equal("3 0 57 0", told { documents = list, store = store, batch_size = 2 })
    assert.equal(3, store:count())
  end)

  it("tells documents apart by source, text and metadata", function()
    local store = new_store()
    local page = mp.Document("a", { source = "1", page = 2 })
    assert.equal("3 0 0 0", told { documents = { doc("a", "1"), doc("a", "2"), page },
      store = store })
    assert.equal("0 0 1 0", told { store = store,
      documents = { mp.Document { page_content = "a", metadata = { page = 2, source = "1" },
        id = "mine" } } })
  end)

  it("adds to any store", function()
    local store = mp.InMemoryVectorStore { embedding = mp.HashEmbeddings() }
    assert.equal("2 0 0 0", told { documents = docs "1:a 1:b", store = store })
    assert.equal("0 0 2 0", told { documents = docs "1:a 1:b", store = store })
  end)

  it("embeds anew what it is forced to", function()
    local store = new_store()
    told { documents = docs "1:a", store = store }
    assert.equal("1 1 0 0", told { documents = docs "1:a 1:b", store = store,
      force_update = true })
    assert.equal(2, store:count())
  end)

  it("splits, and takes a function or a loader", function()
    local store = new_store()
    local splitter = mp.RecursiveCharacterTextSplitter { chunk_size = 10, chunk_overlap = 0 }
    local given = false
    assert.equal("2 0 0 0", told { store = store, splitter = splitter, documents = function()
      if given then return nil end
      given = true
      return doc("0123456789 abcdefghi", "1")
    end })
    local path = helper.temp("some text")
    assert.equal("1 0 0 0", told { store = store, loader = mp.TextLoader(path) })
    assert.equal(path, store:similarity_search("some text", { k = 1 })[1].metadata.source)
  end)

  it("takes files and folders", function()
    local folder = helper.fresh()
    os.execute("mkdir -p " .. folder .. "/in")
    helper.write(folder .. "/a.md", "first")
    helper.write(folder .. "/in/b.txt", "second")
    local path, store = helper.temp("third"), new_store()
    assert.equal("3 0 0 0", told { store = store, paths = { folder, path } })
    assert.equal("0 0 3 0", told { store = store, paths = { folder, path } })
    os.execute("rm -r " .. folder)
  end)

  it("needs no records where nothing is to be cleaned up", function()
    local store, records = new_store(), ingest.records()
    told { documents = docs "1:a", store = store, record_manager = records }
    assert.equal(1, #records:list_keys { group_ids = { "1" } })
    -- what the records say and the store has not is added
    local other = new_store()
    assert.equal("1 0 0 0", told { documents = docs "1:a", store = other,
      record_manager = records })
  end)
end)

-- What LangChain documents of index(): docs/how_to/indexing.
describe("ingest: cleanup", function()
  local function begun()
    local store, records = new_store(), ingest.records()
    local function go(list, cleanup, more)
      local opts = { documents = docs(list), store = store, record_manager = records,
        cleanup = cleanup }
      for key, value in pairs(more or {}) do opts[key] = value end
      return told(opts)
    end
    go "1:a 1:b 2:c 3:d"
    return store, go
  end

  it("nil deletes nothing", function()
    local store, go = begun()
    assert.equal("1 0 0 0", go "1:changed")
    assert.equal("1:a 1:b 1:changed 2:c 3:d", contents(store))
  end)

  it("incremental deletes what sources that were seen have no more", function()
    local store, go = begun()
    assert.equal("1 0 1 1", go("1:changed 1:b", "incremental"))
    assert.equal("1:b 1:changed 2:c 3:d", contents(store))
    assert.equal("0 0 0 0", go("", "incremental"))
    assert.equal("1:b 1:changed 2:c 3:d", contents(store))
  end)

  it("incremental deletes behind each source, while others still come", function()
    local store, go = begun()
    local seen
    local list, at = docs "1:new 2:c 2:x 2:y 2:z 3:d", 0
    go("", "incremental", { batch_size = 1, concurrency = 1, documents = function()
      at = at + 1
      if at == 6 then
        for _ = 1, 2000 do
          seen = contents(store)
          if not seen:find("1:a", 1, true) then break end
          mp.sleep(0.005)
        end
      end
      return list[at]
    end })
    assert.falsy(seen:find("1:a", 1, true))
    assert.falsy(seen:find("1:b", 1, true))
  end)

  it("incremental keeps what comes again of a source that seemed to have ended", function()
    local store, go = begun()
    assert.equal("0 0 4 0", go("1:a 2:c 1:b 3:d", "incremental",
      { batch_size = 4 }))
    go("1:a 2:c 1:b 3:d", "incremental", { batch_size = 1 })
    assert.equal("1:a 1:b 2:c 3:d", contents(store))
  end)

  it("incremental takes out a source that has become empty", function()
    local store, records = new_store(), ingest.records()
    local splitter = mp.CharacterTextSplitter {}
    local opts = { store = store, record_manager = records, cleanup = "incremental",
      splitter = splitter, documents = { doc("a", "1") } }
    told(opts)
    opts.documents = { doc("", "1") }
    assert.equal("0 0 0 1", told(opts))
    assert.equal(0, store:count())
  end)

  it("full deletes what was not seen, of all sources", function()
    local store, go = begun()
    assert.equal("1 0 1 3", go("1:a 4:new", "full"))
    assert.equal("1:a 4:new", contents(store))
    assert.equal("0 0 0 2", go("", "full"))
    assert.equal("", contents(store))
  end)

  it("scoped_full deletes of the sources that were seen, at the end", function()
    local store, go = begun()
    assert.equal("1 0 1 1", go("1:a 4:new", "scoped_full"))
    assert.equal("1:a 2:c 3:d 4:new", contents(store))
  end)

  it("leaves other namespaces alone", function()
    local store, go = begun()
    local other = ingest.records()
    assert.equal("1 0 0 0", told { documents = docs "9:z", store = store,
      record_manager = other, cleanup = "full" })
    assert.equal("1:a 1:b 2:c 3:d 9:z", contents(store))
    go("1:a", "full")
    assert.equal("1:a 9:z", contents(store))
  end)

  it("takes the source from where it is told", function()
    local store, records = new_store(), ingest.records()
    local function go(text, key)
      return told { store = store, record_manager = records, cleanup = "incremental",
        documents = { mp.Document(text, { url = "u", source = text }) }, source_id_key = key }
    end
    go("a", "url")
    assert.equal("1 0 0 1", go("b", "url"))
    assert.equal("1 0 0 1", go("c", function(one) return one.metadata.url end))
  end)

  it("takes sources that are no UTF-8", function()
    local store, go = begun()
    assert.equal("2 0 0 0", go("a\255:x a\254:y", "incremental"))
    assert.equal("1 0 0 1", go("a\255:z", "incremental"))
    assert.truthy(contents(store):find("a\254:y", 1, true))
  end)

  -- What index() does to a set of "source:text", in its own words; gives the counts.
  local function model(there, list, cleanup)
    local now, seen, added, deleted = {}, {}, 0, 0
    for name in list:gmatch("%S+") do
      if not there[name] then added = added + 1 end
      there[name], now[name], seen[name:match "^(.-):"] = true, true, true
    end
    for name in pairs(there) do
      local in_scope = cleanup == "full" or cleanup and seen[name:match "^(.-):"]
      if in_scope and not now[name] then
        there[name], deleted = nil, deleted + 1
      end
    end
    return added, deleted
  end

  it("leaves what LangChain's would, of whatever comes", function()
    local store, records, there = new_store(), ingest.records(), {}
    local modes = { "incremental", "full", "scoped_full", false }
    math.randomseed(os.time())
    for round = 1, helper.long and 2000 or 60 do
      local names = {}
      for i = 1, math.random(0, 12) do
        names[i] = ("%d:%s"):format(math.random(4), ("abcdef"):sub((math.random(6))):sub(1, 1))
      end
      local list, cleanup = table.concat(names, " "), modes[math.random(4)] or nil
      local added, deleted = model(there, list, cleanup)
      local result = mp.ingest { documents = docs(list), store = store, record_manager = records,
        cleanup = cleanup, batch_size = math.random(5), concurrency = math.random(4) }
      local wanted = {}
      for name in pairs(there) do wanted[#wanted + 1] = name end
      table.sort(wanted)
      local said = ("round %d: %s of %s"):format(round, tostring(cleanup), list)
      assert.equal(table.concat(wanted, " "), contents(store), said)
      assert.equal(#names, result.added + result.skipped, said)
      -- what comes again of a source that seemed to have ended may be deleted and added anew
      if cleanup ~= "incremental" then
        assert.same({ added, deleted }, { result.added, result.deleted }, said)
      end
    end
  end)

  it("deletes thousands", function()
    local store, records, list = new_store(), ingest.records(), {}
    for i = 1, 2500 do list[i] = doc("text " .. i, "s" .. i) end
    local opts = { store = store, record_manager = records, cleanup = "full", documents = list }
    told(opts)
    opts.documents = {}
    assert.equal("0 0 0 2500", told(opts))
  end)
end)

describe("ingest: overlap", function()
  local function remote(script)
    return mp.OpenAIEmbeddings { base_url = server:lane("e", script), dimensions = 4,
      max_retries = 0 }
  end

  -- Sleeps until the server has so many requests in flight; what it saw.
  local function until_in_flight(count)
    local seen
    for _ = 1, 1000 do
      seen = server:stats().in_flight
      if seen >= count then break end
      mp.sleep(0.005)
    end
    return seen
  end

  it("embeds several batches at once while documents are still read", function()
    local at, seen = 0, nil
    local result = mp.ingest {
      store = new_store(remote { default = "hold" }), batch_size = 2, concurrency = 3,
      documents = function()
        at = at + 1
        if at == 8 then
          seen = until_in_flight(3)
          server:script("status=200")
          server:lane("e", { default = "status=200" })
          server:release()
        end
        if at <= 20 then return doc("text " .. at, "s") end
      end,
    }
    assert.equal(3, seen)
    assert.equal(20, result.added)
    local stats = server:stats()
    assert.same({ 10, 3 }, { stats.requests, stats.peak })
  end)

  it("holds no more documents than are under way", function()
    local given, done, most = 0, 0, 0
    mp.ingest {
      store = new_store(), batch_size = 10, concurrency = 2,
      documents = function()
        if given == 2000 then return nil end
        given = given + 1
        most = math.max(most, given - done)
        return doc("text " .. given, "s")
      end,
      on_progress = function(progress) done = progress.documents end,
    }
    assert.equal(2000, done)
    assert.is_true(most <= 80, "so many were held: " .. most)
  end)

  it("ends all its parts when it is cancelled", function()
    local e = remote { default = "never" }
    local task = mp.RunnableLambda(function()
      mp.ingest { store = new_store(e), documents = docs "1:a 1:b 1:c", batch_size = 1 }
    end):start(1)
    helper.run(function() return until_in_flight(3) end)
    task:cancel()
    local _, err = task:wait(5)
    assert.equal("cancelled", err.kind)
    server:wait(function(stats) return stats.in_flight == 0 end)
  end)
end)

describe("ingest: progress", function()
  local line = require("moonpipe.ingest.progress").line

  it("tells counts, the rate and what is left", function()
    local list, last = {}, nil
    mp.ingest { documents = docs "1:a 1:b 1:c 1:a", store = new_store(), batch_size = 1,
      concurrency = 1, on_progress = function(progress)
        list[#list + 1] = progress.documents
        last = progress
      end }
    assert.same({ 4, 4, 3, 0, 1 }, { last.documents, last.total, last.added, last.failed,
      last.skipped })
    assert.equal(0, last.eta)
    assert.is_true(last.rate > 0 and last.elapsed > 0)
    for i = 2, #list do assert.is_true(list[i] >= list[i - 1]) end
  end)

  it("is a line", function()
    local counts = { documents = 1200, total = 2400, rate = 400, eta = 3, added = 1165,
      updated = 0, skipped = 35, deleted = 0, failed = 0 }
    assert.equal("[==========>         ] 1,200 of 2,400 documents, 400/s, 3 s left; "
      .. "1,165 added, 35 skipped", line(counts))
    counts.total, counts.eta, counts.skipped, counts.added = nil, nil, 0, 0
    assert.equal("1,200 documents, 400/s", line(counts))
    counts.documents, counts.total = 0, 0
    assert.equal("[====================] 0 of 0 documents, 400/s", line(counts))
  end)

  it("is drawn on a terminal, and stays there with the last figures", function()
    local screen = terminal.start { helper.bin, "run", helper.temp [[
      local mp = require "moonpipe"
      local store, list = mp.FAISS { embedding = mp.HashEmbeddings() }, {}
      for i = 1, 500 do list[i] = mp.Document("text " .. i % 400) end
      mp.ingest { documents = list, store = store, progress = true }
    ]] }
    local ok, err = pcall(screen.wait, screen, "exit 0")
    local shown = screen:screen()
    screen:stop()
    assert.is_true(ok, err)
    assert.truthy(shown:find("[====================] 500 of 500 documents, ", 1, true))
    assert.truthy(shown:find("0 s left; 400 added, 100 skipped\n", 1, true))
    assert.equal(2, select(2, shown:gsub("\n", "\n")) + 1)
  end)

  it("writes nothing where there is no terminal", function()
    local out, err, code = helper.script([[
      local mp = require "moonpipe"
      local store = mp.FAISS { embedding = mp.HashEmbeddings() }
      print(mp.ingest { documents = { mp.Document("a") }, store = store, progress = true }.added)
    ]])
    assert.same({ "1\n", "", 0 }, { out, err, code })
  end)
end)
