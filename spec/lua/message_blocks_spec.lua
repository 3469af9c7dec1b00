local mp = require "moonpipe"
local helper = require "spec.helper"

local function blocks(content, more)
  local fields = { content = content }
  for key, value in pairs(more or {}) do
    fields[key] = value
  end
  return mp.AIMessage(fields):content_blocks()
end

describe("content_blocks", function()
  it("are text", function()
    assert.same({ { type = "text", text = "a" } }, mp.HumanMessage("a"):content_blocks())
    assert.same({ { type = "text", text = "a" }, { type = "text", text = "b", id = "1" } },
      blocks { "a", { type = "text", text = "b", id = "1" } })
    assert.same({}, blocks "")
  end)

  it("are images, however they were given", function()
    assert.same({ { type = "image", url = "http://x/y.png" } },
      blocks { { type = "image_url", image_url = { url = "http://x/y.png" } } })
    local bytes = { { type = "image", base64 = "AA", mime_type = "image/gif" } }
    assert.same(bytes, blocks { { type = "image_url", image_url = "data:image/gif;base64,AA" } })
    assert.same(bytes, blocks { { type = "image", data = "AA", mime_type = "image/gif" } })
    assert.same(bytes, blocks { { type = "image", source = { type = "base64", data = "AA",
      media_type = "image/gif" } } })
    assert.same({ { type = "image", url = "u" } },
      blocks { { type = "image", source = { type = "url", url = "u" } } })
  end)

  it("are reasoning, first", function()
    local thought = { type = "reasoning", reasoning = "hm" }
    local said = { type = "text", text = "a" }
    assert.same({ thought, said }, blocks("a", { additional_kwargs = { reasoning_content = "hm" } }))
    assert.same({ thought, said }, blocks({ { type = "thinking", thinking = "hm" }, "a" },
      { additional_kwargs = { reasoning_content = "hm" } }))
    assert.same({ type = "reasoning", reasoning = "hm", extras = { signature = "s" } },
      blocks({ { type = "thinking", thinking = "hm", signature = "s" } })[1])
    assert.same({ type = "reasoning", reasoning = "a\nb", id = "r" }, blocks({ { type = "reasoning",
      id = "r", summary = { { text = "a" }, { text = "b" } } } })[1])
    assert.same({ thought }, blocks { thought })
  end)

  it("are calls of tools, each once", function()
    local call = { type = "tool_call", name = "f", args = { x = 1 }, id = "1" }
    assert.same({ { type = "text", text = "a" }, call }, blocks("a", { tool_calls = { call } }))
    assert.same({ call }, blocks({ { type = "tool_use", name = "f", input = { x = 1 }, id = "1" } },
      { tool_calls = { call } }))
    local wrong = { type = "invalid_tool_call", name = "f", args = "{", id = "2", error = "e" }
    assert.same({ call, wrong }, blocks("", { tool_calls = { call },
      invalid_tool_calls = { { name = "f", args = "{", id = "2", error = "e" } } }))
  end)

  it("are the pieces of calls, of a chunk", function()
    local chunk = mp.AIMessageChunk { content = "", tool_call_chunks = {
      { name = "f", args = '{"x', id = "1", index = 0 } } }
    assert.same({ { type = "tool_call_chunk", name = "f", args = '{"x', id = "1", index = 0 } },
      chunk:content_blocks())
  end)

  it("are what they were where the name is known, and wrapped where it is not", function()
    local file = { type = "file", file_id = "f" }
    local odd = { type = "cachePoint" }
    assert.same({ file, { type = "non_standard", value = odd } },
      mp.HumanMessage({ file, odd }):content_blocks())
  end)
end)

describe("a message for people", function()
  it("has a line with its speaker", function()
    local rule = ("="):rep(32) .. " Human Message " .. ("="):rep(33)
    assert.equal(rule .. "\n\nhi", mp.HumanMessage("hi"):pretty_repr())
    assert.equal(80, #rule)
    assert.truthy(mp.ChatMessage({ content = "x", role = "critic" }):pretty_repr()
      :find(" Critic Message ", 1, true))
    assert.truthy(mp.HumanMessage({ content = "x", name = "ann" }):pretty_repr()
      :find("\nName: ann\n\nx", 1, true))
  end)

  it("shows calls with their arguments", function()
    local text = mp.AIMessage({ tool_calls = { { name = "f", id = "1", args = { b = "x", a = 2 } },
      { name = "g", id = "2", ["function"] = { name = "g", arguments = "{" } } } }):pretty_repr()
    assert.equal("\n\nTool Calls:\n  f (1)\n    a: 2\n    b: x\nInvalid Tool Calls:\n  g (2)\n    {",
      text:match("=(\n.*)$"))
  end)

  it("names what is no text", function()
    assert.equal("\n\na\n[image_url]", mp.HumanMessage({ "a", { type = "image_url" } })
      :pretty_repr():match("=(\n.*)$"))
  end)

  it("is printed without what a terminal obeys", function()
    local out = helper.script('local mp = require "moonpipe"\n'
      .. 'mp.AIMessage("a\\27]0;title\\7b\\27[2Jc"):pretty_print()')
    assert.truthy(out:find("\n\nabc\n$"), out)
  end)
end)
