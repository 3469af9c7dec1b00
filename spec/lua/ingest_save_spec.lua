--- Ingests into a store that is saved: what is there after a kill, and what the next one makes of it.
local helper = require "spec.helper"
local ingest = require "spec.support.ingest"
local mp = require "moonpipe"

local doc, docs, told = ingest.doc, ingest.docs, ingest.told
local it = helper.with_vectors(it)

local embedding = mp.HashEmbeddings()

-- "source:text" -> how often, and all of them.
local function counted(store)
  local seen, list = {}, ingest.words(store)
  for _, one in ipairs(list) do seen[one] = (seen[one] or 0) + 1 end
  return seen, table.concat(list, " ")
end

local function saved(path)
  local _, text = counted(mp.FAISS.load_local(path, { embedding = embedding }))
  return text
end

describe("ingest with save_to", function()
  it("saves what it has added, and goes on from there", function()
    local path = helper.fresh()
    local opts = { embedding = embedding, save_to = path, documents = docs "1:a 2:b" }
    assert.equal("2 0 0 0", told(opts))
    assert.equal("1:a 2:b", saved(path))
    opts.documents = docs "1:a 2:b 3:c"
    local result = mp.ingest(opts)
    assert.same({ 1, 2 }, { result.added, result.skipped })
    assert.equal(3, result.store:count())
    assert.equal("1:a 2:b 3:c", saved(path))
  end)

  it("saves a store of nothing, and not what is as it was", function()
    local path = helper.fresh()
    local opts = { embedding = embedding, save_to = path, documents = {} }
    told(opts)
    assert.equal("", saved(path))
    opts.store, opts.embedding = mp.FAISS { embedding = embedding }, nil
    os.remove(path)
    told(opts)
    assert.is_nil(io.open(path))
  end)

  it("takes what has gone out of the file, and its records with it", function()
    local path = helper.fresh()
    local records = mp.SQLiteRecordManager("docs", { path = helper.fresh() })
    local opts = { embedding = embedding, save_to = path, record_manager = records,
      documents = docs "1:a 1:b 2:c", cleanup = "full" }
    told(opts)
    opts.documents = docs "1:a"
    assert.equal("0 0 1 2", told(opts))
    assert.equal("1:a", saved(path))
    assert.same({ 1, 0 }, { #records:list_keys(), #records:doomed(nil, 10) })
  end)

  it("saves while it goes on", function()
    local path, at, seen = helper.fresh(), 0, nil
    mp.ingest {
      embedding = embedding, save_to = path, save_every = 0, batch_size = 1, concurrency = 1,
      documents = function()
        at = at + 1
        if at == 6 then
          for _ = 1, 1000 do
            if io.open(path) then break end
            mp.sleep(0.005)
          end
          seen = saved(path)
        end
        if at <= 10 then return doc("t" .. at, "s") end
      end,
    }
    assert.truthy(seen:find("s:t1", 1, true))
  end)

  it("saves what was added before a failure", function()
    local path, given, done = helper.fresh(), docs "1:a 2:b 3:c", 0
    helper.raises("no more", mp.ingest, { embedding = embedding, save_to = path, batch_size = 1,
      concurrency = 1, on_progress = function(progress) done = progress.documents end,
      documents = function()
        if given[1] then return table.remove(given, 1) end
        while done == 0 do mp.sleep(0.005) end
        error("no more", 0)
      end })
    assert.truthy(saved(path):find("1:a", 1, true))
  end)

  it("raises where it cannot save", function()
    local err = helper.failure(mp.ingest, { embedding = embedding, documents = docs "1:a",
      save_to = "/proc/nothing/a.mp", save_every = 0 })
    assert.equal("io", err.kind)
  end)

  it("refuses a file that is none of a store, and leaves it", function()
    local path = helper.temp("something else")
    local err = helper.failure(mp.ingest, { embedding = embedding, documents = docs "1:a",
      save_to = path })
    assert.equal("io", err.kind)
    assert.equal("something else", helper.read(path))
  end)
end)

-- ---- kills -------------------------------------------------------------------------------------

local SOURCES, EACH = 40, 5

-- Ingests version `arg[1]` of the documents with the cleanup arg[2].
local CHILD = [[
local mp = require "moonpipe"
local version, cleanup, path, records = unpack(arg, 1, 4)
local documents = {}
for source = 1, tonumber(arg[5]) do
  for i = 1, tonumber(arg[6]) do
    -- every other document is the same in all versions
    local text = ("text_%d_%d_%s"):format(source, i, i % 2 == 0 and "same" or version)
    documents[#documents + 1] = mp.Document(text, { source = "s" .. source })
  end
end
mp.ingest {
  documents = documents, embedding = mp.HashEmbeddings(), save_to = path, save_every = 0,
  batch_size = 7, cleanup = cleanup ~= "nil" and cleanup or nil,
  record_manager = mp.SQLiteRecordManager("docs", { path = records }),
}
print "done"
]]

-- What version [version] has: "source:text" -> true.
local function wanted(version)
  local set, count = {}, 0
  for source = 1, SOURCES do
    for i = 1, EACH do
      set[("s%d:text_%d_%d_%s"):format(source, source, i, i % 2 == 0 and "same" or version)] = true
      count = count + 1
    end
  end
  return set, count
end

describe("ingest, killed at any moment", function()
  local path, records, script

  local function run(version, cleanup, seconds)
    local words = { helper.bin, "run", script, version, cleanup, path, records, SOURCES, EACH }
    if seconds then
      local limit = { "timeout", "-s", "KILL", ("%.4f"):format(seconds) }
      for i = #limit, 1, -1 do table.insert(words, 1, limit[i]) end
    end
    local out, err = helper.execute(words)
    assert.equal("", (err:gsub("Killed\n", "")))
    return out == "done\n"
  end

  -- Nothing is there twice, nothing of no version; all of [before] that is of [version] still is.
  local function check(version, before)
    local file = io.open(path)
    if not file then
      assert.is_nil(next(before))
      return before
    end
    file:close()
    local seen = counted(mp.FAISS.load_local(path, { embedding = embedding }))
    local one, other, now = wanted "one", wanted "two", wanted(version)
    for name, count in pairs(seen) do
      assert.equal(1, count, name .. " is there twice")
      assert.is_true(one[name] or other[name], name .. " is of no version")
    end
    for name in pairs(before) do
      assert.is_true(seen[name] ~= nil or not now[name], name .. " is lost")
    end
    return seen
  end

  local function check_whole(version)
    local seen = check(version, {})
    local set, count = wanted(version)
    local found = 0
    for name in pairs(seen) do
      assert.is_true(set[name] or false, name .. " has not gone")
      found = found + 1
    end
    assert.equal(count, found)
    local manager = mp.SQLiteRecordManager("docs", { path = records })
    assert.same({ count, 0 }, { #manager:list_keys(), #manager:doomed(nil, 10) })
    manager:close()
    return seen
  end

  it("loses and doubles nothing #signal", function()
    path, records, script = helper.fresh(), helper.fresh(), helper.temp(CHILD)
    math.randomseed(os.time())
    local begun = mp.now()
    assert.is_true(run("one", "nil"))
    local whole = mp.now() - begun
    os.remove(path)
    os.remove(records)
    local seen, kills, killed, runs = {}, helper.long and 200 or 20, 0, 0
    local phases = { { "one", "nil" }, { "two", "full" }, { "one", "incremental" },
      { "two", "scoped_full" }, { "one", "full" } }
    while killed < kills do
      runs = runs + 1
      local version, cleanup = unpack(phases[(runs - 1) % #phases + 1])
      -- until one comes to its end, at last one that has the time; the next version follows
      for try = 1, 9 do
        if run(version, cleanup, try < 9 and whole * (0.05 + 0.9 * math.random())) then break end
        killed = killed + 1
        seen = check(version, seen)
      end
      seen = check_whole(version)
    end
    helper.figure(("ingest: killed %d times in %d runs, nothing lost or doubled"):format(killed,
      runs))
  end)
end)
