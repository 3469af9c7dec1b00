local helper = require "spec.helper"
-- The splitters besides the recursive one, and what must hold for all of them.
local json = require "moonpipe.json"
local mp = require "moonpipe"

local usage = helper.said

local function texts(docs)
  local out = {}
  for i, doc in ipairs(docs) do out[i] = doc.page_content end
  return out
end

describe("CharacterTextSplitter", function()
  local function split(text, opts) return mp.CharacterTextSplitter(opts):split_text(text) end

  it("cuts at its separator alone and leaves that out at the ends", function()
    assert.same({ "a,b", "c,d" }, split("a,b,c,d", { separator = ",", chunk_size = 4,
      chunk_overlap = 0 }))
  end)

  it("cuts at blank lines unless told otherwise", function()
    assert.same({ "one\ntwo", "three" }, split("one\ntwo\n\nthree", { chunk_size = 8,
      chunk_overlap = 0 }))
  end)

  it("leaves whole what has no separator", function()
    assert.same({ "abcdef", "g" }, split("abcdef\n\ng", { chunk_size = 3, chunk_overlap = 0 }))
  end)

  it("keeps the separator where it is told to", function()
    local function kept(keep)
      return split("a.b.c", { separator = ".", chunk_size = 2, chunk_overlap = 0,
        keep_separator = keep })
    end
    assert.same({ "a.", "b.", "c" }, kept("end"))
    assert.same({ "a", ".b", ".c" }, kept(true))
    assert.same({ "a", "b", "c" }, kept(false))
  end)

  it("cuts between characters where the separator is empty", function()
    assert.same({ "ä", "ö", "xy" }, split("äöxy", { separator = "", chunk_size = 2,
      chunk_overlap = 0 }))
  end)

  it("repeats pieces as overlap", function()
    assert.same({ "a b c", "c d e" }, split("a b c d e", { separator = " ", chunk_size = 5,
      chunk_overlap = 2 }))
  end)

  it("keeps blanks at the ends where it is told to", function()
    assert.same({ " a ", " b" }, split(" a , b", { separator = ",", chunk_size = 3,
      chunk_overlap = 0, strip_whitespace = false }))
  end)

  it("refuses what it cannot use", function()
    local function refused(opts) return usage(mp.CharacterTextSplitter, opts) end
    assert.equal("separator of CharacterTextSplitter is the number 1; it must be a string",
      refused { separator = 1 })
    assert.equal("separator of CharacterTextSplitter is no UTF-8", refused { separator = "\195" })
    assert.truthy(refused({ keep_separator = "middle" }):find("keep_separator of Char", 1, true))
    assert.truthy(refused({ length_function = 4 }):find("length_function of Char", 1, true))
  end)
end)

describe("RecursiveCharacterTextSplitter", function()
  it("measures with a function", function()
    local words = function(text) return select(2, text:gsub("%S+", "")) end
    local splitter = mp.RecursiveCharacterTextSplitter { chunk_size = 2, chunk_overlap = 0,
      length_function = words }
    assert.same({ "one two", "three four", "five" }, splitter:split_text("one two three four five"))
  end)

  it("says what a function gave that is no number", function()
    local splitter = mp.RecursiveCharacterTextSplitter { length_function = function() return "3" end }
    local ok, err = pcall(splitter.split_text, splitter, "a b")
    assert.is_false(ok)
    assert.equal("input", err.kind)
    assert.truthy(err.message:find("length_function gave", 1, true))
  end)

  it("does not mix the parts of what was too long with what follows", function()
    local splitter = mp.RecursiveCharacterTextSplitter { chunk_size = 10, chunk_overlap = 0 }
    assert.same({ "aaaa bbbb", "cccc", "dd" }, splitter:split_text("aaaa bbbb cccc\n\ndd"))
  end)

  it("cuts Lua at its functions", function()
    local code = "local a = 1\n\nlocal function f()\n  return a\nend\n\nfunction g()\n  f()\nend\n"
    local splitter = mp.RecursiveCharacterTextSplitter.from_language("lua", { chunk_size = 40,
      chunk_overlap = 0 })
    assert.same({ "local a = 1", "local function f()\n  return a\nend",
      "function g()\n  f()\nend" }, splitter:split_text(code))
  end)

  it("cuts Python at classes, then at functions", function()
    local code = "import os\n\nclass A:\n    def f(self):\n        pass\n\n    def g(self):\n"
      .. "        pass\n\ndef h():\n    pass\n"
    local splitter = mp.RecursiveCharacterTextSplitter.from_language("Python", { chunk_size = 40,
      chunk_overlap = 0 })
    assert.same({ "import os", "class A:\n    def f(self):\n        pass",
      "def g(self):\n        pass", "def h():\n    pass" }, splitter:split_text(code))
  end)

  it("has separators for the languages of the field, the empty one last", function()
    for _, name in ipairs { "c", "cobol", "cpp", "csharp", "elixir", "go", "haskell", "html", "java",
      "js", "kotlin", "latex", "lua", "markdown", "perl", "php", "powershell", "proto", "python",
      "rst", "ruby", "rust", "scala", "sol", "swift", "ts", "visualbasic6" } do
      local list = mp.RecursiveCharacterTextSplitter.get_separators_for_language(name)
      assert.equal("", list[#list], name)
      assert.is_true(#list > 5, name)
    end
  end)

  it("names the languages that it knows", function()
    local from = mp.RecursiveCharacterTextSplitter.from_language
    assert.truthy(usage(from, "klingon"):find("no separators for the language 'klingon'; there are"
      .. " for bash, c, cobol, cpp", 1, true))
    assert.truthy(usage(from, nil):find("for the language nil;", 1, true))
  end)

  it("counts on from where a document begins in its source", function()
    local text = "# A\nxx\n# B\none two three"
    local sections = mp.MarkdownHeaderTextSplitter({ add_start_index = true }):split_text(text)
    local pieces = mp.RecursiveCharacterTextSplitter({ chunk_size = 6, chunk_overlap = 0,
      add_start_index = true }):split_documents(sections)
    assert.same({ "xx", "one", "two", "three" }, texts(pieces))
    for _, piece in ipairs(pieces) do
      local at = piece.metadata.start_index
      assert.equal(piece.page_content, text:sub(at, at + #piece.page_content - 1))
    end
  end)
end)

describe("MarkdownTextSplitter", function()
  it("cuts at headers first", function()
    local splitter = mp.MarkdownTextSplitter { chunk_size = 20, chunk_overlap = 0 }
    assert.same({ "# A\n\nsome text", "# B\n\nother text" },
      splitter:split_text("# A\n\nsome text\n\n# B\n\nother text"))
  end)
end)

describe("MarkdownHeaderTextSplitter", function()
  local function split(text, opts) return mp.MarkdownHeaderTextSplitter(opts):split_text(text) end

  it("gives each section the headers above it", function()
    local docs = split("intro\n# A\ntext a\n## B ##\ntext b\n# C\ntext c\n")
    assert.same({ "intro", "text a", "text b", "text c" }, texts(docs))
    assert.same({}, docs[1].metadata)
    assert.same({ ["Header 1"] = "A", ["Header 2"] = "B" }, docs[3].metadata)
    assert.same({ ["Header 1"] = "C" }, docs[4].metadata)
  end)

  it("keeps headers in the text where it is told to", function()
    assert.same({ "# A\ntext" }, texts(split("# A\ntext", { strip_headers = false })))
  end)

  it("reads no header in a block of code", function()
    local text = "# A\n```sh\n# no header\n```\n~~~~\n```\n# none\n~~~~\nend"
    assert.same({ text:sub(5) }, texts(split(text)))
  end)

  it("leaves headers that are not named in the text", function()
    local docs = split("# A\n## B\ntext", { headers_to_split_on = { { "#", "title" } } })
    assert.same({ "## B\ntext" }, texts(docs))
    assert.same({ title = "A" }, docs[1].metadata)
  end)

  it("reads lines that end in CR LF, and hashes that are none", function()
    local docs = split("# A\r\ntext\r\n#none\r\n#\r\nlast")
    assert.same({ "text\r\n#none", "last" }, texts(docs))
    assert.equal("A", docs[1].metadata["Header 1"])
    assert.equal("", docs[2].metadata["Header 1"])
  end)

  it("says where each section begins", function()
    local text = "# A\n\nsame\n\n# B\n\nsame\n"
    for _, doc in ipairs(split(text, { add_start_index = true })) do
      local at = doc.metadata.start_index
      assert.equal("same", text:sub(at, at + 3))
    end
  end)

  it("adds to the metadata of documents", function()
    local docs = mp.MarkdownHeaderTextSplitter():split_documents {
      mp.Document("# A\ntext", { source = "a.md" }) }
    assert.same({ source = "a.md", ["Header 1"] = "A" }, docs[1].metadata)
  end)

  it("refuses headers that are none", function()
    assert.truthy(usage(mp.MarkdownHeaderTextSplitter, { headers_to_split_on = { "#" } })
      :find("header 1 of MarkdownHeaderTextSplitter is a string", 1, true))
    assert.equal("split_text takes a string, got nil", usage(function() split(nil) end))
  end)
end)

describe("TokenTextSplitter", function()
  it("estimates four bytes for a token", function()
    local splitter = mp.TokenTextSplitter { chunk_size = 2, chunk_overlap = 0 }
    assert.same({ "one two", "three", "four" }, splitter:split_text("one two three four"))
  end)

  it("asks the counter that it is given, a few times a chunk", function()
    local asked = 0
    local splitter = mp.TokenTextSplitter { chunk_size = 100, chunk_overlap = 10,
      token_counter = function(text)
        asked = asked + 1
        return select(2, text:gsub("%S+", ""))
      end }
    local pieces = splitter:split_text(("word "):rep(1000))
    assert.equal(11, #pieces)
    assert.is_true(asked < 1000 + 11 * 60, asked)
  end)

  it("cuts a word that is longer than a chunk", function()
    local splitter = mp.TokenTextSplitter { chunk_size = 1, chunk_overlap = 0 }
    assert.same({ "ab", "ä", "öü", "c" }, splitter:split_text("ab äöü c"))
  end)

  it("refuses a counter that is no function", function()
    assert.truthy(usage(mp.TokenTextSplitter, { token_counter = "gpt" })
      :find("token_counter of TokenTextSplitter", 1, true))
  end)
end)

describe("RecursiveJsonSplitter", function()
  local value = { a = { b = 1, c = { d = ("x"):rep(30) } }, e = { 1, 2, 3 }, f = "text" }

  it("leaves whole what fits", function()
    assert.same({ '{"a":1}' }, mp.RecursiveJsonSplitter():split_text { a = 1 })
  end)

  it("keeps the keys that lead to a value", function()
    local parts = mp.RecursiveJsonSplitter({ max_chunk_size = 50, min_chunk_size = 40 })
      :split_json(value)
    assert.same({ { a = { b = 1 } }, { a = { c = { d = ("x"):rep(30) } } },
      { e = { 1, 2, 3 }, f = "text" } }, parts)
  end)

  it("takes lists apart where it is told to", function()
    local parts = mp.RecursiveJsonSplitter({ max_chunk_size = 20, min_chunk_size = 10 })
      :split_text({ list = { "aaaa", "bbbb" } }, true)
    assert.same({ '{"list":{"0":"aaaa"}}', '{"list":{"1":"bbbb"}}' }, parts)
  end)

  it("reads texts, and those of documents", function()
    local splitter = mp.RecursiveJsonSplitter()
    local docs = splitter:split_documents { mp.Document('{"a":[1]}', { source = "s" }) }
    assert.same({ '{"a":[1]}' }, texts(docs))
    assert.same({ source = "s" }, docs[1].metadata)
    assert.same({ n = 2 }, splitter:create_documents({ { a = 1 } }, false, { { n = 2 } })[1].metadata)
  end)

  it("refuses what is no object", function()
    local splitter = mp.RecursiveJsonSplitter()
    assert.truthy(usage(splitter.split_json, splitter, { 1, 2 })
      :find("split_json takes an object", 1, true))
    local ok, err = pcall(splitter.split_json, splitter, "{")
    assert.is_false(ok)
    assert.equal("decode", err.kind)
    assert.truthy(usage(mp.RecursiveJsonSplitter, { max_chunk_size = 0 }):find("max_chunk_size"))
  end)

  it("loses nothing and keeps within the size", function()
    math.randomseed(7)
    local function make(depth)
      local out = {}
      for i = 1, math.random(1, 5) do
        out["key" .. i] = depth > 0 and math.random(3) > 1 and make(depth - 1)
          or ("v"):rep(math.random(0, 20))
      end
      return out
    end
    local function leaves(part, path, into)
      for key, member in pairs(part) do
        local at = path .. "." .. key
        if type(member) == "table" then leaves(member, at, into) else into[at] = member end
      end
      return into
    end
    for _ = 1, 60 do
      local whole, found = make(4), {}
      for _, part in ipairs(mp.RecursiveJsonSplitter({ max_chunk_size = 150 }):split_json(whole)) do
        assert.is_true(#json.encode(part) <= 150)
        leaves(part, "", found)
      end
      assert.same(leaves(whole, "", {}), found)
    end
  end)
end)

describe("every splitter", function()
  local ALPHABET = { "a", "bc", "ä", "漢", "😀", " ", "\n", "\n\n", "word", ",", ". " }

  local function random_text()
    local parts = {}
    for i = 1, math.random(0, 120) do parts[i] = ALPHABET[math.random(#ALPHABET)] end
    return table.concat(parts)
  end

  local function random_splitter()
    local size = math.random(8, 60)
    local opts = { chunk_size = size, chunk_overlap = math.random(0, size - 1),
      add_start_index = true, strip_whitespace = math.random(2) == 1 }
    local kind = math.random(4)
    if kind == 1 then return mp.RecursiveCharacterTextSplitter(opts), size end
    if kind == 2 then return mp.MarkdownTextSplitter(opts), size end
    if kind == 3 then return mp.TokenTextSplitter(opts), size * 4 end
    opts.separator = ""
    return mp.CharacterTextSplitter(opts), size
  end

  local function check(text, docs, size)
    local reached, previous = 0, 0
    for _, doc in ipairs(docs) do
      local piece, at = doc.page_content, doc.metadata.start_index
      assert.equal(text:sub(at, at + #piece - 1), piece)
      assert.is_true(#piece <= size, ("%d bytes of %d"):format(#piece, size))
      assert.is_nil(piece:find("^[\128-\191]"))
      assert.is_nil(text:find("^[\128-\191]", at + #piece))
      assert.is_true(at >= previous and at + #piece - 1 > reached, "in order")
      assert.is_nil(text:sub(reached + 1, at - 1):find("%S"), "nothing is left out")
      reached, previous = at + #piece - 1, at
    end
    assert.is_nil(text:sub(reached + 1):find("%S"))
  end

  it("gives parts of the text that cover it, within the size, characters whole", function()
    math.randomseed(20)
    for _ = 1, 400 do
      local text = random_text()
      local splitter, size = random_splitter()
      check(text, splitter:create_documents({ text }), size)
    end
  end)

  it("overlaps by no more than it is told to", function()
    math.randomseed(21)
    for _ = 1, 200 do
      local text = ("ab "):rep(math.random(10, 60))
      local splitter = mp.RecursiveCharacterTextSplitter { chunk_size = 20, chunk_overlap = 9,
        add_start_index = true }
      local docs = splitter:create_documents { text }
      for i = 2, #docs do
        local before = docs[i - 1]
        local stop = before.metadata.start_index + #before.page_content
        local shared = stop - docs[i].metadata.start_index
        assert.is_true(shared > 0 and shared <= 9, shared)
      end
    end
  end)

  it("takes time in proportion to the text", function()
    local paragraph = "# Header\n\n" .. ("some words of a paragraph that is cut. "):rep(60) .. "\n\n"
    local splitter = mp.MarkdownTextSplitter { chunk_size = 1000, chunk_overlap = 100 }
    local function seconds(times)
      local text, began = paragraph:rep(times), os.clock()
      splitter:split_text(text)
      return os.clock() - began
    end
    local small, large = seconds(150), seconds(1500)
    assert.is_true(large < 0.5 + 30 * small, ("%g s, %g s"):format(small, large))
  end)
end)
