-- mp.PGVector where the server, the network or the input is against it.
local client = require "moonpipe.stores.pg_client"
local helper = require "spec.helper"
local mp = require "moonpipe"
local postgres = require "spec.support.postgres"
local proxy = require "spec.support.proxy"
local redact = require "moonpipe.redact"

local embedding = mp.HashEmbeddings()
local server, admin

local HOSTILE = {
  "'; DROP TABLE canary; --", "\"; DROP TABLE canary; --", "$1", "$$", "\\'; DROP TABLE canary; --",
  "') ON CONFLICT DO NOTHING; DROP TABLE canary; --", "%s%d", "E'\\x00'", "{}", "[1,2]", "null",
}

local failure = helper.failure

local function store_at(url, more)
  local opts = { connection = url, embedding = embedding, collection_name = "faults" }
  for name, value in pairs(more or {}) do opts[name] = value end
  return mp.PGVector(opts)
end

-- The rows of a statement by a connection of its own.
local function ask(text, ...)
  local values = { ... }
  return mp.RunnableLambda(function() return admin:rows(text, unpack(values)) end):invoke(1)
end

-- Waits until a count of the server's is `wanted`.
local function await_count(wanted, text, ...)
  for _ = 1, 3000 do
    if ask(text, ...)[1].n == wanted then return end
    mp.sleep(0.01)
  end
  error(("it is still %s, not %d"):format(ask(text, ...)[1].n, wanted))
end

local WAITING = [[SELECT count(*) AS n FROM pg_stat_activity
  WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT id, document, metadata,%']]

local HOLDING = [[SELECT count(*) AS n FROM pg_stat_activity
  WHERE wait_event = 'PgSleep' AND application_name = 'admin']]

-- Keeps everybody from the table until the task that it gives is cancelled.
local function hold_table()
  local task = mp.RunnableLambda(function()
    admin:ask({ { 'LOCK TABLE "moonpipe"."faults"', n = 1 },
      { "SELECT pg_sleep(600)", n = 1 } }, true)
  end):start(1)
  await_count(1, HOLDING)
  return task
end

describe("PGVector faults", function()
  lazy_setup(function()
    server = postgres.start()
    admin = client.new({ connection = server.url .. "?application_name=admin" }, "the spec")
    ask "CREATE TABLE canary (x int)"
    store_at(server.url):add_embeddings({ "a", "b" }, { { 1, 0 }, { 0, 1 } }, { ids = { "a", "b" } })
  end)
  lazy_teardown(function()
    admin:close()
    server:stop()
  end)

  describe("of connections", function()
    local function kind_of(url)
      local err = failure(function() store_at(url):count() end)
      assert.is_nil(tostring(err):find("://", 1, true), tostring(err))
      return err.kind, err.message
    end

    it("names a wrong password, and not the password", function()
      local url = server.url:gsub(":%x+@", ":wrong-pass-word@")
      local kind, message = kind_of(url)
      assert.equal("auth", kind)
      assert.equal('PostgreSQL: password authentication failed for user "tester" (SQLSTATE 28P01)',
        message)
      assert.equal("auth", (kind_of((server.url:gsub(":%x+@", "@")))))
    end)

    it("names a database that is not there", function()
      local kind, message = kind_of((server.url:gsub("postgres$", "nowhere")))
      assert.equal("config", kind)
      assert.equal('PostgreSQL: database "nowhere" does not exist (SQLSTATE 3D000)', message)
    end)

    it("names a host that is not there, and a port where nobody listens", function()
      assert.equal("dns", (kind_of "postgresql://me@no.such.host.invalid/a"))
      assert.equal("connect", (kind_of "postgresql://me@127.0.0.1:1/a"))
      assert.equal("tls", (kind_of(server.url .. "?sslmode=require")))
    end)

    it("names what a user may not", function()
      ask "CREATE ROLE guest LOGIN PASSWORD 'guests-password'"
      local store = store_at(server.url:gsub("//[^@]*@", "//guest:guests-password@"),
        { schema = "theirs" })
      local err = failure(store.add_embeddings, store, { "a" }, { { 1 } })
      assert.equal("auth", err.kind)
      assert.matches("permission denied for database", err.message, 1, true)
      store:close()
    end)

    it("refuses what is no connection string without showing it", function()
      for _, text in ipairs { "postgresql://me:sesame-open@[::1/x", "password=sesame-open host=x", "",
        "postgresql://me:sesame-open@host:5432/x?no_such_option=1" } do
        local err = failure(store_at, text)
        assert.equal("config", err.kind)
        assert.matches("postgresql://user:password@host:5432/database", err.message, 1, true)
        assert.is_nil(tostring(err):find("sesame", 1, true))
      end
    end)

    it("shows the password nowhere", function()
      local store = store_at(server.url)
      assert.is_nil(mp.inspect(store):find(server.password, 1, true))
      assert.is_nil(redact.text("it is " .. server.password):find(server.password, 1, true))
      local escaped = store_at "postgresql://me:a%2Dlong%2Bpass@127.0.0.1:1/x"
      assert.is_nil(redact.text("it is a-long+pass"):find("long", 1, true))
      assert.equal("connect", failure(escaped.count, escaped).kind)
    end)

    it("gives up a server that does not answer", function()
      local deaf = proxy.start { to = server.port, toxics = { latency = 600000 } }
      local url = server.url:gsub(":%d+/", ":" .. deaf.port .. "/")
      local store = store_at(url, { timeout = { connect = 0.2 } })
      assert.equal("timeout_connect", failure(store.count, store).kind)
      store:close()
      deaf:stop()
    end)

    it("is closed when it is closed", function()
      local store = store_at(server.url)
      store:close()
      store:close()
      assert.equal("closed", failure(store.count, store).kind)
    end)
  end)

  it("runs eight branches of a map side by side", function()
    local store, steps = store_at(server.url), {}
    for i = 1, 8 do
      steps["n" .. i] = store:as_retriever { search_kwargs = { k = i % 2 + 1 } }
    end
    store.embedding = { embed_query = function() return { 1, 0 } end }
    local holder = hold_table()
    local task = mp.RunnableParallel(steps):start "x"
    await_count(8, WAITING)
    holder:cancel()
    local found = task:wait()
    for i = 1, 8 do assert.equal(i % 2 + 1, #found["n" .. i]) end
  end)

  it("is cancelled at once, and the server gives it up", function()
    local store = store_at(server.url)
    local holder = hold_table()
    local task = mp.RunnableLambda(function()
      return store:similarity_search_by_vector { 1, 0 }
    end):start(1)
    await_count(1, WAITING)
    local begun = mp.now()
    task:cancel()
    local _, err = task:wait()
    assert.equal("cancelled", err.kind)
    assert.is_true(mp.now() - begun < 2)
    await_count(0, WAITING)
    holder:cancel()
    assert.equal(2, #store:similarity_search_by_vector { 1, 0 })
  end)

  it("gives up what takes too long", function()
    local store = store_at(server.url, { timeout = 0.1 })
    store_at(server.url):count()
    local holder = hold_table()
    assert.equal("timeout_total", failure(store.similarity_search_by_vector, store, { 1, 0 }).kind)
    holder:cancel()
    await_count(0, "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    assert.equal(2, store_at(server.url):count())
  end)

  it("says when the connection is cut, and connects anew", function()
    local cut = proxy.start { to = server.port, toxics = { limit_data = 3000 } }
    local store = store_at((server.url:gsub(":%d+/", ":" .. cut.port .. "/")), { pool_size = 1 })
    local kinds, whole = {}, 0
    for _ = 1, 20 do
      local ok, value = pcall(store.count, store)
      if ok then whole = whole + 1 else kinds[value.kind] = true end
    end
    assert.is_true(whole > 0)
    for kind in pairs(kinds) do assert.is_true(kind == "reset" or kind == "connect", kind) end
    store:close()
    cut:stop()
  end)

  it("lets all of them through who replace the same documents", function()
    local store = store_at(server.url, { collection_name = "contended" })
    local texts, ids, reversed, vectors = {}, {}, {}, {}
    for i = 1, 400 do
      texts[i], vectors[i], ids[i], reversed[401 - i] = "t", { i, 1 }, "id " .. i, "id " .. i
    end
    store:add_embeddings(texts, vectors, { ids = ids })
    ask "ALTER DATABASE postgres SET deadlock_timeout = '20ms'"
    local again = store_at(server.url .. "?application_name=again", { collection_name = "contended" })
    mp.RunnableLambda(function(i)
      return #again:add_embeddings(texts, vectors, { ids = i % 2 == 0 and ids or reversed })
    end):batch { 1, 2, 3, 4, 5, 6, 7, 8 }
    assert.equal(400, store:count())
    again:close()
    ask "ALTER DATABASE postgres RESET deadlock_timeout"
  end)

  it("tries again what the server has undone for another's sake", function()
    local store = store_at(server.url, { collection_name = "undone" })
    store:add_embeddings({ "a", "b" }, { { 1, 0 }, { 0, 1 } }, { ids = { "a", "b" } })
    local update = [[UPDATE moonpipe.undone SET document = 'theirs' WHERE id = '%s']]
    local other = mp.RunnableLambda(function()
      admin:ask({ { "SET LOCAL deadlock_timeout = '60s'", n = 1 }, { update:format "b", n = 1 },
        { "SELECT pg_sleep(0.5)", n = 1 }, { update:format "a", n = 1 } }, true)
    end):start(1)
    await_count(1, HOLDING)
    store:add_embeddings({ "ours", "ours" }, { { 1, 0 }, { 0, 1 } }, { ids = { "a", "b" } })
    assert.is_nil((select(2, other:wait())))
    for _, doc in ipairs(store:get_by_ids { "a", "b" }) do assert.equal("ours", doc.page_content) end
    await_count(1, "SELECT count(*) AS n FROM pg_stat_database WHERE datname = 'postgres' "
      .. "AND deadlocks > 0")
  end)

  it("takes hostile texts for texts", function()
    local store = store_at(server.url, { collection_name = HOSTILE[1] })
    local metadatas, vectors = {}, {}
    for i, text in ipairs(HOSTILE) do
      metadatas[i], vectors[i] = { ["k" .. text] = text, n = i }, { i, 1 }
    end
    store:add_embeddings(HOSTILE, vectors, { ids = HOSTILE, metadatas = metadatas })
    for i, text in ipairs(HOSTILE) do
      local found = store:similarity_search_by_vector({ 1, 1 }, { filter = { ["k" .. text] = text } })
      assert.equal(1, #found)
      assert.same({ text, text, i }, { found[1].id, found[1].metadata["k" .. text],
        found[1].metadata.n })
      assert.same(text, store:get_by_ids({ text })[1].page_content)
      assert.equal("input", failure(store.delete, store, { text .. "x" }).kind)
    end
    store:delete(HOSTILE)
    assert.equal(0, store:count())
    assert.equal(0, ask("SELECT count(*) AS n FROM canary")[1].n)
    store:delete_collection()
  end)

  it("refuses what PostgreSQL cannot hold, and adds none of it", function()
    local store = store_at(server.url)
    local function add(text, id, metadata)
      return failure(store.add_embeddings, store, { "fine", text }, { { 1, 1 }, { 1, 1 } },
        { ids = { "fine", id }, metadatas = { {}, metadata } })
    end
    for _, err in ipairs { add("a\0b", "x", {}), add("x", "a\0b", {}), add("x", "x", { a = "\0" }) } do
      assert.equal("input", err.kind)
      assert.matches("SQLSTATE 22", err.message, 1, true)
    end
    assert.equal("input", add("x", "x", { f = print }).kind)
    assert.equal(2, store:count())
  end)

  it("survives a server that is killed in mid query, and its restart", function()
    local store = store_at(server.url)
    local holder = hold_table()
    local task = mp.RunnableLambda(function()
      return store:similarity_search_by_vector { 1, 0 }
    end):start(1)
    await_count(1, WAITING)
    server:tell "crash"
    local _, err = task:wait()
    assert.equal("reset", err.kind)
    _, err = holder:wait()
    assert.equal("reset", err.kind)
    assert.equal("connect", failure(store.count, store).kind)
    server:tell "start"
    assert.equal(2, store:count())
    server:tell "stop"
    server:tell "start"
    assert.equal(2, store:count())
    assert.equal(2, #helper.run(function() return store:similarity_search_by_vector { 1, 0 } end))
  end)
end)
