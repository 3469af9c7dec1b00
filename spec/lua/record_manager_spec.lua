local helper = require "spec.helper"
local mp = require "moonpipe"

local function manager(namespace, path)
  return mp.SQLiteRecordManager(namespace or "docs", { path = path or helper.fresh() })
end

describe("SQLiteRecordManager", function()
  it("knows the keys that were noted", function()
    local records = manager()
    records:create_schema()
    records:update { "a", "b" }
    assert.same({ true, false, true }, records:exists { "b", "c", "a" })
    assert.same({ "a", "b" }, records:list_keys())
    records:delete_keys { "a", "x" }
    assert.same({ "b" }, records:list_keys())
    records:close()
  end)

  it("keeps namespaces apart, in a file that others read too", function()
    local path = helper.fresh()
    local one, two = manager("one", path), manager("two", path)
    one:update { "a" }
    two:update { "b" }
    one:close()
    assert.same({ "a" }, manager("one", path):list_keys())
    assert.same({ "b" }, two:list_keys())
    two:delete_keys { "a" }
    assert.same({ true }, one:exists { "a" })
  end)

  it("lists by time, source and number", function()
    local records = manager()
    records:update({ "a", "b" }, { group_ids = { "1", "2" }, time_at_least = 3e9 })
    records:update({ "c" }, { time_at_least = 4e9 })
    assert.same({ "a", "b" }, records:list_keys { before = 4e9 })
    assert.same({ "c" }, records:list_keys { after = 3e9 })
    assert.same({ "b" }, records:list_keys { group_ids = { "2", "3" } })
    assert.same({ "a", "c" }, records:list_keys { except = { "2" } })
    assert.same({ "a", "b" }, records:list_keys { limit = 2 })
    assert.same({ "b", "c" }, records:list_keys { from = "a" })
    records:update({ "a" }, { group_ids = { "2" }, time_at_least = 5e9 })
    assert.same({ "a", "b" }, records:list_keys { seen_since = 5e9 })
  end)

  it("has a time that is later than all records, whatever the clock says", function()
    local records = manager()
    local before = records:get_time()
    records:update { "a" }
    assert.is_true(records:get_time() >= before)
    records:update({ "a" }, { time_at_least = 5e9 })
    assert.is_true(records:get_time() > 5e9)
  end)

  it("forgets what is doomed with the save that leaves it out", function()
    local records = manager()
    records:update { "a", "b", "c" }
    records:doom({ "a" }, 1)
    records:doom({ "b" }, 2)
    assert.same({ "c" }, records:list_keys())
    assert.same({ false, false, true }, records:exists { "a", "b", "c" })
    assert.same({ "a", "b" }, records:doomed(nil, 10))
    assert.same({ "b" }, records:doomed("a", 10))
    records:forget_doomed(1)
    assert.same({ "b" }, records:doomed(nil, 10))
    records:update { "b" }
    records:forget_doomed(2)
    assert.same({ "b", "c" }, records:list_keys())
  end)

  it("takes many keys at once, and any text as one", function()
    local records, keys = manager(), {}
    for i = 1, 20000 do keys[i] = ("%05d"):format(i) end
    records:update(keys)
    assert.equal(20000, #records:list_keys())
    records:delete_keys(keys)
    records:update({ "a\"b'c%_\n" }, { group_ids = { "'; --" } })
    assert.same({ "a\"b'c%_\n" }, records:list_keys { group_ids = { "'; --" } })
    assert.same({}, records:exists {})
    records:update {}
  end)

  it("refuses a file of something else", function()
    local path = helper.fresh()
    mp.SQLiteChatMessageHistory("s", { path = path }):messages()
    assert.equal("io", helper.failure(function() manager("a", path):list_keys() end).kind)
  end)

  it("says what is wrong with a call", function()
    local records = manager()
    assert.equal("SQLiteRecordManager takes a namespace, got nil",
      helper.said(function() mp.SQLiteRecordManager() end))
    assert.equal("SQLiteRecordManager needs the path of a file: { path = \"records.db\" }",
      helper.said(function() mp.SQLiteRecordManager("a", {}) end))
    assert.equal("key 2 of update is the number 3; it must be a string",
      helper.said(function() records:update { "a", 3 } end))
    assert.equal("group_ids must be a list of strings, one for each key, got the number 1",
      helper.said(function() records:update({ "a" }, { group_ids = { 1 } }) end))
    helper.raises("unknown option 'befor' of list_keys", records.list_keys, records, { befor = 1 })
    assert.equal("SQLiteRecordManager 'docs'", tostring(records))
  end)
end)
