local docstore = require "moonpipe.stores.docstore"
local docstores = require "spec.support.docstores"
local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local vectors_it = helper.with_vectors(it)
local embedding = mp.HashEmbeddings()
local random = math.random

local function seeded()
  local seed = os.time()
  math.randomseed(seed)
  return seed
end

local function documents(first, count)
  local out = {}
  for i = 1, count do
    out[i] = mp.Document { page_content = ("x"):rep(random(0, 5)), id = tostring(first + i),
      metadata = { a = ({ 1, "x", mp.null })[random(3)], b = { random(9) } } }
  end
  return out
end

describe("SQLiteDocstore", function()
  it("does what the one in memory does", function()
    local seed = seeded()
    local memory, file = docstore.new(), mp.SQLiteDocstore(helper.fresh())
    local first = 0
    local function same(method, ...)
      local expected, args, count = { memory[method](memory, ...) }, { ... }, select("#", ...)
      local got = helper.run(function() return { file[method](file, unpack(args, 1, count)) } end)
      for _, result in ipairs { expected, got } do
        if method == "put" or method == "remove" then table.sort(result[1]) end
      end
      assert.same(expected, got, ("seed %d, %s"):format(seed, method))
    end
    for _ = 1, 60 do
      local count, ids, numbers = random(0, 5), {}, {}
      for i = 1, random(0, 8) do
        ids[i], numbers[i] = tostring(random(40)), random(0, first)
      end
      local list_of = documents(random(40), count)
      same("put", first, list_of)
      first = first + count + random(0, 2)
      same("numbers", ids)
      same("get", numbers)
      same("count")
      if random(3) == 1 then
        local own, once = {}, {}
        for _, id in ipairs(ids) do
          if not own[id] then once[#once + 1] = id end
          own[id] = true
        end
        same("remove", once)
      end
      same("all")
    end
    file:close()
  end)

  it("keeps more than one answer holds", function()
    local memory, file = docstores.both(documents(0, 1203))
    assert.same({ memory:all() }, helper.run(function() return { file:all() } end))
    assert.same(docstores.matching(memory, { a = { ["$exists"] = true } }),
      docstores.matching(file, function(found) return found.a ~= nil and found.a ~= mp.null end))
    file:close()
  end)

  it("keeps contents and ids byte for byte", function()
    local file = mp.SQLiteDocstore(helper.fresh())
    local doc = mp.Document { page_content = "\0\255\r\n", metadata = { a = mp.null }, id = "\0\254" }
    helper.run(function() file:put(7, { doc }) end)
    assert.same({ ["\0\254"] = 7 }, helper.run(function() return file:numbers { "\0\254", "x" } end))
    assert.same({ [7] = doc }, helper.run(function() return file:get { 7, 8 } end))
    file:close()
  end)

  it("refuses what it cannot keep, and keeps nothing of it", function()
    local file = mp.SQLiteDocstore(helper.fresh())
    local list_of = { mp.Document { page_content = "a", id = "a" },
      mp.Document { page_content = "b", metadata = { fn = print }, id = "b" } }
    assert.equal("the metadata of document 'b' cannot be kept: cannot encode a function at $.fn",
      helper.input_failure(function() helper.run(function() file:put(0, list_of) end) end))
    assert.equal(0, helper.run(function() return file:count() end))
    file:close()
  end)

  it("refuses a file of something else", function()
    local file = mp.SQLiteDocstore(helper.temp "no database, but long enough to be looked at")
    local err = helper.failure(function() helper.run(function() file:count() end) end)
    assert.equal("io", err.kind)
    local other = helper.fresh()
    mp.db.open(other, { application_id = 1, schema = { "CREATE TABLE x (y)" } }):close()
    err = helper.failure(function()
      helper.run(function() mp.SQLiteDocstore(other):count() end)
    end)
    assert.equal("io", err.kind)
  end)

  it("is told wrong arguments", function()
    assert.equal("SQLiteDocstore takes the path of a file, got nil",
      helper.said(function() mp.SQLiteDocstore() end))
    helper.raises("unknown option 'mode'", mp.SQLiteDocstore, "x", { mode = 1 })
    assert.equal("docstore of FAISS is an InMemoryDocstore; it must be one, such as "
      .. "mp.SQLiteDocstore(\"docs.db\")", helper.said(function()
      mp.FAISS { embedding = embedding, docstore = mp.InMemoryDocstore() }
    end))
  end)
end)

-- ---- with vectors ------------------------------------------------------------------------------

local function contents(found)
  local out = {}
  for i, doc in ipairs(found) do out[i] = doc.page_content end
  return out
end

-- Counts the texts that it embeds.
local function counting()
  local self = { model = embedding.model, texts = 0 }
  function self.embed_query(_, text) return embedding:embed_query(text) end
  function self.embed_documents(_, texts)
    self.texts = self.texts + #texts
    return embedding:embed_documents(texts)
  end
  return self
end

-- What is told meanwhile, instead of on standard error.
local function told(fn)
  local lines, sink = {}, log.sink
  log.sink = function(_, text)
    lines[#lines + 1] = text
    return true
  end
  local ok, err = pcall(fn)
  log.sink = sink
  if not ok then error(err, 0) end
  return lines
end

describe("a store with a SQLiteDocstore", function()
  local function saved()
    local db_path, path = helper.fresh(), helper.fresh()
    local docs = mp.SQLiteDocstore(db_path)
    local store = mp.FAISS.from_texts({ "apples", "bears", "cats" }, { embedding = embedding,
      docstore = docs, ids = { "a", "b", "c" }, metadatas = { { n = 1 }, { n = 2 }, { n = 3 } } })
    store:save_local(path)
    return store, docs, path, db_path
  end

  vectors_it("finds, filters, deletes and replaces as one in memory", function()
    local store, docs = saved()
    assert.same({ "bears" }, contents(store:similarity_search("bears", { k = 1 })))
    assert.same({ "cats" }, contents(store:similarity_search("bears", { k = 2,
      filter = { n = { ["$gt"] = 2 } } })))
    store:delete { "b" }
    store:add_texts({ "cows" }, { ids = { "c" }, upsert = true })
    assert.same({ "cows", "apples" }, contents(store:similarity_search("cows", { k = 9 })))
    assert.equal(2, store:count())
    docs:close()
  end)

  -- Calls fn while what is asked of the file goes to ask(c.db_do, …).
  local function asking(ask, fn)
    local db_do = native.c.db_do
    native.c.db_do = function(...) return ask(db_do, ...) end
    local ok, err = pcall(fn)
    native.c.db_do = db_do
    if not ok then error(err, 0) end
  end

  vectors_it("finds what it kept before the time was over", function()
    local store, docs = saved()
    local task, done
    asking(function(db_do, ...)
      local id = db_do(...)
      if select(3, ...) then -- the transaction of a put
        assert.is_true(native.c.wait(10)) -- the answer is there, and nobody has looked at it
        require("moonpipe.tree").cancel(task, mp.Error { kind = "timeout_total", message = "late" })
        done = true
      end
      return id
    end, function()
      task = mp.RunnableLambda(function() return store:add_texts({ "dogs" }, { ids = { "d" } }) end)
        :start()
      local _, err = task:wait(10)
      assert.equal("timeout_total", err.kind)
    end)
    assert.is_true(done)
    assert.equal(4, store:count())
    assert.same({ "dogs" }, contents(store:similarity_search("dogs", { k = 1 })))
    assert.equal(4, #mp.FAISS { embedding = embedding }:merge_from(store))
    docs:close()
  end)

  vectors_it("comes back without vectors that lost their documents", function()
    local store, docs, path = saved()
    helper.run(function() -- as a cancelled add may leave one
      scheduler.await(native.c.index_add(store._index, embedding:embed_documents { "dogs" }))
    end)
    store:save_local(path)
    local read = mp.FAISS.load_local(path, { embedding = embedding, docstore = docs })
    assert.same({ 4, 3 }, { native.c.index_count(store._index), native.c.index_count(read._index) })
    assert.equal(3, #read:similarity_search("dogs", { k = 9 }))
    docs:close()
  end)

  it("can be changed after a first change that failed", function()
    local docs, one = mp.SQLiteDocstore(helper.fresh()), documents(0, 1)
    asking(function(db_do, file, statements, ...)
      if statements[1] and statements[1][1]:find("'writer'", 1, true) then
        return nil, "it is locked", "io"
      end
      return db_do(file, statements, ...)
    end, function()
      local err = helper.failure(helper.run, function() docs:put(0, one) end)
      assert.equal("it is locked", err.message)
    end)
    helper.run(function() docs:put(0, one) end)
    assert.equal(1, helper.run(function() return docs:count() end))
    docs:close()
  end)

  vectors_it("comes back with what its file and its docstore have", function()
    local _, docs, path, db_path = saved()
    docs:close()
    local own = counting()
    local again = mp.SQLiteDocstore(db_path)
    local store = mp.FAISS.load_local(path, { embedding = own, docstore = again })
    assert.equal(0, own.texts)
    assert.same({ "bears" }, contents(store:similarity_search("bears", { k = 1 })))
    store:add_texts({ "dogs" }, { ids = { "d" } })
    assert.same({ "dogs" }, contents(store:similarity_search("dogs", { k = 1 })))
    again:close()
  end)

  vectors_it("embeds what came after its file was saved, drops what went", function()
    local store, docs, path, db_path = saved()
    store:delete { "a" }
    store:add_texts({ "bulls", "dogs" }, { ids = { "b", "d" }, upsert = true })
    docs:close()
    local own, again, read = counting(), mp.SQLiteDocstore(db_path), nil
    local lines = told(function()
      read = mp.FAISS.load_local(path, { embedding = own, docstore = again })
    end)
    assert.same({ ("2 of the documents of SQLiteDocstore '%s' came after '%s' was saved: they are "
      .. "embedded anew"):format(db_path, path) }, lines)
    assert.equal(2, own.texts)
    assert.equal(3, read:count())
    assert.same({ "bulls", "cats", "dogs" }, (function()
      local out = contents(read:similarity_search("bulls", { k = 9 }))
      table.sort(out)
      return out
    end)())
    assert.same({ "dogs" }, contents(read:similarity_search("dogs", { k = 1 })))
    read:save_local(path)
    assert.equal(3, mp.FAISS.load_local(path, { embedding = own, docstore = again }):count())
    assert.equal(2, own.texts)
    again:close()
  end)

  vectors_it("is made of the docstore alone where there is no file", function()
    local _, docs, _, db_path = saved()
    docs:close()
    local again = mp.SQLiteDocstore(db_path)
    local bare = mp.FAISS { embedding = embedding, docstore = again }
    for _, name in ipairs { "add_texts", "similarity_search" } do
      helper.raises("has documents, whose vectors are not in this store: make it with load_local",
        bare[name], bare, name == "add_texts" and { "x" } or "x")
    end
    local store = mp.FAISS.from_docstore(again, { embedding = embedding })
    assert.same({ "cats" }, contents(store:similarity_search("cats", { k = 1 })))
    assert.equal(3, store:count())
    again:close()
  end)

  vectors_it("says what does not belong together", function()
    local store, docs, path, db_path = saved()
    local function problem(opts, at)
      opts.embedding = embedding
      local err = helper.failure(mp.FAISS.load_local, at or path, opts)
      return err.kind .. ": " .. err.message
    end
    assert.equal(("input: '%s' has vectors alone, and its documents are in a docstore: give that as "
      .. "`docstore`"):format(path), problem {})
    local other = mp.SQLiteDocstore(helper.fresh())
    assert.truthy(problem { docstore = other }:find("input: the documents of '" .. path
      .. "' are not in SQLiteDocstore", 1, true))
    local whole = helper.fresh()
    mp.FAISS.from_texts({ "x" }, { embedding = embedding }):save_local(whole)
    assert.truthy(problem({ docstore = other }, whole):find("has its documents itself", 1, true))
    local copy = helper.fresh()
    os.execute(("cp %s %s; cp %s-wal %s-wal 2>/dev/null"):format(db_path, copy, db_path, copy))
    store:add_texts { "new" }
    store:save_local(path)
    local old = mp.SQLiteDocstore(copy)
    assert.truthy(problem { docstore = old }:find("^io: SQLiteDocstore '[^']*' is older than"))
    for _, each in ipairs { docs, other, old } do each:close() end
  end)

  vectors_it("tells a second store of one docstore that it is too late", function()
    local first, docs, path, db_path = saved()
    local again = mp.SQLiteDocstore(db_path)
    local second = mp.FAISS.load_local(path, { embedding = embedding, docstore = again })
    second:add_texts { "x" }
    local changes = { add_texts = { "y" }, delete = { "a" }, save_local = path }
    for name, argument in pairs(changes) do
      assert.equal(("another store has SQLiteDocstore '%s' since: one at a time may change it; make "
        .. "this one anew with load_local"):format(db_path),
        helper.input_failure(first[name], first, argument))
    end
    assert.equal(4, first:count())
    assert.equal(4, second:count())
    docs:close()
    again:close()
  end)
end)

-- ---- being killed ------------------------------------------------------------------------------

local WORK = [[
local mp = require "moonpipe"
local path, first = arg[1], tonumber(arg[2])
local docs = mp.SQLiteDocstore(path .. ".db")
local opts = { embedding = mp.HashEmbeddings(), docstore = docs }
local ok, store = pcall(mp.FAISS.load_local, path, opts)
if not ok then store = mp.FAISS.from_docstore(docs, { embedding = opts.embedding }) end
local out = assert(io.open(path .. ".done", "a"))
local function done(text)
  out:write(text, "\n")
  out:flush()
end
math.randomseed(first)
for i = first, math.huge do
  local id = tostring(i)
  done("?" .. id)
  store:add_texts({ "text number " .. id }, { ids = { id } })
  done("+" .. id)
  if i % 3 == 0 then
    local gone = tostring(math.random(i - 2, i))
    done("?" .. gone)
    store:delete({ gone }, { missing_ok = true })
    done("-" .. gone)
  end
  if math.random(4) == 1 then store:save_local(path) end
end
]]

-- What was said to be there, or to be gone; what was under way may be either.
local function acknowledged(path)
  local there, last = {}, 0
  for line in io.lines(path .. ".done") do
    local what, id = line:match "^([-+?])(%d+)$"
    if what then
      there[id] = what
      last = math.max(last, tonumber(id))
    end
  end
  return there, last
end

-- All that must be there is, once; the last ones are also found.
local function check_documents(store, there, last, place)
  local present = {}
  for _, doc in ipairs(store:documents()) do
    assert.equal("text number " .. doc.id, doc.page_content, place)
    assert.is_nil(present[doc.id], place .. doc.id)
    assert.is_truthy(there[doc.id], place .. doc.id)
    present[doc.id] = true
  end
  for id, what in pairs(there) do
    assert.is_true(what == "?" or (what == "+") == (present[id] or false), place .. what .. id)
    if present[id] and tonumber(id) > last - 20 then
      assert.equal(id, store:similarity_search("text number " .. id, { k = 1 })[1].id, place)
    end
  end
end

describe("a store that is killed #signal", function()
  vectors_it("loses and doubles no document", function()
    local path, script, first = helper.fresh(), helper.temp(WORK), 1
    local seed, kills = seeded(), 0
    helper.write(path .. ".done", "")
    for i = 1, helper.long and 200 or 20 do
      local _, problem, code = helper.execute { "timeout", "-s", "KILL",
        ("%.3f"):format(0.05 + random() * 0.2), helper.bin, "run", script, path, first }
      local place = ("seed %d, kill %d: %s"):format(seed, i, problem)
      assert.is_true(code == 137 or code == 124, place)
      kills = kills + 1
      local docs = mp.SQLiteDocstore(path .. ".db")
      local ok, store
      told(function()
        ok, store = pcall(mp.FAISS.load_local, path, { embedding = embedding, docstore = docs })
      end)
      if not ok then
        assert.truthy(store.message:find("No such file", 1, true), place .. store.message)
        store = mp.FAISS.from_docstore(docs, { embedding = embedding })
      end
      local there, last = acknowledged(path)
      check_documents(store, there, last, place)
      first = last + 1
      docs:close()
      os.execute("rm -f " .. path .. ".??????") -- drafts
    end
    helper.figure(("%d kills of a store with a SQLiteDocstore, seed %d: no document lost"):format(
      kills, seed))
    os.execute("rm -f " .. path .. ".db* " .. path .. ".done")
  end)
end)
