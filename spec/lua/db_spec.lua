local child = require "spec.support.child"
local db = require "moonpipe.db"
local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"

local ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"

-- The name of a file that does not exist, removed with what SQLite puts beside it.
local function new_path()
  local path = helper.temp()
  os.remove(path)
  return path
end

local opened = {}

local function open(path, opts)
  local handle = db.open(path or ":memory:", opts)
  opened[#opened + 1] = handle
  return handle
end

local function table_t(path)
  local handle = open(path)
  handle:run "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, a, b)"
  return handle
end

describe("db", function()
  after_each(function()
    for i, handle in ipairs(opened) do
      handle:close()
      for _, ending in ipairs { "-wal", "-shm" } do os.remove(handle.path .. ending) end
      opened[i] = nil
    end
  end)

  it("stores and gives back what Lua has for it", function()
    local handle = table_t()
    local values = { "text", "", "a\0b\255", "ü", 0, -1, 1.5, 2 ^ 53, -2 ^ 53, 1e300, true, false,
      db.blob "\0\1", db.blob "" }
    local expected = { "text", "", "a\0b\255", "ü", 0, -1, 1.5, 2 ^ 53, -2 ^ 53, 1e300, 1, 0,
      "\0\1", "" }
    for _, value in ipairs(values) do handle:run("INSERT INTO t (a) VALUES (?)", value) end
    for i, row in ipairs(handle:rows "SELECT a FROM t ORDER BY id") do
      assert.equal(expected[i], row.a)
    end
    local kinds = handle:rows "SELECT DISTINCT typeof(a) AS kind FROM t ORDER BY 1"
    assert.same({ { kind = "blob" }, { kind = "integer" }, { kind = "real" }, { kind = "text" } },
      kinds)
  end)

  it("leaves NULL columns out, and takes nil and mp.null for NULL", function()
    local handle = table_t()
    handle:run("INSERT INTO t (a, b) VALUES (?, ?)", nil, 1)
    handle:run("INSERT INTO t (a, b) VALUES (?, ?)", 2, nil)
    handle:run("INSERT INTO t (a, b) VALUES (?, ?)", json.null, nil)
    assert.same({ { id = 1, b = 1 }, { id = 2, a = 2 }, { id = 3 } }, handle:rows "SELECT * FROM t")
  end)

  it("gives the columns that a table has now", function()
    local handle = open()
    handle:run "CREATE TABLE t (a)"
    handle:run "INSERT INTO t VALUES (1)"
    assert.same({ { a = 1 } }, handle:rows "SELECT * FROM t")
    handle:run "ALTER TABLE t ADD COLUMN b DEFAULT 7"
    assert.same({ { a = 1, b = 7 } }, handle:rows "SELECT * FROM t")
    handle:run "ALTER TABLE t RENAME COLUMN a TO c"
    assert.same({ { c = 1, b = 7 } }, handle:rows "SELECT * FROM t")
  end)

  it("gives integers beyond 2^53 as digits", function()
    local row = open():rows "SELECT 9007199254740993 AS a, -9223372036854775808 AS b"[1]
    assert.same({ a = "9007199254740993", b = "-9223372036854775808" }, row)
  end)

  it("tells what a statement changed", function()
    local handle = table_t()
    assert.same({ changes = 1, last_id = 1 }, handle:run("INSERT INTO t (a) VALUES (?)", 1))
    assert.same({ changes = 1, last_id = 2 }, handle:run("INSERT INTO t (a) VALUES (?)", 1))
    assert.same({ changes = 2, last_id = 2 }, handle:run "UPDATE t SET a = 3")
    assert.same({ changes = 0, last_id = 2 }, handle:run "UPDATE t SET a = 3 WHERE a = 4")
    assert.same({ changes = 0, last_id = 2 }, handle:run "CREATE TABLE u (x)")
  end)

  it("does a transaction whole or not at all", function()
    local handle = table_t()
    local answers = handle:transaction {
      { "INSERT INTO t (a, b) VALUES (?, ?)", 1, 2 },
      { "INSERT INTO t (a, b) VALUES (?, ?)", nil, nil, n = 3 },
      "SELECT id FROM t",
    }
    assert.same({ { id = 1 }, { id = 2 } }, answers[3].rows)
    assert.equal(2, answers[2].last_id)
    assert.equal("input", helper.failure(handle.transaction, handle, {
      "DELETE FROM t", { "INSERT INTO t (id) VALUES (?)", 1 }, { "INSERT INTO t (id) VALUES (?)", 1 },
    }).kind)
    assert.same({ { n = 2 } }, handle:rows "SELECT count(*) AS n FROM t")
    assert.same({}, handle:transaction {})
  end)

  it("names what is wrong with a statement", function()
    local handle = table_t()
    local function said(...) return helper.input_failure(...):gsub("^'[^']*': ", "") end
    assert.equal('near "SELEC": syntax error, in: SELEC', (said(handle.run, handle, "SELEC")))
    assert.equal("no such table: u, in: SELECT * FROM u",
      (said(handle.rows, handle, "SELECT * FROM u")))
    assert.equal("0 values for 1 parameters, in: SELECT ?", (said(handle.rows, handle, "SELECT ?")))
    assert.equal("one statement at a time, but there is more:  SELECT 2",
      (said(handle.rows, handle, "SELECT 1; SELECT 2")))
    assert.equal("an empty statement", (said(handle.run, handle, " ")))
    handle:run "CREATE TABLE c (x UNIQUE)"
    handle:run "INSERT INTO c VALUES (1)"
    assert.equal("UNIQUE constraint failed: c.x, in: INSERT INTO c VALUES (1)",
      (said(handle.run, handle, "INSERT INTO c VALUES (1)")))
    for _, fn in ipairs { handle.run, handle.rows } do
      assert.equal("a statement may not begin or end a transaction; use transaction{…}",
        (said(fn, handle, "BEGIN")))
    end
    assert.equal("a statement may not begin or end a transaction; use transaction{…}",
      (said(handle.transaction, handle, { "COMMIT", "SELECT 1" })))
    assert.same({ { n = 1 } }, handle:rows "SELECT 1 AS n; ")
  end)

  it("names a wrong use with the user's line", function()
    local handle = open()
    assert.equal("a statement is a string, got nil", helper.said(handle.run, handle))
    assert.equal("a statement may not hold a zero byte", helper.said(handle.run, handle, "a\0b"))
    assert.equal("value 2 of a statement is a function; it must be a string, a number, a boolean, "
      .. "nil or db.blob(bytes)", helper.said(handle.run, handle, "SELECT ?, ?", 1, print))
    assert.equal("item 2 of transaction is nil", helper.said(handle.transaction, handle,
      { "CREATE TABLE holes (a)", nil, "DROP TABLE holes" }))
    assert.equal("transaction takes a list, got a string",
      helper.said(handle.transaction, handle, "SELECT 1"))
    assert.equal("blob takes a string, got the number 1", helper.said(db.blob, 1))
    assert.equal("db.open takes a path, got nil", helper.said(db.open))
    assert.equal("db.open takes a path, got an empty one or one with a zero byte",
      helper.said(db.open, ""))
    assert.equal("unknown option 'sync' of db.open; allowed: application_id, busy_timeout, "
      .. "max_result, schema, synchronous", helper.said(db.open, "x", { sync = 1 }))
    assert.equal("synchronous of db.open is a string; it must be 'full' or 'normal'",
      helper.said(db.open, "x", { synchronous = "off" }))
    assert.equal("busy_timeout of db.open is the number -1; it must be a number of seconds",
      helper.said(db.open, "x", { busy_timeout = -1 }))
    assert.equal("application_id of db.open is the number 2147483648; it must be a number below 2^31",
      helper.said(db.open, ":memory:", { application_id = 2 ^ 31 }))
    assert.equal("schema of db.open: step 1 is the number 5; it is a list of texts",
      helper.said(db.open, "x", { schema = { 5 } }))
  end)

  it("says which file cannot be opened, and why", function()
    local err = helper.failure(db.open, "/nowhere/x.db")
    assert.equal("io", err.kind)
    assert.equal("cannot open '/nowhere/x.db': No such file or directory", err.message)
    local path = helper.temp(("no database"):rep(1000))
    err = helper.failure(db.open, path)
    assert.equal("io", err.kind)
    assert.equal("'" .. path .. "': file is not a database", err.message)
  end)

  it("says so where SQLite cannot be loaded", function()
    local folder = helper.temp()
    os.remove(folder)
    os.execute(("mkdir '%s' && echo junk >'%s/libsqlite3.so.0'"):format(folder, folder))
    local script = helper.temp [[
      local ok, err = pcall(require("moonpipe.db").open, ":memory:")
      print(ok, err.kind, err.message)]]
    local stdout = helper.moonpipe({ "run", script }, nil, { LD_LIBRARY_PATH = folder })
    os.execute(("rm -r '%s'"):format(folder))
    local begins = "false\tunsupported\tcannot open SQLite: "
    assert.equal(begins, stdout:sub(1, #begins))
  end)

  it("says so where no descriptor is left, and goes on when there is", function()
    assert.equal("fds\n1", child.run({ limits = "-n 40" }, [[
      local db, files = require "moonpipe.db", {}
      local path = ...
      db.open ":memory:"
      repeat
        local file = io.open "/dev/null"
        files[#files + 1] = file
      until not file
      local _, err = pcall(db.open, path)
      print(err.kind)
      for _, file in ipairs(files) do file:close() end
      print(db.open(path):rows("SELECT 1 AS n")[1].n)]], new_path()))
  end)

  it("brings an old file up to date, and refuses a newer or another", function()
    local path = new_path()
    local schema = { "CREATE TABLE one (x); INSERT INTO one VALUES (1)" }
    open(path, { application_id = 5, schema = schema })
    open(path, { application_id = 5, schema = schema })
    schema[2] = "ALTER TABLE one ADD COLUMN y DEFAULT 2"
    local handle = open(path, { application_id = 5, schema = schema })
    assert.same({ { x = 1, y = 2 } }, handle:rows "SELECT * FROM one")
    helper.raises("is of format 2, of a newer version; this one knows 1", db.open, path,
      { application_id = 5, schema = { schema[1] } })
    helper.raises("is a database of something else (application id 5, not 6)", db.open, path,
      { application_id = 6 })
    assert.same({ { n = 1 } }, handle:rows "SELECT count(*) AS n FROM one")
  end)

  it("has one answer no larger than max_result", function()
    local handle = open(nil, { max_result = 1000 })
    local err = helper.failure(handle.rows, handle, "SELECT zeroblob(2000)")
    assert.equal("too_large", err.kind)
    assert.equal("':memory:': the rows are more than 1000 bytes", err.message)
  end)

  it("raises closed after close, and lets what runs end", function()
    local handle = open()
    local task = mp.RunnableLambda(function() return handle:rows "SELECT 7 AS n"[1].n end):start(1)
    mp.sleep(0)
    handle:close()
    handle:close()
    assert.equal(7, task:wait())
    assert.equal("closed", helper.failure(handle.rows, handle, "SELECT 1").kind)
    assert.equal("database ':memory:' (closed)", tostring(handle))
  end)

  it("cancels a statement that runs, and one that waits behind it", function()
    local handle = table_t()
    local runs = mp.RunnableLambda(function() return handle:rows(ENDLESS) end):start(1)
    local waits = mp.RunnableLambda(function()
      return handle:run "INSERT INTO t (a) VALUES (1)"
    end):start(1)
    mp.sleep(0.02)
    waits:cancel()
    local _, err = waits:wait(5)
    assert.equal("cancelled", err.kind)
    assert.equal("running", runs:status())
    runs:cancel()
    _, err = runs:wait(5)
    assert.equal("cancelled", err.kind)
    assert.same({ { n = 0 } }, handle:rows "SELECT count(*) AS n FROM t")
  end)

  it("lets the program end while statements run and wait", function()
    for _, ending in ipairs { "os.exit(3)", "os.exit(3, true)" } do
      local stdout, stderr, code = helper.script(([[
        local db, mp = require "moonpipe.db", require "moonpipe"
        local handle = db.open ":memory:"
        for _ = 1, 3 do
          mp.RunnableLambda(function() handle:rows %q end):start(1)
        end
        mp.sleep(0.01)
        print "ends"
        io.stdout:flush()
        %s]]):format(ENDLESS, ending))
      assert.same({ "ends\n", "", 3 }, { stdout, stderr, code })
    end
  end)

  it("ends a statement at the call's timeout", function()
    local handle = open()
    local step = mp.RunnableLambda(function() return handle:rows(ENDLESS) end)
    assert.equal("timeout_total", helper.failure(step.invoke, step, 1, { timeout = 0.02 }).kind)
    assert.same({ { n = 1 } }, handle:rows "SELECT 1 AS n")
  end)

  it("lets other tasks run while it works", function()
    local handle = open()
    local out = mp.RunnableParallel({
      slow = function()
        return handle:rows [[WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c
          LIMIT 200000) SELECT max(x) AS n FROM c]][1].n
      end,
      ticks = function()
        local count = 0
        while count < 5 do
          mp.sleep(0.001)
          count = count + 1
        end
        return count
      end,
    }):invoke(1)
    assert.same({ slow = 200000, ticks = 5 }, out)
  end)

  it("keeps the order of branches that share a file", function()
    local handle = table_t(new_path())
    local inputs = {}
    for i = 1, 50 do inputs[i] = i end
    local ids = mp.RunnableLambda(function(i)
      return handle:run("INSERT INTO t (a) VALUES (?)", i).last_id
    end):batch(inputs)
    for i = 1, 50 do assert.equal(i, ids[i]) end
  end)

  it("shares the file with other processes #signal", function()
    local path = new_path()
    local handle = table_t(path)
    local script = helper.temp([[
      local handle = require("moonpipe.db").open(...)
      for i = 1, 25 do handle:run("INSERT INTO t (a) VALUES (?)", i) end
      print "stored"]])
    local out = helper.temp()
    os.execute(("for i in 1 2 3; do '%s' run %s %s >>%s 2>&1 & done; wait"):format(helper.bin,
      script, path, out))
    assert.equal("stored\nstored\nstored\n", helper.read(out))
    assert.same({ { n = 75 } }, handle:rows "SELECT count(*) AS n FROM t")
  end)

  -- ThreadSanitizer knows no child that starts threads, LeakSanitizer looks there for the parent's.
  local forking = helper.execute({ "ldd", helper.bin }):find("libtsan", 1, true) and pending or it

  forking("opens the file anew in a forked child", function()
    local path = new_path()
    local handle = table_t(path)
    handle:run "INSERT INTO t (a) VALUES (1)"
    local script = helper.temp(([[
      local ffi = require "ffi"
      ffi.cdef "int fork(void); int waitpid(int, int *, int);"
      local handle = require("moonpipe.db").open(%q)
      handle:run "INSERT INTO t (a) VALUES (2)"
      local pid = ffi.C.fork()
      handle:run "INSERT INTO t (a) VALUES (3)"
      if pid == 0 then os.exit(0) end
      ffi.C.waitpid(pid, nil, 0)
      print(#handle:rows "SELECT * FROM t")]]):format(path))
    local stdout, stderr = helper.moonpipe({ "run", script }, nil,
      { ASAN_OPTIONS = "detect_leaks=0" })
    assert.equal("", stderr)
    assert.equal("4\n", stdout)
  end)
end)
