local helper = require "spec.helper"
local mp = require "moonpipe"

local Splitter = mp.RecursiveCharacterTextSplitter

local usage = helper.said

local function split(text, size, overlap, separators)
  return Splitter({ chunk_size = size, chunk_overlap = overlap or 0, separators = separators })
    :split_text(text)
end

describe("RecursiveCharacterTextSplitter", function()
  it("leaves a short text whole", function()
    assert.same({ "one two" }, split("one two", 100))
  end)

  it("cuts at blank lines first", function()
    assert.same({ "one two", "three four" }, split("one two\n\nthree four", 12))
  end)

  it("joins paragraphs up to the size", function()
    assert.same({ "a\n\nb", "ccc" }, split("a\n\nb\n\nccc", 5))
  end)

  it("cuts at ends of lines, then at blanks", function()
    assert.same({ "one two", "three", "four" }, split("one two\nthree four", 8))
  end)

  it("cuts a long word between its characters", function()
    assert.same({ "abc", "def", "g" }, split("abcdefg", 3))
    assert.same({ "ä", "ö", "ü" }, split("äöü", 3))
  end)

  it("repeats the last pieces as overlap", function()
    assert.same({ "one two", "two three", "three four" }, split("one two three four", 11, 6))
  end)

  it("keeps every chunk within the size", function()
    local text = ("Lorem ipsum dolor sit amet, consetetur.\n\n"):rep(40)
    for _, piece in ipairs(split(text, 100, 30)) do assert.is_true(#piece <= 100) end
  end)

  it("drops pieces of blanks, and gives none for an empty text", function()
    assert.same({}, split("", 10))
    assert.same({ "a" }, split("a\n\n   \n\n", 4))
  end)

  it("takes other separators", function()
    assert.same({ "a,b", ",c" }, split("a,b,c", 3, 0, { "," }))
  end)

  it("leaves whole what no separator cuts", function()
    assert.same({ "abcdef" }, split("abcdef", 3, 0, { " " }))
  end)

  it("says where each piece begins, also of repeated text", function()
    local splitter = Splitter { chunk_size = 20, chunk_overlap = 8, add_start_index = true }
    local text = ("same words again\n"):rep(10) .. "ä\n\nend of it"
    local docs = splitter:create_documents({ text })
    assert.is_true(#docs > 9)
    for _, doc in ipairs(docs) do
      local at = doc.metadata.start_index
      assert.equal(doc.page_content, text:sub(at, at + #doc.page_content - 1))
    end
    for i = 2, #docs do
      assert.is_true(docs[i].metadata.start_index > docs[i - 1].metadata.start_index)
    end
  end)

  it("copies the metadata of each text", function()
    local metadata = { source = "a" }
    local docs = Splitter({ chunk_size = 3, chunk_overlap = 0, add_start_index = true })
      :split_documents({ mp.Document("one two", metadata) })
    assert.equal("a", docs[2].metadata.source)
    assert.equal(5, docs[2].metadata.start_index)
    assert.same({ source = "a" }, metadata)
  end)

  it("refuses sizes that cannot be", function()
    assert.equal("chunk_size of RecursiveCharacterTextSplitter is the number 0; it must be an"
      .. " integer from 1 on", usage(Splitter, { chunk_size = 0 }))
    assert.equal("chunk_overlap of RecursiveCharacterTextSplitter is 10; it must be less than"
      .. " chunk_size, 10", usage(Splitter, { chunk_size = 10, chunk_overlap = 10 }))
    assert.truthy(usage(Splitter, { size = 1 }):find("unknown option 'size'", 1, true))
  end)

  it("refuses what is no text", function()
    local splitter = Splitter()
    assert.equal("split_text takes a string, got nil", usage(splitter.split_text, splitter))
    assert.equal("item 2 of create_documents is nil",
      usage(splitter.create_documents, splitter, { "a", nil, "b" }))
    assert.equal("metadatas of create_documents is a list of tables, one for each text, got a string",
      usage(splitter.create_documents, splitter, { "a" }, { "b" }))
    assert.equal("item 1 of split_documents is a string; it must be a Document",
      usage(splitter.split_documents, splitter, { "x" }))
    assert.equal("separator 1 of RecursiveCharacterTextSplitter is the number 1; it must be a"
      .. " string", usage(Splitter, { separators = { 1 } }))
  end)
end)
