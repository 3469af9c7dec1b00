local extractive = require "moonpipe.models.extractive"
local helper = require "spec.helper"
local mp = require "moonpipe"
local passages = require "moonpipe.models.passages"

local said = helper.said

-- The texts of the passages, with their kinds.
local function cut(text)
  local list = {}
  for i, unit in ipairs(passages.split(text)) do
    list[i] = unit.kind .. ":" .. unit.text
  end
  return list
end

local function answer(context, question, max)
  return extractive.answer(question, context, max or 3)
end

local TOWER = "The Eiffel Tower was built by Gustave Eiffel. It was completed in 1889."
  .. " Dr. J. Smith visited it, e.g. in 1901. It is 330.5 metres tall.\n\nBears eat honey."

describe("passages", function()
  it("are the sentences of a paragraph, whatever its line ends", function()
    assert.same({ "prose:One sentence that is long enough to be wrapped over the line.",
      "prose:Two!", "prose:Is it three?" },
      cut "One sentence that is long enough to be wrapped\nover the line. Two! Is it three?\n")
  end)

  it("do not end at abbreviations, initials and decimals", function()
    assert.same({ "prose:Dr. J. Smith paid 3.5 dollars, e.g. Yesterday.", "prose:Then he left." },
      cut "Dr. J. Smith paid 3.5 dollars, e.g. Yesterday. Then he left.")
  end)

  it("end behind closing quotes and brackets", function()
    assert.same({ 'prose:He said "go."', "prose:(So she went.)", "prose:Good." },
      cut 'He said "go." (So she went.) Good.')
  end)

  it("end at a year", function()
    assert.same({ "prose:Built in 1889.", "prose:It stands." }, cut "Built in 1889. It stands.")
  end)

  it("are list items, with the lines that continue them", function()
    assert.same({ "item:one", "item:two goes on", "item:three" },
      cut "- one\n* two\n  goes on\n1. three")
  end)

  it("are lines of code, with their indent", function()
    assert.same({ "prose:Run:", "code:make", "code:  make install" },
      cut "Run:\n```sh\nmake\n\n  make install\n```")
  end)

  it("are rows of a table, its head lent to each", function()
    local units = passages.split "# T\n| name | size |\n|---|---|\n| a | 1 |\n| b | 2 |\n"
    assert.equal(2, #units)
    assert.equal("| a | 1 |", units[1].text)
    assert.equal("T | name | size |", units[1].heading)
  end)

  it("know their heading", function()
    local units = passages.split "# Install\nRun it.\n## Use\nCall it."
    assert.equal("Install", units[1].heading)
    assert.equal("Use", units[2].heading)
  end)

  it("are short lines apart, and what ends in a colon", function()
    assert.same({ "prose:Harrison worked at Kensho", "prose:Bears like honey" },
      cut "Harrison worked at Kensho\nBears like honey")
    assert.same({ "prose:This is a rather long line that announces something:", "prose:it" },
      cut "This is a rather long line that announces something:\nit")
  end)

  it("are clauses of a very long sentence", function()
    local clause = ("word "):rep(40) .. "end"
    assert.equal(3, #passages.split(clause .. "; " .. clause .. "; " .. clause .. "."))
  end)

  it("are sentences of languages that put no blank between", function()
    assert.same({ "prose:東京は首都です。", "prose:山は高い。" },
      cut "東京は首都です。山は高い。")
  end)

  it("are none in an empty text", function()
    assert.same({}, cut "")
    assert.same({}, cut "\n \n")
  end)
end)

describe("the question", function()
  local function question_of(text)
    local question, context = extractive.question_of(text)
    return { question, (context:gsub("%s+$", "")) }
  end

  it("is what follows the last label", function()
    assert.same({ "who?", "Question: x\nA text." }, question_of "Question: x\nA text.\n\nQuestion: who?\n")
  end)

  it("ends where the answer is asked for", function()
    assert.same({ "who?", "A text." }, question_of "A text.\nQuestion: who?\nHelpful Answer:")
    assert.same({ "who?", "A text." },
      question_of "A text.\nQuestion: who?\n\nAnswer in the following language: it")
  end)

  it("is the last line without a label", function()
    assert.same({ "who?", "A text." }, question_of "A text.\n\nwho?\n")
    assert.same({ "who?", "A text." }, question_of "A text.\n\nwho?\nAnswer:")
  end)

  it("may stand before a labelled context", function()
    assert.same({ "who?", "A text." }, question_of "Do it.\nQuestion: who?\nContext: A text.\nAnswer:")
  end)

  it("is the label itself where nothing follows it", function()
    assert.same({ "Question:", "A text." }, question_of "A text.\nQuestion:")
  end)
end)

describe("an extracted answer", function()
  it("is the sentence that holds the words of the question", function()
    assert.equal("harrison worked at kensho",
      answer("harrison worked at kensho\n\nbears like to eat honey", "where did harrison work?"))
    assert.equal("bears like to eat honey",
      answer("harrison worked at kensho\n\nbears like to eat honey", "What do bears eat?"))
  end)

  it("prefers rare words to common ones", function()
    local context = "The engine is fast. The engine is small. The engine needs oil. The engine runs."
    assert.equal("The engine needs oil.", answer(context, "What oil for the engine?", 1))
  end)

  it("knows a word in its other forms", function()
    assert.equal("She was running the installation.",
      answer("He sleeps. She was running the installation. They eat.", "who runs the install?", 1))
  end)

  it("understands a pronoun by the sentence before", function()
    assert.equal("It is 330.5 metres tall.", answer(TOWER, "How tall is the tower?", 1))
    assert.equal("It was completed in 1889.", answer(TOWER, "When was the tower completed?", 1))
  end)

  it("uses headings, and gives a block of code whole", function()
    assert.equal("cmake -B build\ncmake --build build",
      answer("# Build\nRun:\n```\ncmake -B build\ncmake --build build\n```\n# Use\nCall it.",
        "how do I build it?"))
  end)

  it("gives the neighbour of a passage that only announces", function()
    assert.equal("The colours of the flag are:\nred and green.",
      (answer("The colours of the flag are:\nred and green.\n\nMore.", "Which colours has the flag?")
        :gsub(" red", "\nred")))
  end)

  it("has at most max_sentences, in the order of the text", function()
    local context = "Cats purr. Dogs bark. Cats sleep. Cats eat."
    assert.equal("Cats purr.", answer(context, "what do cats do?", 1))
    assert.equal("Cats purr. Cats sleep.", answer(context, "what do cats do?", 2))
  end)

  it("has no sentence twice", function()
    assert.equal("Cats purr.", answer("Cats purr.\n\nCats purr.\n\ncats PURR", "do cats purr?"))
  end)

  it("is the beginning of the text where the question has no words of its own", function()
    assert.equal("Cats purr. Dogs bark.", answer("Cats purr. Dogs bark. Birds sing.",
      "What is this about?", 2))
  end)

  it("is plain where the context does not say", function()
    assert.equal("I don't know: the context does not say.",
      answer(TOWER, "Who is the president of France?"))
    assert.equal("I don't know: the context does not say.",
      answer(TOWER, "What is the capital of France?"))
  end)

  it("is plain where there is no context", function()
    assert.equal("I don't know: there is no context to answer from.", answer("", "who?"))
  end)

  it("is never the instruction of the prompt", function()
    assert.equal("Answer one.", answer("Answer the question based only on the following context:\n"
      .. "Answer one.", "what is the answer to question one?", 1))
  end)

  it("works in languages without blanks", function()
    assert.equal("東京は日本の首都です。",
      answer("東京は日本の首都です。富士山は高い山です。", "日本の首都はどこですか？", 1))
  end)

  it("knows capital letters beyond ASCII", function()
    assert.equal("Öl ist knapp.", answer("Wasser ist da. Öl ist knapp.", "Wie knapp ist öl?", 1))
  end)

  it("takes at most a few seconds of a megabyte", function()
    local context = ("Some sentence about number %d and its many properties. "):rep(16)
      :format(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16) .. "\n\n"
    context = context:rep(math.ceil(1e6 / #context)) .. "The needle is here."
    local begun = os.clock()
    assert.equal("The needle is here.", answer(context, "Where is the needle?"))
    assert.is_true(os.clock() - begun < 5)
  end)
end)

describe("ExtractiveChatModel", function()
  -- Calls it in a process of its own: the note on stderr is written once.
  local function script(code)
    return helper.script("local mp = require 'moonpipe'\n" .. code)
  end

  it("says once, on stderr, that it is no language model", function()
    local out, err, status = script [[
      local m = mp.ExtractiveChatModel()
      for _ = 1, 2 do print(m:invoke "Cats purr.\nwhat do cats do?") end]]
    assert.equal("Cats purr.\nCats purr.\n", out)
    assert.equal("moonpipe: ExtractiveChatModel is no language model: it answers with sentences of"
      .. " the context\n", err)
    assert.equal(0, status)
  end)

  it("answers a prompt, and streams it by words", function()
    local out = script [=[
      local prompt = mp.ChatPromptTemplate.from_template [[
Answer the question based only on the following context:
{context}

Question: {question}
]]
      local input = {
        context = { mp.Document "harrison worked at kensho", mp.Document "bears eat honey" },
        question = "where did harrison work?",
      }
      local chain = mp.pipe(prompt, mp.ExtractiveChatModel(), mp.StrOutputParser())
      print(chain:invoke(input))
      for chunk in chain:stream(input) do io.write("<", chunk, ">") end]=]
    assert.equal("harrison worked at kensho\n<harrison ><worked ><at ><kensho>", out)
  end)

  it("does not take its own answers for context", function()
    local out = script [[print(mp.ExtractiveChatModel():invoke {
      { "human", "Cats purr." }, { "ai", "Dogs bark." }, { "human", "What do dogs do?" },
    })]]
    assert.equal("I don't know: the context does not say.\n", out)
  end)

  it("refuses wrong options", function()
    assert.equal("max_sentences of ExtractiveChatModel is the number 0; it must be a positive integer",
      said(mp.ExtractiveChatModel, { max_sentences = 0 }))
    assert.equal("unknown option 'sentences' of ExtractiveChatModel; allowed: max_sentences",
      said(mp.ExtractiveChatModel, { sentences = 1 }):gsub("; did you mean.*", ""))
  end)
end)
