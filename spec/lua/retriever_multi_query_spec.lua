local helper = require "spec.helper"
local mp = require "moonpipe"

local usage, failure = helper.said, helper.failure

local function saying(text)
  return mp.FakeListChatModel { responses = { text } }
end

-- A retriever that gives a document of the question, one for all, and notes what it was asked.
local function noting()
  local asked = {}
  return asked, mp.RunnableLambda(function(question)
    asked[#asked + 1] = question
    return { mp.Document(question), mp.Document("for all") }
  end)
end

local function contents(list)
  local out = {}
  for i, doc in ipairs(list) do out[i] = doc.page_content end
  return out
end

describe("MultiQueryRetriever", function()
  it("asks what the model makes of the question, and unites what is found", function()
    local asked, retriever = noting()
    local multi = mp.MultiQueryRetriever { retriever = retriever, model = saying "a?\nb?" }
    assert.same({ "a?", "for all", "b?" }, contents(multi:invoke "x"))
    assert.same({ "a?", "b?" }, asked)
  end)

  it("is made by LangChain's names too", function()
    local asked, retriever = noting()
    mp.MultiQueryRetriever.from_llm { llm = saying "a?", retriever = retriever }:invoke "x"
    assert.same({ "a?" }, asked)
  end)

  it("reads numbered lines and points, each question once", function()
    local asked, retriever = noting()
    mp.MultiQueryRetriever {
      retriever = retriever, model = saying "Here they are:\n1. a?\n\n2) b?\r\n- c?\n* a?\n  1984 was when?",
    }:invoke "x"
    table.sort(asked)
    assert.same({ "1984 was when?", "a?", "b?", "c?" }, asked)
  end)

  it("asks the question itself where told to, or where there is no other", function()
    local asked, retriever = noting()
    mp.MultiQueryRetriever {
      retriever = retriever, model = saying "a?\nx", include_original = true,
    }:invoke "x"
    mp.MultiQueryRetriever { retriever = retriever, model = saying " \n" }:invoke "y"
    assert.same({ "x", "a?", "y" }, asked)
  end)

  it("gives the prompt the question", function()
    local said
    local function model(value)
      said = value:to_string()
      return "a?"
    end
    local _, retriever = noting()
    mp.MultiQueryRetriever { retriever = retriever, model = model }:invoke "why {so}?"
    assert.truthy(said:find("Question: why {so}?", 1, true), said)
    mp.MultiQueryRetriever { retriever = retriever, model = model, prompt = "say {question}" }
      :invoke "x"
    assert.equal("say x", said)
  end)

  it("tells documents of other ids apart, not those of the same", function()
    local function doc(id, text) return mp.Document { page_content = text, id = id } end
    local lists = {
      ["a?"] = { doc("1", "same"), doc("2", "same"), doc(nil, "same") },
      ["b?"] = { doc("2", "same"), doc("1", "other"), doc(nil, "same") },
    }
    local found = mp.MultiQueryRetriever {
      retriever = function(question) return lists[question] end, model = saying "a?\nb?",
    }:invoke "x"
    local got = {}
    for i, one in ipairs(found) do got[i] = ("%s %s"):format(one.id or "-", one.page_content) end
    assert.same({ "1 same", "2 same", "- same", "1 other" }, got)
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
    local multi = mp.MultiQueryRetriever { retriever = slow, model = saying "a\nb\nc\nd" }
    multi:invoke "x"
    assert.equal(4, most)
  end)

  it("says where it failed", function()
    local function broken() error("no index", 0) end
    local multi = mp.MultiQueryRetriever { retriever = broken, model = saying "a?\nb?" }
    local err = failure(multi.invoke, multi, "x")
    assert.same({ "lua", "no index" }, { err.kind, err.message })
    assert.truthy(err.path:find("^search RunnableEach.* > each%[1%]"), err.path)
    assert.truthy(err.where:find("retriever_multi_query_spec.lua", 1, true), err.where)
    assert.equal("no index", failure(multi.invoke, multi, "x", { on_error = "collect" }).message)
    multi = mp.MultiQueryRetriever { retriever = mp.const {}, model = broken }
    err = failure(multi.invoke, multi, "x")
    assert.truthy(err.path:find("^queries RunnableSequence > step 2 of 3"), err.path)
  end)

  it("is cancelled with what it asks", function()
    local ended = false
    local multi = mp.MultiQueryRetriever {
      retriever = function()
        mp.sleep(5)
        ended = true
      end,
      model = saying "a",
    }
    assert.equal("timeout_total", failure(multi.invoke, multi, "x", { timeout = 0.05 }).kind)
    assert.is_false(ended)
  end)

  it("traces the model and each search below itself, and is drawn with them", function()
    local multi = mp.MultiQueryRetriever {
      retriever = mp.BM25Retriever.from_texts { "a", "b" }, model = saying "a\nb",
    }
    local starts = {}
    for event in multi:stream_events "x" do
      if event.event:find("_start", 1, true) and not event.event:find("chain", 1, true) then
        starts[#starts + 1] = ("%s %d"):format(event.name, #event.parent_ids)
      end
    end
    assert.same({ "MultiQueryRetriever 0", "PromptTemplate 2", "FakeListChatModel 2",
      "StrOutputParser 2", "BM25Retriever 2", "BM25Retriever 2" }, starts)
    local drawn = multi:get_graph():draw_ascii()
    assert.truthy(drawn:find("FakeListChatModel.*BM25Retriever"), drawn)
    assert.equal("MultiQueryRetriever: takes its whole input, and answers in one piece (a search"
      .. " needs the whole question)", multi:explain_stream():match("[^\n]+"))
    assert.truthy(multi:explain_stream():find("because of MultiQueryRetriever$"))
  end)

  it("refuses what is no question, no list and no option of it", function()
    local new, one = mp.MultiQueryRetriever, saying "a"
    local multi = new { retriever = mp.const {}, model = one }
    assert.truthy(failure(multi.invoke, multi, { question = "x" }).message:find(
      'use mp.itemgetter("question")', 1, true))
    multi = new { retriever = mp.const "text", model = one }
    local err = failure(multi.invoke, multi, "x")
    assert.equal("input", err.kind)
    assert.truthy(err.message:find("gave a string; it must give a list of Documents$"), err.message)
    assert.equal("MultiQueryRetriever needs retriever", usage(new, { model = one }))
    assert.equal("MultiQueryRetriever needs model", usage(new, { retriever = mp.const {} }))
    assert.truthy(usage(new, { model = "x", retriever = mp.const {} }):find(
      "model of MultiQueryRetriever: a string is not a step", 1, true))
    assert.truthy(usage(new, { k = 1 }):find("unknown option 'k'", 1, true))
  end)
end)
