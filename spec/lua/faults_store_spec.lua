-- What RELIABILITY asks of what is stored and was damaged: an index is refused, an entry of a cache
-- is dropped (one of answers: cache_spec.lua), and what is no database any more says so.
local helper = require "spec.helper"
local mp = require "moonpipe"

local vectors_it = helper.with_vectors(it)

-- Puts other bytes in the middle of a file.
local function damage(path, at, bytes)
  local file = assert(io.open(path, "r+b"))
  file:seek("set", at < 0 and file:seek("end") + at or at)
  file:write(bytes)
  file:close()
end

describe("row 52: an index", function()
  local embedding = mp.HashEmbeddings()

  vectors_it("is refused as io wherever its file was damaged", function()
    for _, kind in ipairs { "flat", "hnsw", "ivf", "sq" } do
      local path = helper.fresh()
      mp.FAISS.from_texts({ "a", "b" }, { embedding = embedding, index = kind }):save_local(path)
      local whole = helper.read(path)
      for _, at in ipairs { 0, 8, 40, 100, 500, 992, 1100, 1400, -900, -64, -3 } do
        helper.write(path, whole)
        damage(path, at, "\255\254\253")
        local err = helper.failure(mp.FAISS.load_local, path, { embedding = embedding })
        assert.equal("io", err.kind)
        assert.truthy(err.message:find(path, 1, true), err.message)
        assert.truthy(err.message:find("make the store anew", 1, true)
          or err.message:find("no file of a store", 1, true), err.message)
      end
      helper.write(path, whole)
      assert.equal(2, mp.FAISS.load_local(path, { embedding = embedding }):count())
    end
  end)
end)

describe("row 52: an entry of a cache", function()
  local function counting()
    local self = { model = "counting", asked = 0 }
    function self.embed_documents(_, texts)
      self.asked = self.asked + #texts
      local rows = {}
      for i, text in ipairs(texts) do rows[i] = { #text, 1, 0.5 } end
      return mp.Floats(rows)
    end
    return self
  end

  it("is dropped where it is no vector, or one of another length", function()
    for _, blob in ipairs { "x'00'", "x''", "x'0000803f0000803f'" } do
      local inner = counting()
      local cached = mp.CacheBackedEmbeddings(inner, { path = helper.fresh() })
      local expected = cached:embed_documents({ "a", "bb" }):totable()
      cached.file:run("UPDATE vectors SET vector = " .. blob .. " WHERE text = 'bb'")
      assert.same(expected, cached:embed_documents({ "a", "bb" }):totable())
      local asked = inner.asked
      assert.same(expected, cached:embed_documents({ "a", "bb" }):totable())
      assert.equal(asked, inner.asked)
      cached.file:close()
    end
  end)
end)

describe("row 52: a database", function()
  it("that is damaged is io, and names the file", function()
    local path = helper.fresh()
    local file = mp.db.open(path, { schema = { "CREATE TABLE t (x)" } })
    for i = 1, 500 do file:run("INSERT INTO t VALUES (?)", ("row %d"):format(i)) end
    file:run "PRAGMA wal_checkpoint(TRUNCATE)"
    file:close()
    for at = 4096, 8191, 64 do damage(path, at, ("\255"):rep(64)) end
    local err = helper.failure(function()
      local again = mp.db.open(path)
      again:rows "SELECT * FROM t"
    end)
    assert.equal("io", err.kind)
    assert.truthy(err.message:find(path, 1, true), err.message)
  end)
end)
