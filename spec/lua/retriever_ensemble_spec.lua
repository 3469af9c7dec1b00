local helper = require "spec.helper"
local mp = require "moonpipe"

local usage, failure = helper.said, helper.failure

local function doc(text, source)
  return mp.Document(text, { source = source })
end

-- A retriever that gives documents of these texts.
local function giving(...)
  local list = {}
  for i, text in ipairs { ... } do list[i] = doc(text) end
  return mp.RunnableLambda(function() return list end)
end

local function fused(opts)
  local out = {}
  for i, one in ipairs(mp.EnsembleRetriever(opts):invoke("x")) do
    out[i] = { one.page_content, one.score }
  end
  return out
end

describe("EnsembleRetriever", function()
  it("adds weight / (c + rank) over the lists", function()
    local found = fused { retrievers = { giving("a", "b", "c"), giving("c", "d") } }
    assert.same({ "c", "a", "b", "d" }, { found[1][1], found[2][1], found[3][1], found[4][1] })
    assert.near(0.5 / 63 + 0.5 / 61, found[1][2], 1e-12)
    assert.near(0.5 / 61, found[2][2], 1e-12)
    assert.near(0.5 / 62, found[3][2], 1e-12)
  end)

  it("takes weights and c", function()
    local found = fused {
      retrievers = { giving("a", "b"), giving("b", "a") }, weights = { 1, 3 }, c = 0,
    }
    assert.same({ { "b", 3.5 }, { "a", 2.5 } }, found)
  end)

  it("gives equal ones in the order of the retrievers", function()
    local found = fused { retrievers = { giving("z"), giving("a"), giving("m") } }
    assert.same({ "z", "a", "m" }, { found[1][1], found[2][1], found[3][1] })
  end)

  it("counts a text that is in a list twice where it is first", function()
    local found = fused { retrievers = { giving("a", "a", "b") }, c = 1 }
    assert.same({ { "a", 0.5 }, { "b", 0.25 } }, found)
  end)

  it("knows documents by a key of their metadata", function()
    local one = mp.const { doc("a", 1), doc("no key") }
    local two = mp.const { doc("another text", 1), doc("no key") }
    local opts = { retrievers = { one, two }, id_key = "source", c = 0 }
    assert.same({ { "a", 1 }, { "no key", 0.5 } }, fused(opts))
  end)

  it("knows them by their ids, where that is the key", function()
    local function with(id, text, metadata)
      return mp.Document { page_content = text, id = id, metadata = metadata }
    end
    local one = mp.const { with("1", "same"), with("2", "same"), mp.Document "no id" }
    local two = mp.const { with("2", "newer"), with("x", "same", { id = "1" }) }
    local found = fused { retrievers = { one, two }, id_key = "id", c = 0 }
    assert.same({ { "same", 0.75 }, { "same", 0.75 }, { "no id", 1 / 6 } }, found)
  end)

  it("leaves the documents as they are", function()
    local given = doc("a", "f")
    local found = mp.EnsembleRetriever { retrievers = { mp.const { given } } }:invoke("x")
    assert.equal(given.metadata, found[1].metadata)
    assert.is_nil(given.score)
    assert.is_number(found[1].score)
  end)

  it("joins words and vectors", function()
    local texts = { "harrison worked at kensho", "bears like to eat honey", "the moon is far" }
    local words = mp.BM25Retriever.from_texts(texts, { k = 2 })
    local function near() return { doc(texts[2]), doc(texts[1]) } end
    local found = mp.EnsembleRetriever { retrievers = { words, near } }:invoke("harrison?")
    assert.same({ texts[1], texts[2] }, { found[1].page_content, found[2].page_content })
  end)

  it("asks all at once", function()
    local running, most = 0, 0
    local function slow()
      running = running + 1
      most = math.max(most, running)
      mp.sleep(0.01)
      running = running - 1
      return {}
    end
    mp.EnsembleRetriever { retrievers = { slow, slow, slow } }:invoke("x")
    assert.equal(3, most)
  end)

  it("cancels the others where one fails, and says which it was", function()
    local ended = false
    local ensemble = mp.EnsembleRetriever {
      retrievers = {
        function()
          mp.sleep(5)
          ended = true
        end,
        function()
          mp.sleep(0.001)
          error("no index", 0)
        end,
      },
    }
    local err = failure(ensemble.invoke, ensemble, "x")
    assert.same({ "lua", "no index", "map.2" }, { err.kind, err.message, err.path:match("map%.2") })
    assert.equal("cancelled", err.siblings[1])
    assert.is_false(ended)
    err = failure(ensemble.invoke, ensemble, "x", { on_error = "collect", timeout = 0.05 })
    assert.equal("timeout_total", err.kind)
  end)

  it("raises what on_error = 'collect' gathers: half an answer is none", function()
    local broken = function() error("no index", 0) end
    local ensemble = mp.EnsembleRetriever { retrievers = { giving("a"), broken } }
    assert.equal("no index", failure(ensemble.invoke, ensemble, "x", { on_error = "collect" }).message)
  end)

  it("traces each retriever below itself", function()
    local ensemble = mp.EnsembleRetriever {
      retrievers = { mp.BM25Retriever.from_texts({ "a" }), mp.BM25Retriever.from_texts({ "a" }) },
    }
    local starts = {}
    for event in ensemble:stream_events("a") do
      if event.event == "on_retriever_start" then
        starts[#starts + 1] = ("%s %d"):format(event.name, #event.parent_ids)
      end
    end
    assert.same({ "EnsembleRetriever 0", "BM25Retriever 2", "BM25Retriever 2" }, starts)
  end)

  it("streams its list as one chunk, and is drawn with its retrievers", function()
    local ensemble = mp.EnsembleRetriever { retrievers = { giving("a"), mp.BM25Retriever {} } }
    local chunks = {}
    for chunk in ensemble:stream("x") do chunks[#chunks + 1] = #chunk end
    assert.same({ 1 }, chunks)
    local drawn = ensemble:get_graph():draw_ascii()
    assert.truthy(drawn:find("BM25Retriever", 1, true), drawn)
    assert.truthy(drawn:find("function spec/lua/retriever_ensemble_spec", 1, true), drawn)
    assert.equal("EnsembleRetriever", tostring(ensemble))
  end)

  it("says that it does not stream", function()
    local words = mp.BM25Retriever {}
    local ensemble = mp.EnsembleRetriever { retrievers = { words, words } }
    assert.equal("EnsembleRetriever: takes its whole input, and answers in one piece (its lists are"
      .. " fused when all are there)", ensemble:explain_stream():match("[^\n]+"))
    assert.equal("BM25Retriever: takes its whole input, and answers in one piece (a search needs"
      .. " the whole question)", words:explain_stream():match("[^\n]+"))
  end)

  it("says how to give it a string", function()
    local ensemble = mp.EnsembleRetriever { retrievers = { giving("a") } }
    local err = failure(ensemble.invoke, ensemble, { question = "x" })
    assert.equal("a retriever takes a string, got a table with keys {question};"
      .. ' use mp.itemgetter("question")', err.message)
  end)

  it("refuses what is no list of documents", function()
    local ensemble = mp.EnsembleRetriever { retrievers = { giving("a"), mp.StrOutputParser() } }
    local err = failure(ensemble.invoke, ensemble, "x")
    assert.same({ "input", "retriever 2 of EnsembleRetriever, StrOutputParser, gave a string;"
      .. " it must give a list of Documents" }, { err.kind, err.message })
    ensemble = mp.EnsembleRetriever { retrievers = { function() return { "text" } end } }
    assert.truthy(failure(ensemble.invoke, ensemble, "x").message:find("a list with a string", 1, true))
    ensemble = mp.EnsembleRetriever { retrievers = { function() return nil end } }
    assert.truthy(failure(ensemble.invoke, ensemble, "x").message:find("gave nil", 1, true))
  end)

  it("refuses what is no option of it", function()
    local new, one = mp.EnsembleRetriever, giving("a")
    assert.equal("retrievers of EnsembleRetriever takes a list, got nil", usage(new, {}))
    assert.equal("retrievers of EnsembleRetriever is an empty list", usage(new, { retrievers = {} }))
    assert.equal("weights of EnsembleRetriever must be a list of 1, one for each retriever,"
      .. " got a list of 2", usage(new, { retrievers = { one }, weights = { 1, 2 } }))
    assert.equal("weight 1 of EnsembleRetriever is the number -1; it must be a number from 0",
      usage(new, { retrievers = { one }, weights = { -1 } }))
    assert.equal("c of EnsembleRetriever is a string; it must be a number from 0",
      usage(new, { retrievers = { one }, c = "x" }))
    assert.equal("id_key of EnsembleRetriever must be a string, got the number 1",
      usage(new, { retrievers = { one }, id_key = 1 }))
    assert.truthy(usage(new, { retrievers = { one }, k = 1 }):find("unknown option 'k'", 1, true))
    assert.truthy(usage(new, { retrievers = { "x" } }):find("a string is not a step", 1, true))
  end)
end)

describe("scripts/bench/recall", function()
  helper.with_vectors(it)("finds with words and vectors what either finds", function()
    local status = {}
    for i, text in ipairs { "a tool to draw graphs", "letters in many shapes", "plays music files" } do
      status[i] = ("Package: p%d\nDescription: %s\n Long text: %s,\n .\n of number %d.\n"):format(i,
        text:upper(), text, i)
    end
    local out, stderr = helper.moonpipe { "run", "scripts/bench/recall.lua",
      helper.temp(table.concat(status, "\n")) }
    assert.truthy(out:find("3 descriptions asked for by their summaries", 1, true), stderr)
    for _, name in ipairs { "hash", "bm25", "even", "hybrid" } do
      assert.equal("1.000", out:match("\n" .. name .. " +(%S+)"), out)
    end
  end)

  helper.with_vectors(it)("is no worse with both on the packages of this machine", function()
    local file = io.open("/var/lib/dpkg/status")
    if not file then return pending("no Debian machine") end
    file:close()
    local out, stderr = helper.moonpipe { "run", "scripts/bench/recall.lua", "/var/lib/dpkg/status" }
    local first = {}
    for name, value in out:gmatch("\n(%l%w+) +(%S+)") do first[name] = tonumber(value) end
    assert.is_true(first.hybrid >= math.max(first.hash, first.bm25), out .. stderr)
    helper.figure(("recall@1 of package descriptions: hash %.3f, BM25 %.3f, hybrid %.3f"):format(
      first.hash, first.bm25, first.hybrid))
  end)
end)
