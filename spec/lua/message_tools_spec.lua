local mp = require "moonpipe"
local helper = require "spec.helper"

local said, failure = helper.said, helper.input_failure

local function call(id)
  return { name = "f", args = { x = id }, id = id, type = "tool_call" }
end

local function answer(id)
  return mp.ToolMessage("r" .. id, { tool_call_id = id })
end

local function talk()
  return {
    mp.SystemMessage { content = "s", name = "sys", id = "1" },
    mp.HumanMessage { content = "h", name = "ann", id = "2" },
    mp.AIMessage { content = "a", name = "bot", id = "3", tool_calls = { call "x", call "y" } },
    answer "x", answer "y",
    mp.AIMessage { content = "b", name = "bot", id = "4" },
    mp.ChatMessage { content = "c", role = "critic" },
  }
end

local function texts(list)
  local parts = {}
  for i, one in ipairs(list) do
    parts[i] = one:text()
  end
  return table.concat(parts, " ")
end

local function filtered(opts)
  return texts(mp.filter_messages(talk(), opts))
end

describe("filter_messages", function()
  it("keeps what one of the includes names, or all", function()
    assert.equal("s h a rx ry b c", filtered {})
    assert.equal("s h", filtered { include_types = { "system", mp.HumanMessage } })
    assert.equal("h rx ry", filtered { include_types = { "user", "tool" } })
    assert.equal("c", filtered { include_types = { "chat" } })
    assert.equal("h a b", filtered { include_names = { "ann", "bot" } })
    assert.equal("s b", filtered { include_ids = { "1" , "4" } })
    assert.equal("s h b", filtered { include_ids = { "4" }, include_types = { "system" },
      include_names = { "ann" } })
  end)

  it("drops what one of the excludes names", function()
    assert.equal("h a rx ry b c", filtered { exclude_types = { mp.SystemMessage } })
    assert.equal("s h rx ry c", filtered { exclude_names = { "bot" } })
    assert.equal("s h rx ry b c", filtered { exclude_ids = { "3" } })
    assert.equal("a", filtered { include_names = { "bot" }, exclude_ids = { "4" } })
  end)

  it("drops calls of tools, and their answers", function()
    assert.equal("s h b c", filtered { exclude_tool_calls = true })
    assert.equal("s h a rx ry b c", filtered { exclude_tool_calls = false })
    assert.equal("s h b c", filtered { exclude_tool_calls = { "x", "y" } })
    local list = talk()
    local kept = mp.filter_messages(list, { exclude_tool_calls = { "x" } })
    assert.equal("s h a ry b c", texts(kept))
    assert.same({ call "y" }, kept[3].tool_calls)
    assert.equal(2, #list[3].tool_calls)
  end)

  it("drops the blocks of calls, too", function()
    local one = mp.AIMessage { content = { "a", { type = "tool_use", id = "x" },
      { type = "tool_use", id = "y" } }, tool_calls = { call "x", call "y" } }
    local kept = mp.filter_messages({ one }, { exclude_tool_calls = { "y" } })
    assert.same({ "a", { type = "tool_use", id = "x" } }, kept[1].content)
  end)

  it("is a step without messages", function()
    local step = mp.filter_messages { include_types = { "human" } }
    assert.equal("filter_messages", tostring(step))
    assert.equal("h", texts(step:invoke(talk())))
    local chain = mp.ChatPromptTemplate { { "system", "s" }, "{x}" }:pipe(step)
    assert.equal("q", texts(chain:invoke "q"))
  end)

  it("takes what stands for messages, and refuses the rest", function()
    assert.equal("hi", texts(mp.filter_messages({ { "human", "hi" }, { "ai", "ho" } },
      { include_types = { "human" } })))
    assert.equal("the number 5 is not a list of messages", failure(mp.filter_messages, 5, {}))
    assert.equal("include_types of filter_messages has 'humna'; it takes types such as 'human', and"
      .. " classes of messages", said(filtered, { include_types = { "humna" } }))
    assert.equal("include_types of filter_messages has the number 5; it takes types such as 'human',"
      .. " and classes of messages", said(filtered, { include_types = { 5 } }))
    assert.equal("exclude_ids of filter_messages is a string; it must be a list",
      said(filtered, { exclude_ids = "1" }))
    assert.equal("exclude_tool_calls of filter_messages is a string; it must be a list",
      said(filtered, { exclude_tool_calls = "x" }))
    assert.truthy(said(filtered, { include_type = {} }):find("did you mean 'include_types'?", 1, true))
  end)
end)

describe("merge_message_runs", function()
  it("joins messages of one speaker", function()
    local list = {
      mp.SystemMessage "s", mp.HumanMessage "a", mp.HumanMessage "b", mp.HumanMessage "c",
      mp.AIMessage "d", mp.HumanMessage "e",
    }
    assert.equal("System: s\nHuman: a\nb\nc\nAI: d\nHuman: e",
      mp.get_buffer_string(mp.merge_message_runs(list)))
    assert.equal("a", list[2].content)
    assert.equal("s a+b+c d e", texts(mp.merge_message_runs(list, { chunk_separator = "+" })))
  end)

  it("puts nothing between empty texts, and lists of blocks", function()
    assert.equal("ab", texts(mp.merge_message_runs({
      mp.HumanMessage "a", mp.HumanMessage { { type = "text", text = "b" } } })))
    assert.equal("a", texts(mp.merge_message_runs { mp.HumanMessage "", mp.HumanMessage "a" }))
    local image = { type = "image_url", image_url = { url = "x" } }
    assert.same({ "a", image }, mp.merge_message_runs({
      mp.HumanMessage "a", mp.HumanMessage { image } })[1].content)
  end)

  it("keeps the answers of tools and other speakers apart", function()
    assert.equal(2, #mp.merge_message_runs { answer "x", answer "y" })
    assert.equal(2, #mp.merge_message_runs {
      mp.HumanMessage { content = "a", name = "ann" }, mp.HumanMessage { content = "b", name = "bob" },
    })
    assert.equal(2, #mp.merge_message_runs {
      mp.ChatMessage { content = "a", role = "r" }, mp.ChatMessage { content = "b", role = "q" },
    })
  end)

  it("joins the calls of answers, and keeps what was said of the first", function()
    local one = mp.merge_message_runs({
      mp.AIMessage { content = "a", id = "1", tool_calls = { call "x" },
        response_metadata = { model_name = "m" } },
      mp.AIMessage { content = "b", id = "2", tool_calls = { call "y" },
        response_metadata = { model_name = "n" } },
    })[1]
    assert.same({ call "x", call "y" }, one.tool_calls)
    assert.same({ model_name = "m" }, one.response_metadata)
    assert.equal("1", one.id)
    assert.equal("moonpipe.message.AIMessage", getmetatable(one).__name)
  end)

  it("is a step without messages", function()
    assert.equal("a b", texts(mp.merge_message_runs({ chunk_separator = " " })
      :invoke { mp.HumanMessage "a", mp.HumanMessage "b" }))
    assert.equal("a\nb", texts(mp.merge_message_runs():invoke { "a", "b" }))
  end)

  it("refuses a separator that is no text", function()
    assert.equal("chunk_separator of merge_message_runs is the number 5; it must be a string",
      said(mp.merge_message_runs, { chunk_separator = 5 }))
  end)
end)

describe("count_tokens_approximately", function()
  local count = mp.count_tokens_approximately

  it("counts a token for four bytes and three for a message", function()
    assert.equal(math.ceil((8 + 5) / 4) + 3, count { mp.HumanMessage "12345678" })
    assert.equal(math.ceil((8 + 5) / 4) + 3, count "12345678")
    assert.equal(2 * (math.ceil((8 + 5) / 4) + 3), count { "12345678", "12345678" })
    assert.equal(0, count {})
    assert.equal(7 + 5, count({ mp.HumanMessage "12" }, { chars_per_token = 1,
      extra_tokens_per_message = 5 }))
  end)

  it("counts calls, names and other blocks", function()
    assert.equal(2 + 1 + 1 + 9, count({ mp.AIMessage { tool_calls = { call "x" } } },
      { chars_per_token = 1, extra_tokens_per_message = 0 }))
    assert.equal(4 + 2 + 1, count({ answer "x" }, { chars_per_token = 1,
      extra_tokens_per_message = 0 }))
    assert.equal(5 + 3 + 1 + 1 + #'{"type":"x"}', count({ mp.HumanMessage {
      content = { "a", { type = "text", text = "b" }, { type = "x" } }, name = "ann" } },
      { chars_per_token = 1, extra_tokens_per_message = 0 }))
  end)

  it("counts an image as one, however long it is", function()
    local image = { type = "image", base64 = ("A"):rep(10000), mime_type = "image/png" }
    assert.equal(math.ceil(5 / 4) + 85 + 3, count { mp.HumanMessage { image } })
    assert.equal(math.ceil(5 / 4) + 3, count({ mp.HumanMessage { image } }, { tokens_per_image = 0 }))
  end)

  it("serves trim_messages", function()
    local list = { mp.HumanMessage "12345678", mp.HumanMessage "1234", mp.HumanMessage "12" }
    assert.equal("1234 12", texts(mp.trim_messages(list, { max_tokens = 11, token_counter = count })))
  end)

  it("refuses wrong options", function()
    assert.equal("chars_per_token of count_tokens_approximately is the number 0; it must be a"
      .. " positive number", said(count, "x", { chars_per_token = 0 }))
    assert.equal("tokens_per_image of count_tokens_approximately is a string; it must be a positive"
      .. " number", said(count, "x", { tokens_per_image = "x" }))
  end)
end)

describe("convert_to_openai_messages", function()
  local convert = mp.convert_to_openai_messages

  it("gives plain tables", function()
    assert.same({
      { role = "system", content = "s" },
      { role = "user", content = "h", name = "ann" },
      { role = "assistant", tool_calls = { { id = "x", type = "function",
        ["function"] = { name = "f", arguments = '{"x":"x"}' } } } },
      { role = "tool", content = "rx", tool_call_id = "x" },
      { role = "critic", content = "c" },
    }, convert {
      mp.SystemMessage "s", mp.HumanMessage { content = "h", name = "ann" },
      mp.AIMessage { tool_calls = { call "x" } }, answer "x",
      mp.ChatMessage { content = "c", role = "critic" },
    })
  end)

  it("gives one table for one message, a list for what stands for a list", function()
    assert.same({ role = "user", content = "h" }, convert(mp.HumanMessage "h"))
    assert.same({ { role = "user", content = "h" } }, convert "h")
    assert.same({ { role = "developer", content = "d" } }, convert { { "developer", "d" } })
  end)

  it("makes a text of texts, or blocks of all", function()
    local two = mp.HumanMessage { "a", { type = "text", text = "b" } }
    assert.equal("a\nb", convert(two).content)
    assert.same({ { type = "text", text = "a" }, { type = "text", text = "b" } },
      convert(two, { text_format = "block" }).content)
    assert.same({ { type = "text", text = "a" } },
      convert(mp.HumanMessage "a", { text_format = "block" }).content)
    assert.same({ { type = "text", text = "a" },
      { type = "image_url", image_url = { url = "data:image/png;base64,AA" } } },
      convert(mp.HumanMessage { "a", { type = "image", base64 = "AA", mime_type = "image/png" } })
        .content)
  end)

  it("knows two formats", function()
    assert.equal("text_format of convert_to_openai_messages is 'blocks'; it must be 'string' or"
      .. " 'block'", said(convert, "x", { text_format = "blocks" }))
    assert.equal("text_format of convert_to_openai_messages is the number 5; it must be 'string' or"
      .. " 'block'", said(convert, "x", { text_format = 5 }))
  end)
end)
