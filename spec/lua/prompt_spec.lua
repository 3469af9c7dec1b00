local mp = require "moonpipe"
local helper = require "spec.helper"

local said = helper.said
local failure = helper.input_failure

local Chat, String = mp.ChatPromptTemplate, mp.PromptTemplate

local function texts(value)
  return value:to_string()
end

describe("PromptTemplate", function()
  it("gives a prompt value of one text", function()
    local value = String.from_template("about {topic}"):invoke({ topic = "bears" })
    assert.equal("about bears", value:to_string())
    assert.equal("about bears", tostring(value))
    assert.equal('{ HumanMessage{ content = "about bears" } }', mp.inspect(value:to_messages()))
  end)

  it("is made by a call, too", function()
    assert.equal("<a>", (String "<{x}>"):format "a")
    assert.equal("<a>", String({ template = "<{x}>" }):format { x = "a" })
  end)

  it("adds texts and templates", function()
    local sum = String "{a}" + "-{b}" + String("{c}", { partial_variables = { c = "!" } })
    assert.equal("1-2!", sum:format { a = 1, b = 2 })
    assert.same({ "a", "b" }, sum.input_variables)
    assert.equal("x1", ("x" + String "{a}"):format "1")
  end)

  it("prints as prompt", function()
    assert.equal("prompt", tostring(String "x"))
    assert.equal("prompt", tostring(Chat "x"))
  end)

  it("checks the variables that older code states", function()
    assert.equal("a", String({ template = "{x}", input_variables = { "x" } }):format "a")
    assert.equal('input_variables of PromptTemplate "{x}" are {y}, but a call must give {x}',
      said(String, { template = "{x}", input_variables = { "y" } }))
  end)

  it("refuses what is no template", function()
    assert.equal("the template of PromptTemplate is a string, not nil", said(String.from_template))
    assert.equal("the template of PromptTemplate is a string, not nil", said(String, {}))
    assert.equal("bad template at line 1, column 1: '{' is never closed; write {{ and }} for"
      .. " literal braces", said(String.from_template, "{"))
    assert.equal("cannot add the number 5 to a PromptTemplate; add a string or a PromptTemplate",
      said(function() return String "x" + 5 end))
  end)

  it("refuses unknown options and other template languages", function()
    assert.equal("unknown option 'partials' of PromptTemplate; allowed: input_variables,"
      .. " mustache_partials, partial_variables, template_format",
      said(String.from_template, "x", { partials = {} }))
    assert.equal("template_format of PromptTemplate is 'jinja2', a language of programs, which no"
      .. " prompt here runs; write an 'f-string' or 'mustache' template",
      said(String.from_template, "x", { template_format = "jinja2" }))
    assert.equal("input_variables of PromptTemplate is a string; it must be a list of names",
      said(String.from_template, "{x}", { input_variables = "x" }))
    assert.equal("template_format of PromptTemplate is 'erb'; it must be 'f-string' or 'mustache'",
      said(String.from_template, "x", { template_format = "erb" }))
    assert.equal("template_format of PromptTemplate is the number 5; it must be 'f-string' or"
      .. " 'mustache'", said(String.from_template, "x", { template_format = 5 }))
    assert.equal("partial_variables of PromptTemplate is a string; it must be a table",
      said(String.from_template, "x", { partial_variables = "x" }))
    assert.equal("x", String.from_template("x", { template_format = "f-string" }):format())
  end)
end)

describe("ChatPromptTemplate", function()
  it("of a template is one human message", function()
    local value = Chat.from_template("about {topic}"):invoke({ topic = "bears" })
    assert.equal("Human: about bears", texts(value))
    assert.equal(value, value.messages)
    assert.equal("about bears", value[1].content)
  end)

  it("takes pairs, tables, strings, messages, classes and templates of messages", function()
    local prompt = Chat.from_messages {
      { "system", "You are {who}." },
      { role = "user", content = "hi" },
      "about {topic}",
      mp.AIMessage "as it {is}",
      { mp.HumanMessage, "{topic}?" },
      { "assistant", "ok" },
    }
    assert.equal("System: You are B.\nHuman: hi\nHuman: about x\nAI: as it {is}\nHuman: x?\nAI: ok",
      texts(prompt:invoke { who = "B", topic = "x" }))
    assert.same({ "topic", "who" }, prompt.input_variables)
  end)

  it("takes templates of messages and other prompts", function()
    local prompt = Chat.from_messages {
      mp.SystemMessagePromptTemplate.from_template "{a}",
      mp.AIMessagePromptTemplate "b",
      String("{c}", { partial_variables = { c = "C" } }),
      Chat.from_messages { "d", { "ai", "{e}" } },
    }
    assert.equal("System: 1\nAI: b\nHuman: C\nHuman: d\nAI: 2",
      texts(prompt:invoke { a = 1, e = 2 }))
    assert.same({ "a", "e" }, prompt.input_variables)
  end)

  it("takes templates of messages in another language", function()
    local System = mp.SystemMessagePromptTemplate
    local mustache = { template_format = "mustache" }
    assert.equal("System: {x} 1\nHuman: {{x}}", texts(Chat({
      System.from_template("{x} {{x}}", mustache), "{{{{x}}}}" }):invoke { x = 1 }))
    assert.equal("unknown option 'partial_variables' of SystemMessagePromptTemplate; allowed:"
      .. " mustache_partials, template_format", said(System, "x", { partial_variables = {} }))
    assert.equal("SystemMessagePromptTemplate: bad template at line 1, column 1: '{' is never closed;"
      .. " write {{ and }} for literal braces", said(System, "{"))
  end)

  it("fills content blocks", function()
    local prompt = Chat.from_messages { { "human", {
      "look at {what}",
      { type = "image_url", image_url = { url = "http://x/{id}.png", detail = "low" } },
    } } }
    local content = prompt:format_messages({ what = "this", id = 7 })[1].content
    assert.same({ type = "text", text = "look at this" }, content[1])
    assert.same({ url = "http://x/7.png", detail = "low" }, content[2].image_url)
    assert.same({ "id", "what" }, prompt.input_variables)
  end)

  it("takes the address of an image by itself", function()
    local prompt = Chat { { "human", { { type = "image_url", image_url = "{url}" }, "{q}",
      { type = "image", base64 = "{data}", mime_type = "image/png" } } } }
    local content = prompt:format_messages({ url = "http://x/{y}", q = "?", data = "AA" })[1].content
    assert.same({ type = "image_url", image_url = { url = "http://x/{y}" } }, content[1])
    assert.same({ type = "image", base64 = "AA", mime_type = "image/png" }, content[3])
    assert.same({ "data", "q", "url" }, prompt.input_variables)
  end)

  it("refuses content blocks that are none", function()
    assert.equal("message 1: content block 2 is the number 5; write a string or a table with a type",
      said(Chat.from_messages, { { "human", { "a", 5 } } }))
    assert.equal("message 1: content block 1 is a table with keys {text}; it needs a type, such as"
      .. " 'text' or 'image_url'", said(Chat.from_messages, { { "human", { { text = "a" } } } }))
  end)

  it("is made by a call, too", function()
    assert.equal("Human: a", texts(Chat("{x}"):invoke "a"))
    assert.equal("AI: a", texts(Chat({ { "ai", "{x}" } }):invoke "a"))
    assert.equal("AI: a", texts(Chat({
      messages = { { "ai", "{x}" } }, partial_variables = { x = "a" },
    }):invoke()))
  end)

  it("adds prompts, messages, strings and lists", function()
    local sum = Chat "{a}" + mp.AIMessage "b" + "c" + { { "ai", "{d}" }, "e" }
    assert.equal("Human: 1\nAI: b\nHuman: c\nAI: 2\nHuman: e", texts(sum:invoke { a = 1, d = 2 }))
    assert.equal("System: s\nHuman: 1", texts((mp.SystemMessage "s" + Chat "{a}"):invoke "1"))
    assert.equal("Human: 1\nAI: x", texts((Chat "{a}" + { "ai", "x" }):invoke "1"))
  end)

  it("gives messages and text by hand", function()
    local prompt = Chat.from_messages { { "system", "s" }, "{x}" }
    assert.equal("a", prompt:format_messages({ x = "a" })[2].content)
    assert.equal("System: s\nHuman: a", prompt:format "a")
  end)

  it("gives messages of one's own", function()
    local value = Chat("{x}"):invoke "a"
    local list = value:to_messages()
    assert.is_nil(getmetatable(list))
    list[1] = nil
    assert.equal(1, #value)
  end)

  it("refuses elements that are none", function()
    local FORMS = "; write a message, {role, template}, { role = …, content = … }, a string for a"
      .. " human message or MessagesPlaceholder(name)"
    assert.equal("message 1: the number 5 is no part of a prompt" .. FORMS,
      said(Chat.from_messages, { 5 }))
    assert.equal("message 2: a table with keys {a} is no part of a prompt" .. FORMS,
      said(Chat.from_messages, { "x", { a = 1 } }))
    assert.equal("message 1: a StrOutputParser is no part of a prompt" .. FORMS,
      said(Chat.from_messages, { mp.StrOutputParser() }))
    assert.equal("message 1: a pair is {role, template}, got a list of 3",
      said(Chat.from_messages, { { "human", "a", "b" } }))
    assert.equal("message 1: unknown key 'name'; a table has role and content",
      said(Chat.from_messages, { { role = "user", content = "x", name = "y" } }))
    assert.equal("message 1: a template is a string or a list of content blocks, not the number 5",
      said(Chat.from_messages, { { "human", 5 } }))
    assert.equal("message 1: a template of ToolMessage is not possible; give the message itself",
      said(Chat.from_messages, { { mp.ToolMessage, "x" } }))
  end)

  it("refuses unknown roles", function()
    assert.equal("message 1: unknown role 'robot'; use one of 'human', 'user', 'ai', 'assistant',"
      .. " 'system', 'placeholder'", said(Chat.from_messages, { { "robot", "x" } }))
    assert.equal("message 1: unknown role 'systm'; use one of 'human', 'user', 'ai', 'assistant',"
      .. " 'system', 'placeholder'; did you mean 'system'?",
      said(Chat.from_messages, { { "systm", "x" } }))
    assert.equal("message 1: a role is a string or a message class, not the number 1",
      said(Chat.from_messages, { { 1, "x" } }))
  end)

  it("refuses a pair where a list belongs, and what is no list", function()
    assert.equal('{"human", …} is one message, not a list of messages; write { {"human", …} }',
      said(Chat.from_messages, { "human", "x" }))
    assert.equal("from_messages takes a list of messages, got a string",
      said(Chat.from_messages, "x"))
    assert.equal("from_messages takes a list of messages, got a table with the key 'human'",
      said(Chat.from_messages, { human = "x" }))
    assert.equal("from_template takes a string, got the number 5", said(Chat.from_template, 5))
  end)

  it("tells the place of a brace, and the message that it is in", function()
    assert.equal("bad template at line 2, column 1: '{}' names no variable; write {{ and }} for"
      .. " literal braces", said(Chat.from_template, "a\n{}"))
    assert.equal("message 2: bad template at line 1, column 3: '{}' names no variable; write {{ and"
      .. " }} for literal braces", said(Chat.from_messages, { "a", { "ai", "b {}" } }))
    assert.equal("message 1: bad template at line 1, column 1: '{' is never closed; write {{ and }}"
      .. " for literal braces",
      said(Chat.from_messages, { { "human", { { type = "text", text = "{" } } } }))
  end)
end)

describe("the elements of a ChatPromptTemplate", function()
  local prompt = Chat.from_messages({ { "system", "{a}" }, "{b}", { "ai", "{c}" } },
    { partial_variables = { a = "A", c = "C" } })

  it("are counted and read", function()
    assert.equal(3, prompt:len())
    assert.equal(3, #prompt)
    assert.equal("System: 1", texts(Chat({ prompt[1] }):invoke "1"))
    assert.is_nil(prompt[4])
  end)

  it("print as from_messages takes them", function()
    local all = Chat { { "system", 'a "b"\n{c}' }, mp.AIMessage "d", { "placeholder", "{e}" },
      mp.MessagesPlaceholder "f", { "human", { "g" } } }
    assert.equal([[{"system", "a \"b\"\n{c}"}]], tostring(all[1]))
    assert.equal('AIMessage{ content = "d" }', mp.inspect(all[2]))
    assert.equal('MessagesPlaceholder("e", { optional = true })', mp.inspect(all[3]))
    assert.equal('MessagesPlaceholder("f")', tostring(all[4]))
    assert.equal('{"human", {…}}', tostring(all[5]))
  end)

  it("are a slice, with the partial values that it needs", function()
    assert.equal("Human: 1\nAI: C", texts(prompt:slice(2):invoke "1"))
    assert.equal("System: A", prompt:slice(1, 1):format())
    assert.equal("Human: 1\nAI: C", texts(prompt:slice(-2, -1):invoke "1"))
    assert.equal("System: A\nHuman: 1\nAI: C", texts(prompt:slice(-9, 9):invoke "1"))
    assert.equal(0, prompt:slice(3, 2):len())
    assert.equal("first of slice is the number 1.5; it must be an integer",
      said(prompt.slice, prompt, 1.5))
    assert.equal("last of slice is a string; it must be an integer",
      said(prompt.slice, prompt, 1, "2"))
  end)

  it("grow in a new prompt", function()
    local longer = prompt:append { "human", "{d}" }
    assert.equal(4, longer:len())
    assert.equal(3, prompt:len())
    assert.same({ "b", "d" }, longer.input_variables)
    assert.equal("System: A\nHuman: 1\nAI: C\nHuman: 2", texts(longer:invoke { b = 1, d = 2 }))
    assert.equal(5, prompt:extend({ "x", mp.AIMessage "y" }):len())
    assert.equal(6, prompt:extend(prompt):len())
  end)

  it("are refused where they are none", function()
    assert.truthy(said(prompt.append, prompt, 5):find("^the number 5 is no part of a prompt"))
    assert.equal("extend takes a list of messages, got a string",
      said(prompt.extend, prompt, "x"))
  end)
end)

describe("a placeholder", function()
  it("inserts messages, coerced", function()
    local prompt = Chat.from_messages { mp.MessagesPlaceholder "history", "{q}" }
    assert.equal("Human: a\nAI: b\nHuman: c",
      texts(prompt:invoke { history = { "a", { "ai", "b" } }, q = "c" }))
    assert.same({ "history", "q" }, prompt.input_variables)
  end)

  it("may be optional", function()
    for _, part in ipairs({
      mp.MessagesPlaceholder("history", { optional = true }), { "placeholder", "{history}" },
    }) do
      local prompt = Chat.from_messages { part, "{q}" }
      assert.same({ "q" }, prompt.input_variables)
      assert.same({ "history" }, prompt.optional_variables)
      assert.equal("Human: c", texts(prompt:invoke "c"))
      assert.equal("Human: a\nHuman: c", texts(prompt:invoke { history = { "a" }, q = "c" }))
    end
  end)

  it("may be required as a pair", function()
    local prompt = Chat.from_messages { { "placeholder", { "{history}", false } } }
    assert.same({ "history" }, prompt.input_variables)
  end)

  it("keeps the last messages only", function()
    local prompt = Chat.from_messages { mp.MessagesPlaceholder("h", { n_messages = 2 }) }
    assert.equal("Human: b\nHuman: c", texts(prompt:invoke { h = { "a", "b", "c" } }))
    assert.equal("Human: a", texts(prompt:invoke { h = { "a" } }))
  end)

  it("takes a list for the whole input, where it is alone", function()
    local prompt = Chat.from_messages { mp.MessagesPlaceholder "h" }
    assert.equal("Human: a", texts(prompt:invoke { mp.HumanMessage "a" }))
  end)

  it("takes an empty list", function()
    assert.equal("Human: a", texts(Chat.from_messages { mp.MessagesPlaceholder "h", "a" }
      :invoke { h = {} }))
  end)

  it("refuses what is no list of messages", function()
    local prompt = Chat.from_messages { mp.MessagesPlaceholder "h", "{q}" }
    assert.equal("prompt variable 'h' is a string; a placeholder takes a list of messages",
      failure(prompt.invoke, prompt, { h = "x", q = "y" }))
    assert.equal("prompt variable 'h' is a HumanMessage; a placeholder takes a list of messages",
      failure(prompt.invoke, prompt, { h = mp.HumanMessage "x", q = "y" }))
    assert.equal("prompt variable 'h' is no list of messages: message 1: the number 5 is not a"
      .. " message; write a string, a message, {role, content} or { role = …, content = … }",
      failure(prompt.invoke, prompt, { h = { 5 }, q = "y" }))
  end)

  it("needs a name and sensible options", function()
    assert.equal("MessagesPlaceholder needs the name of a variable, got nil",
      said(mp.MessagesPlaceholder))
    assert.equal("n_messages of MessagesPlaceholder is the number 0; it must be a positive integer",
      said(mp.MessagesPlaceholder, "h", { n_messages = 0 }))
    assert.equal("unknown option 'option' of MessagesPlaceholder; allowed: variable_name, optional,"
      .. " n_messages; did you mean 'optional'?",
      said(mp.MessagesPlaceholder, "h", { option = true }))
    assert.equal('message 1: a placeholder names one variable in braces, {"placeholder",'
      .. ' "{history}"}; got \'history\'',
      said(Chat.from_messages, { { "placeholder", "history" } }))
  end)
end)

describe("partial", function()
  it("gives some variables beforehand", function()
    local prompt = (Chat "{a} {b}"):partial { a = "1" }
    assert.same({ "b" }, prompt.input_variables)
    assert.equal("Human: 1 2", texts(prompt:invoke { b = "2" }))
    assert.equal("Human: 1 2", texts(prompt:invoke "2"))
    assert.equal("1 2", (String "{a} {b}"):partial({ a = "1" }):format { b = "2" })
  end)

  it("asks a function at each use", function()
    local count = 0
    local prompt = (String "{n}"):partial { n = function()
      count = count + 1
      return count
    end }
    assert.equal("1", prompt:format())
    assert.equal("2", prompt:format())
  end)

  it("is overridden by the call", function()
    assert.equal("2", (String "{a}"):partial({ a = "1" }):format { a = "2" })
  end)

  it("does not change the prompt it is asked of", function()
    local prompt = String "{a}"
    prompt:partial { a = "1" }
    assert.same({ "a" }, prompt.input_variables)
  end)

  it("may fill a placeholder", function()
    local prompt = Chat.from_messages { { "placeholder", "{h}" }, "{q}" }
    assert.equal("AI: x\nHuman: y", texts(prompt:partial({ h = { { "ai", "x" } } }):invoke "y"))
  end)

  it("refuses a name that the prompt does not have", function()
    assert.equal([['topc' is no variable of ChatPromptTemplate "{topic}"; it has {topic}; did you]]
      .. " mean 'topic'?", said(function() return (Chat "{topic}"):partial { topc = "x" } end))
    assert.equal("partial takes a table of variables, got a string",
      said(function() return (Chat "{topic}"):partial "x" end))
  end)
end)

describe("the input of a prompt", function()
  it("is a table of values; others are ignored", function()
    assert.equal("1", (String "{a}"):format { a = 1, b = 2 })
  end)

  it("is any one value where there is one variable", function()
    assert.equal("x", (String "{a}"):format "x")
    assert.equal("5", (String "{a}"):format(5))
    assert.equal("false", (String "{a}"):format(false))
    assert.equal("hi", (String "{a}"):format(mp.AIMessage "hi"))
    assert.equal("a\n\nb", (String "{a}"):format { mp.Document "a", "b" })
    assert.equal("d", (String "{a}"):format(mp.Document "d"))
  end)

  it("may be nothing where there is no variable", function()
    assert.equal("x", (String "x"):format())
    assert.equal("x", (String "x"):format {})
  end)

  it("may be an object that is read by key", function()
    local proxy = setmetatable({}, { __index = function(_, key) return "<" .. key .. ">" end })
    assert.equal("<a><b>", (String "{a}{b}"):format(proxy))
  end)

  it("is not written to", function()
    local given = { a = "1" }
    Chat("{a}{b}"):partial({ b = "2" }):invoke(given)
    assert.same({ a = "1" }, given)
  end)

  it("must have every variable", function()
    local prompt = Chat "Tell {topic} to {who}"
    assert.equal('ChatPromptTemplate "Tell {topic} to {who}" misses {topic}: expected {topic, who},'
      .. " received {topc, who}; if braces were meant literally write {{topic}}; did you mean"
      .. " 'topc'?", failure(prompt.invoke, prompt, { topc = "x", who = "y" }))
    assert.equal('PromptTemplate "{a}" misses {a}: expected {a}, received {}; if braces were meant'
      .. " literally write {{a}}", failure(String "{a}", {}))
    assert.equal('PromptTemplate "{a}" misses {a}: expected {a}, received {}; if braces were meant'
      .. " literally write {{a}}", failure(String "{a}", nil))
  end)

  it("names all that is missing, partial values aside", function()
    local prompt = (Chat "{a}{b}{c}{d}"):partial { a = "1" }
    assert.equal('ChatPromptTemplate "{a}{b}{c}{d}" misses {c, d}: expected {b, c, d}, received'
      .. " {b}; if braces were meant literally write {{c}}",
      failure(prompt.invoke, prompt, { b = "2" }))
  end)

  it("is no lone value where there are several variables", function()
    assert.equal('ChatPromptTemplate "{a}{b}" expects {a, b}, received a string; put a map before'
      .. " it: { a = …, b = … }", failure(Chat "{a}{b}", "x"))
    assert.equal('PromptTemplate "x" expects {}, received a string; it has no variable',
      failure(String "x", "y"))
  end)

  it("is quoted with few words of a long prompt", function()
    local prompt = Chat("You are a helpful\n   assistant that answers in short sentences. {a}{b}")
    assert.truthy(failure(prompt, {}):find(
      '^ChatPromptTemplate "You are a helpful assistant that answers…" misses'))
  end)
end)

describe("a prompt in a chain", function()
  local function give() return "x" end

  it("misses a variable when it is composed", function()
    assert.equal('ChatPromptTemplate "{context} {question}" misses {context}: expected {context,'
      .. " question}, received {contxt, question}; if braces were meant literally write"
      .. " {{context}}; did you mean 'contxt'?",
      said(mp.pipe, { contxt = give, question = give }, Chat "{context} {question}"))
  end)

  it("does not miss what is optional or partial", function()
    local prompt = Chat.from_messages { { "placeholder", "{h}" }, "{a}{b}" }:partial { b = "!" }
    assert.equal("Human: x!", texts(mp.pipe({ a = give }, prompt):invoke()))
  end)

  it("takes an array map for its one variable", function()
    assert.equal("Human: x\n\nx", texts(mp.pipe({ give, give }, Chat "{a}"):invoke()))
  end)

  it("misses a variable whose branch gave nil, at the call", function()
    local chain = mp.pipe({ a = function() end, b = give }, Chat "{a}{b}")
    assert.truthy(failure(chain.invoke, chain, 1):find("misses {a}", 1, true))
  end)

  it("streams its value as one chunk", function()
    local seen = {}
    for chunk in (Chat "{a}"):stream "x" do
      seen[#seen + 1] = texts(chunk)
    end
    assert.same({ "Human: x" }, seen)
  end)
end)
