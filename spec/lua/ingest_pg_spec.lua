--- Ingests into a store on a server, which keeps what a program that was killed had sent.
local helper = require "spec.helper"
local ingest = require "spec.support.ingest"
local mp = require "moonpipe"
local postgres = require "spec.support.postgres"

local contents = ingest.contents
local server

local function start_server()
  server = server or postgres.start()
end

local function store_of(name)
  return mp.PGVector { connection = server.url, embedding = mp.HashEmbeddings(),
    collection_name = name }
end

local function documents_of(list)
  local out = {}
  for source, text in list:gmatch("(%S+):(%S+)") do
    out[#out + 1] = mp.Document(text, { source = source, page = 1 })
  end
  return out
end

describe("ingest into PGVector", function()
  lazy_setup(start_server)
  lazy_teardown(function()
    server:stop()
    server = nil
  end)

  it("adds, skips and cleans up", function()
    local store = store_of "ingest"
    local records = mp.SQLiteRecordManager("pg", { path = helper.fresh() })
    local function go(list, cleanup)
      local result = mp.ingest { store = store, record_manager = records, cleanup = cleanup,
        documents = documents_of(list), batch_size = 2 }
      return ("%d %d %d"):format(result.added, result.skipped, result.deleted)
    end
    assert.equal("4 0 0", go "1:a 1:b 2:c 3:d")
    assert.equal("0 4 0", go "1:a 1:b 2:c 3:d")
    assert.equal("1 1 1", go("1:a 1:x", "incremental"))
    assert.equal("1:a 1:x 2:c 3:d", contents(store))
    assert.equal("0 1 3", go("2:c", "full"))
    assert.equal("2:c", contents(store))
    store:close()
    records:close()
  end)

  it("loses and doubles nothing when it is killed at any moment #signal", function()
    local records = helper.fresh()
    local script = helper.temp [[
      local mp = require "moonpipe"
      local documents = {}
      for i = 1, 60 do
        local version = i % 2 == 0 and "same" or arg[3]
        documents[i] = mp.Document("text_" .. i .. "_" .. version, { source = "s" .. i % 12 })
      end
      table.sort(documents, function(a, b) return a.metadata.source < b.metadata.source end)
      mp.ingest {
        documents = documents, cleanup = "full", batch_size = 4,
        store = mp.PGVector { connection = arg[1], embedding = mp.HashEmbeddings(),
          collection_name = "killed" },
        record_manager = mp.SQLiteRecordManager("docs", { path = arg[2] }),
      }
      print "done"
    ]]
    local function run(version, seconds)
      local limit = seconds and ("%.4f"):format(seconds) or "60"
      local out = helper.execute { "timeout", "-s", "KILL", limit, helper.bin, "run", script,
        server.url, records, version }
      return out == "done\n"
    end
    math.randomseed(os.time())
    local begun = mp.now()
    assert.is_true(run "0")
    local whole, store = mp.now() - begun, store_of "killed"
    for version = 1, helper.long and 20 or 3 do
      for _ = 1, 4 do
        if run(version, whole * (0.05 + 0.9 * math.random())) then break end
      end
      assert.is_true(run(version))
      local wanted = {}
      for i = 1, 60 do
        wanted[i] = ("s%d:text_%d_%s"):format(i % 12, i, i % 2 == 0 and "same" or version)
      end
      table.sort(wanted)
      assert.equal(table.concat(wanted, " "), contents(store))
    end
    store:close()
  end)
end)
