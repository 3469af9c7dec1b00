local helper = require "spec.helper"
local mp = require "moonpipe"

local TEXTS = { "harrison worked at kensho", "bears like to eat honey", "the moon is far" }

local usage, failure = helper.said, helper.failure

local function contents(documents)
  local out = {}
  for i, doc in ipairs(documents) do out[i] = doc.page_content end
  return out
end

local function ids(documents)
  local out = {}
  for i, doc in ipairs(documents) do out[i] = doc.id end
  return out
end

describe("BM25Retriever", function()
  it("finds the texts that share words, best first", function()
    local retriever = mp.BM25Retriever.from_texts(TEXTS)
    assert.same({ TEXTS[1] }, contents(retriever:invoke("Where did HARRISON work?")))
    assert.same({ TEXTS[3], TEXTS[2] }, contents(retriever:invoke("the moon, the honey")))
    assert.same({}, retriever:invoke("nothing of it"))
    assert.same({}, retriever:invoke(" ?! "))
  end)

  it("finds what is written without blanks by its characters", function()
    local texts = { "漢字を読む本", "音楽を聴く", "서울에서 만나요", "we read C言語" }
    local function first(question)
      return mp.BM25Retriever.from_texts(texts):invoke(question)[1].page_content
    end
    assert.equal(texts[1], first "漢字の本")
    assert.equal(texts[2], first "音楽")
    assert.equal(texts[3], first "서울")
    assert.equal(texts[4], first "c")
  end)

  it("gives the best of those that match a filter, as many as are wanted", function()
    local texts, metadatas = {}, {}
    for i = 1, 100 do
      texts[i], metadatas[i] = ("word "):rep(i) .. ("other "):rep(100 - i), { n = i }
    end
    local function numbers(opts, config)
      opts.metadatas = metadatas
      local retriever = mp.BM25Retriever.from_texts(texts, opts)
      if config then
        retriever = retriever:configurable_fields { filter = mp.ConfigurableField { id = "f" } }
      end
      local out = {}
      for i, doc in ipairs(retriever:invoke("word", config)) do out[i] = doc.metadata.n end
      return out
    end
    assert.same({ 5, 4, 3 }, numbers { k = 3, filter = { n = { ["$lte"] = 5 } } })
    assert.same({ 2, 1 }, numbers { k = 3, filter = { n = { ["$lt"] = 3 } } })
    assert.same({}, numbers { k = 3, filter = { n = 0 } })
    assert.same({ 50 }, numbers { filter = function(metadata) return metadata.n == 50 end })
    assert.same({ 7 }, numbers({ k = 2 }, { configurable = { f = { n = 7 } } }))
    assert.truthy(usage(mp.BM25Retriever, { filter = { n = { ["$gtt"] = 1 } } }):find(
      "unknown operator '$gtt'; did you mean '$gt'?", 1, true))
  end)

  it("gives four unless told otherwise", function()
    local texts = { "a 1", "a 2", "a 3", "a 4", "a 5" }
    assert.same({ "a 1", "a 2", "a 3", "a 4" },
      contents(mp.BM25Retriever.from_texts(texts):invoke("a")))
    assert.equal(5, #mp.BM25Retriever.from_texts(texts, { k = 9 }):invoke("a"))
  end)

  it("says the score on the documents, and keeps the rest of them", function()
    local given = mp.Document { page_content = "a b", metadata = { source = "f" }, id = "7" }
    local retriever = mp.BM25Retriever.from_documents({ given, mp.Document("c") })
    local doc = retriever:invoke("a")[1]
    assert.same({ "a b", "7" }, { doc.page_content, doc.id })
    assert.equal(given.metadata, doc.metadata)
    -- N = 2, n = 1; length 2 of 1.5 on average
    assert.near(math.log(1 + 1.5 / 1.5) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 1.5)), doc.score, 1e-6)
    assert.is_nil(given.score)
  end)

  it("takes k1 and b", function()
    local plain = mp.BM25Retriever.from_texts({ "a a b c", "a" }, { k1 = 0, b = 0 })
    for _, doc in ipairs(plain:invoke("a")) do assert.near(math.log(1.2), doc.score, 1e-6) end
    assert.same({ "a a b c", "a" }, contents(plain:invoke("a")))
    local short = mp.BM25Retriever.from_texts({ "a b c", "a" }, { b = 1 })
    assert.same({ "a", "a b c" }, contents(short:invoke("a")))
  end)

  it("cuts terms by a function of the user's", function()
    local asked = {}
    local retriever = mp.BM25Retriever.from_texts({ "New York,in winter", "york" }, {
      preprocess = function(text)
        asked[#asked + 1] = text
        local terms = {}
        for term in text:gmatch("[^,]+") do terms[#terms + 1] = term end
        return terms
      end,
    })
    assert.same({ "New York,in winter" }, contents(retriever:invoke("New York")))
    assert.same({}, retriever:invoke("New"))
    assert.same({ "New York,in winter", "york", "New York", "New" }, asked)
  end)

  it("refuses what the user's function gives, and adds nothing", function()
    local answer = {}
    local retriever = mp.BM25Retriever { preprocess = function() return answer end }
    answer = "words"
    local err = failure(retriever.add_texts, retriever, { "x" }, { ids = { "A" } })
    assert.same({ "input", "preprocess must give a list of strings, got a string" },
      { err.kind, err.message })
    answer = { "a", 2 }
    assert.equal("item 2 that preprocess gives is the number 2; it must be a string",
      failure(retriever.invoke, retriever, "x").message)
    answer = { "a" }
    assert.same({ "A" }, retriever:add_texts({ "x" }, { ids = { "A" } }))
  end)

  it("adds to what is there", function()
    local retriever = mp.BM25Retriever {}
    assert.same({}, retriever:invoke("moon"))
    assert.same({ "0", "x" }, retriever:add_documents {
      mp.Document("a moon"), mp.Document { page_content = "moon", id = "x" },
    })
    assert.same({ "2" }, retriever:add_texts({ "the moon again" }))
    assert.same({}, retriever:add_texts({}))
    assert.same({ "x", "0", "2" }, ids(retriever:invoke("moon")))
  end)

  it("gives an id of its own that nobody has", function()
    local retriever = mp.BM25Retriever.from_texts({ "a" }, { ids = { "1" } })
    local own = retriever:add_texts({ "b" })[1]
    assert.is_true(#own > 30, own)
    retriever:delete { own }
    assert.same({ "1" }, ids(retriever:invoke("a b")))
  end)

  it("refuses an id twice and adds nothing", function()
    local retriever = mp.BM25Retriever.from_texts(TEXTS, { ids = { "A", "B", "C" } })
    local err = failure(retriever.add_texts, retriever, { "new", "moon" }, { ids = { "D", "A" } })
    assert.same({ "input", "id 'A' is already in the retriever" }, { err.kind, err.message })
    assert.same({}, retriever:invoke("new"))
    assert.same({ "D" }, retriever:add_texts({ "new" }, { ids = { "D" } }))
  end)

  it("puts documents in the place of others, where told to", function()
    local retriever = mp.BM25Retriever.from_texts({ "moon a", "moon b" }, { ids = { "A", "B" } })
    retriever:add_texts({ "moon moon", "moon c" }, { ids = { "B", "C" }, upsert = true })
    assert.same({ "moon moon", "moon a", "moon c" }, contents(retriever:invoke "moon"))
    assert.same({}, retriever:invoke "b")
    assert.same({ "moon moon", "moon a" }, contents(retriever:get_by_ids { "B", "X", "A" }))
    retriever:delete({ "B", "X" }, { missing_ok = true })
    assert.same({ "moon a", "moon c" }, contents(retriever:invoke "moon"))
    assert.equal("id 'D' is given twice", failure(retriever.add_texts, retriever, { "x", "y" },
      { ids = { "D", "D" }, upsert = true }).message)
    assert.equal("upsert is the number 1; it must be true or false",
      usage(retriever.add_documents, retriever, {}, { upsert = 1 }))
  end)

  it("keeps what was there where a replacement fails or is cancelled", function()
    local broken = false
    local retriever = mp.BM25Retriever.from_texts({ "old" }, { ids = { "A" }, preprocess =
      function(text) return not broken and { text } or "none" end })
    broken = true
    local replace = function()
      return retriever:add_texts({ "new" }, { ids = { "A" }, upsert = true })
    end
    assert.equal("input", failure(replace).kind)
    broken = false
    assert.same({ "old" }, contents(retriever:get_by_ids { "A" }))
    local task = mp.RunnableLambda(replace):start()
    task:cancel()
    task:wait()
    assert.same({ "old" }, contents(retriever:get_by_ids { "A" }))
    assert.same({ "old" }, contents(retriever:invoke "old"))
    assert.same({ "A" }, replace())
    assert.same({ "new" }, contents(retriever:invoke "new"))
    assert.same({}, retriever:invoke "old")
  end)

  it("is a store for an ingest", function()
    local retriever = mp.BM25Retriever {}
    local documents = { mp.Document("bears like honey", { source = "a" }),
      mp.Document("honey is sweet", { source = "b" }) }
    assert.equal(2, mp.ingest({ documents = documents, store = retriever }).added)
    assert.same({ 0, 2 }, { mp.ingest({ documents = documents, store = retriever }).added,
      mp.ingest({ documents = documents, store = retriever }).skipped })
    assert.same({ "bears like honey" }, contents(retriever:invoke "bears"))
  end)

  it("deletes by id", function()
    local retriever = mp.BM25Retriever.from_texts(TEXTS, { ids = { "A", "B", "C" } })
    retriever:delete { "A", "C" }
    assert.same({}, retriever:invoke("harrison moon"))
    assert.same({ "B" }, ids(retriever:invoke("honey")))
    retriever:add_texts({ "moon" }, { ids = { "A" } })
    assert.same({ "A" }, ids(retriever:invoke("moon")))
    retriever:delete {}
  end)

  it("deletes nothing where one id is unknown", function()
    local retriever = mp.BM25Retriever.from_texts(TEXTS, { ids = { "A", "B", "C" } })
    local err = failure(retriever.delete, retriever, { "A", "Z" })
    assert.same({ "input", "there is no id 'Z' in the retriever" }, { err.kind, err.message })
    assert.same({ "A" }, ids(retriever:invoke("harrison")))
  end)

  it("takes another k for a call, over the same index", function()
    local retriever = mp.BM25Retriever.from_texts(TEXTS):configurable_fields { k = { id = "k" } }
    assert.equal(2, #retriever:invoke("moon honey"))
    assert.equal(1, #retriever:invoke("moon honey", { configurable = { k = 1 } }))
  end)

  it("is a step of chains", function()
    local retriever = mp.BM25Retriever.from_texts(TEXTS, { k = 1 })
    local chain = mp.pipe({ context = retriever, question = mp.RunnablePassthrough() },
      mp.PromptTemplate.from_template("{context}: {question}"))
    assert.equal("bears like to eat honey: honey?", tostring(chain:invoke("honey?")))
    assert.equal("BM25Retriever", tostring(retriever))
    local events = {}
    for event in retriever:stream_events("moon") do events[#events + 1] = event.event end
    assert.same({ "on_retriever_start", "on_retriever_stream", "on_retriever_end" }, events)
    local map = mp.RunnableParallel { question = mp.RunnablePassthrough() }
    assert.truthy(usage(map.pipe, map, retriever):find('use mp.itemgetter("question")', 1, true))
  end)

  it("says how to give it a string", function()
    local retriever = mp.BM25Retriever.from_texts(TEXTS)
    local err = failure(retriever.invoke, retriever, { question = "x" })
    assert.equal("input", err.kind)
    assert.truthy(err.message:find(
      'got a table with keys {question}; use mp.itemgetter("question")', 1, true))
  end)

  it("refuses what is no argument of it", function()
    local new, retriever = mp.BM25Retriever, mp.BM25Retriever {}
    assert.equal("k is the number 0; it must be a positive integer", usage(new, { k = 0 }))
    assert.equal("b of BM25Retriever is the number 2; it must be a number from 0 to 1",
      usage(new, { b = 2 }))
    assert.truthy(usage(new, { k1 = -1 }):find("k1 of BM25Retriever is the number -1", 1, true))
    assert.equal("preprocess of BM25Retriever must be a function, got a string",
      usage(new, { preprocess = "x" }))
    assert.truthy(usage(new, { texts = {} }):find("unknown option 'texts'", 1, true))
    assert.equal("text 2 of BM25Retriever.from_texts is the number 2; it must be a string",
      usage(new.from_texts, { "a", 2 }))
    assert.equal("item 1 of BM25Retriever.from_documents is a string; it must be a Document",
      usage(new.from_documents, { "a" }))
    assert.equal("delete takes a list, got a string", usage(retriever.delete, retriever, "a"))
  end)
end)

-- ---- beside plain Lua ----------------------------------------------------------------------------

local function words_of(text)
  local words = {}
  for word in text:lower():gmatch("%w+") do words[#words + 1] = word end
  return words
end

-- What the formula says of the texts in `docs`, { id =, words = } each.
local function scores_by(docs, query)
  local total, scores = 0, {}
  for _, doc in ipairs(docs) do total = total + #doc.words end
  for _, term in ipairs(words_of(query)) do
    local times, own = {}, 0
    for i, doc in ipairs(docs) do
      times[i] = 0
      for _, word in ipairs(doc.words) do times[i] = times[i] + (word == term and 1 or 0) end
      own = own + (times[i] > 0 and 1 or 0)
    end
    local weight = math.log(1 + (#docs - own + 0.5) / (own + 0.5))
    for i, doc in ipairs(docs) do
      local norm = 1.2 * (0.25 + 0.75 * #doc.words / (total / #docs))
      if times[i] > 0 then
        scores[doc.id] = (scores[doc.id] or 0) + weight * times[i] * 2.2 / (times[i] + norm)
      end
    end
  end
  return scores
end

local function random_text(random)
  local words = {}
  for i = 1, random(0, 8) do words[i] = "w" .. math.floor(random(1, 5) * random(1, 5) / 2) end
  return table.concat(words, " ")
end

local function check_query(retriever, docs, query)
  local wanted, count = scores_by(docs, query), 0
  for _ in pairs(wanted) do count = count + 1 end
  local found, last = retriever:invoke(query), math.huge
  assert.equal(math.min(count, 5), #found, query)
  for _, doc in ipairs(found) do
    assert.near(wanted[doc.id], doc.score, 1e-5)
    assert.is_true(doc.score <= last)
    last = doc.score
    wanted[doc.id] = nil
  end
  for _, score in pairs(wanted) do assert.is_true(#found < 5 or score <= last + 1e-5) end
end

describe("BM25Retriever beside plain Lua", function()
  it("gives the same after random adds and deletes", function()
    math.randomseed(11)
    local random = math.random
    for _ = 1, helper.long and 60 or 8 do
      local retriever, docs, given = mp.BM25Retriever { k = 5 }, {}, 0
      for _ = 1, 30 do
        if random() < 0.3 and #docs > 0 then
          retriever:delete { table.remove(docs, random(#docs)).id }
        else
          given = given + 1
          local text = random_text(random)
          retriever:add_texts({ text }, { ids = { "d" .. given } })
          docs[#docs + 1] = { id = "d" .. given, words = words_of(text) }
        end
        check_query(retriever, docs, random_text(random))
      end
    end
  end)
end)

-- ---- many at once ---------------------------------------------------------------------------------

describe("BM25Retriever in many tasks", function()
  it("answers those that add, delete and ask at once #concurrency", function()
    local retriever = mp.BM25Retriever.from_texts(TEXTS, { k = 1 })
    local use = mp.RunnableLambda(function(i)
      if i % 5 == 0 then retriever:add_texts({ "number n" .. i }, { ids = { "n" .. i } }) end
      if i % 10 == 0 then retriever:delete { "n" .. i } end
      return retriever:invoke("where is harrison?")[1].page_content
    end)
    local inputs = {}
    for i = 1, 200 do inputs[i] = i end
    for _, answer in ipairs(use:batch(inputs)) do assert.equal(TEXTS[1], answer) end
    assert.same({}, retriever:invoke("n100"))
    assert.same({ "n195" }, ids(retriever:invoke("n195")))
  end)

  it("leaves nothing of an add that was cancelled", function()
    local retriever = mp.BM25Retriever.from_texts({ "a" }, { k = 9 })
    local texts, names = {}, {}
    for i = 1, 5000 do texts[i], names[i] = "a b c d e f", "n" .. i end
    local add = mp.RunnableLambda(function()
      return retriever:add_texts(texts, { ids = names })
    end)
    for _ = 1, 5 do
      local task = add:start("x")
      mp.update(0)
      task:cancel()
      local _, err = task:wait()
      assert.equal("cancelled", err and err.kind)
      assert.same({ "0" }, ids(retriever:invoke("a")))
    end
    assert.equal(5000, #retriever:add_texts(texts, { ids = names }))
    assert.equal(9, #retriever:invoke("b"))
  end)

  it("searches 100,000 documents in milliseconds", function()
    local texts, count = {}, helper.sanitized and 10000 or 100000
    math.randomseed(3)
    for i = 1, count do
      texts[i] = ("the word%d and word%d of text%d"):format(math.random(1000), math.random(1000), i)
    end
    local retriever = mp.BM25Retriever.from_texts(texts)
    assert.equal(texts[777], retriever:invoke("the text777 of the word")[1].page_content)
    local begin = os.clock()
    for i = 1, 20 do retriever:invoke("the word" .. i .. " and text" .. i) end
    local each = (os.clock() - begin) / 20
    helper.figure(("a search of %d documents by BM25: %.2f ms of CPU"):format(count, each * 1e3))
    assert.is_true(each < 0.05, each) -- ten times the goal
    local all = retriever:configurable_fields { k = { id = "k" } }
    begin = os.clock()
    assert.equal(count, #all:invoke("the", { configurable = { k = count } }))
    assert.is_true(os.clock() - begin < 5)
  end)
end)
