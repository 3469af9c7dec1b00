local helper = require "spec.helper"
local mp = require "moonpipe"

local folders = {}

-- A folder with these files, whose names may have folders in them; removed after the test.
local function folder(files)
  local path = os.tmpname()
  os.remove(path)
  assert(helper.execute({ "mkdir", path }))
  folders[#folders + 1] = path
  for name, text in pairs(files) do
    local below = name:match("^(.*)/[^/]*$")
    if below then helper.execute({ "mkdir", "-p", path .. "/" .. below }) end
    helper.write(path .. "/" .. name, text)
  end
  return path
end

after_each(function()
  for i = #folders, 1, -1 do
    helper.execute({ "chmod", "-R", "u+rwx", folders[i] })
    helper.execute({ "rm", "-r", table.remove(folders, i) })
  end
end)

local usage = helper.said

local function failure(loader)
  local ok, err = pcall(loader.load, loader)
  assert.is_false(ok)
  return err.kind, err.message, err
end

local function texts(docs)
  local out = {}
  for i, doc in ipairs(docs) do out[i] = doc.page_content end
  return out
end

local function sources(docs, path)
  local out = {}
  for i, doc in ipairs(docs) do out[i] = doc.metadata.source:sub(#path + 2) end
  return out
end

describe("TextLoader", function()
  it("gives the text of a file, and where it is from", function()
    local path = helper.temp("one\ntwo\n")
    local docs = mp.TextLoader(path):load()
    assert.equal(1, #docs)
    assert.equal("one\ntwo\n", docs[1].page_content)
    assert.same({ source = path }, docs[1].metadata)
    assert.same({ "" }, texts(mp.TextLoader(helper.temp("")):load()))
  end)

  it("cuts what it loaded, where told to", function()
    local loader = mp.TextLoader(helper.temp "one two three")
    local splitter = mp.RecursiveCharacterTextSplitter { chunk_size = 8, chunk_overlap = 0 }
    assert.same({ "one two", "three" }, texts(loader:load_and_split(splitter)))
    assert.same({ "one two three" }, texts(loader:load_and_split()))
    assert.truthy(usage(loader.load_and_split, loader, "x"):find("takes a splitter, got a string"))
  end)

  it("drops a byte order mark and repairs what is no UTF-8", function()
    assert.same({ "a\239\191\189b" }, texts(mp.TextLoader(helper.temp("\239\187\191a\255b")):load()))
  end)

  it("keeps characters whole that lie across two pieces", function()
    local text = "x" .. ("ä"):rep(300000)
    assert.is_true(text == mp.TextLoader(helper.temp(text)):load()[1].page_content)
    assert.equal("x\239\191\189", mp.TextLoader(helper.temp("x\195")):load()[1].page_content)
  end)

  it("reads many files at once #concurrency", function()
    local path, branches = folder {}, {}
    for i = 1, 20 do
      helper.write(path .. "/" .. i, ("%d "):format(i):rep(100000))
      branches["b" .. i] = function(root)
        return #mp.TextLoader(tostring(i), { root = root }):load()[1].page_content
      end
    end
    local sizes = mp.RunnableParallel(branches):invoke(path)
    for i = 1, 20 do assert.equal(#("%d "):format(i) * 100000, sizes["b" .. i]) end
  end)

  it("reads nothing before it is asked", function()
    local next_doc = mp.TextLoader("/nowhere/at/all"):lazy_load()
    local ok, err = pcall(next_doc)
    assert.is_false(ok)
    assert.equal("io", err.kind)
    assert.is_nil(next_doc())
  end)

  it("says what it could not read", function()
    local path = folder { a = "x" }
    local kind, message = failure(mp.TextLoader(path .. "/b"))
    assert.equal("io", kind)
    assert.truthy(message:find("cannot read '" .. path .. "/b': No such file", 1, true))
    kind, message = failure(mp.TextLoader(path))
    assert.equal("io", kind)
    assert.truthy(message:find("is no regular file", 1, true))
  end)

  it("refuses what is too large", function()
    local path = helper.temp("12345")
    assert.equal("12345", mp.TextLoader(path, { max_bytes = 5 }):load()[1].page_content)
    local kind, message = failure(mp.TextLoader(path, { max_bytes = 4 }))
    assert.equal("too_large", kind)
    assert.truthy(message:find("more than 4 bytes (max_bytes)", 1, true))
  end)

  it("refuses what is no text", function()
    local kind, message = failure(mp.TextLoader(helper.temp("PNG\0\1")))
    assert.equal("decode", kind)
    assert.truthy(message:find("is no text", 1, true))
    kind, message = failure(mp.TextLoader(helper.temp("\255\254a\0")))
    assert.equal("decode", kind)
    assert.truthy(message:find("is UTF-16", 1, true))
  end)

  it("stays in its root", function()
    local path = folder { ["base/a"] = "inside", secret = "secret" }
    helper.execute({ "ln", "-s", "../secret", path .. "/base/link" })
    local root = path .. "/base"
    assert.same({ "inside" }, texts(mp.TextLoader("a", { root = root }):load()))
    for _, name in ipairs { "../secret", "/etc/passwd", "link" } do
      assert.equal("input", (failure(mp.TextLoader(name, { root = root }))), name)
    end
  end)

  it("refuses options that cannot be", function()
    assert.equal("TextLoader takes a path, got nil", usage(mp.TextLoader))
    assert.equal("root of TextLoader takes a path, got the number 1",
      usage(mp.TextLoader, "a", { root = 1 }))
    assert.truthy(usage(mp.TextLoader, "a", { max_bytes = 0 }):find("max_bytes of TextLoader"))
    assert.truthy(usage(mp.TextLoader, "a", { encoding = "x" }):find("unknown option 'encoding'"))
  end)

  it("shows its path", function()
    assert.equal('TextLoader("a.txt")', tostring(mp.TextLoader("a.txt")))
  end)
end)

describe("MarkdownLoader", function()
  it("gives the text as it is, and its title", function()
    local doc = mp.MarkdownLoader(helper.temp("intro\n# The *title* #\n## No\n")):load()[1]
    assert.equal("intro\n# The *title* #\n## No\n", doc.page_content)
    assert.equal("The *title*", doc.metadata.title)
    assert.is_nil(mp.MarkdownLoader(helper.temp("none")):load()[1].metadata.title)
  end)
end)

describe("CSVLoader", function()
  local function load(text, opts)
    return mp.CSVLoader(helper.temp(text), opts):load()
  end

  local function wrong(text, opts)
    local kind, message, err = failure(mp.CSVLoader(helper.temp(text), opts))
    assert.equal("decode", kind)
    return message:gsub("^.-:(%d+: )", "%1"), err.line
  end

  it("gives a document for each row", function()
    local docs = load("name,age\nAda,36\r\nBob,7")
    assert.same({ "name: Ada\nage: 36", "name: Bob\nage: 7" }, texts(docs))
    assert.equal(2, docs[2].metadata.row)
  end)

  it("reads quoted fields with separators, quotes and lines in them", function()
    assert.same({ 'a: x,"y"\nb: 1\n2' }, texts(load('a,b\n"x,""y""","1\n2"\n')))
  end)

  it("takes other separators and quotes", function()
    assert.same({ "a: 1;2\nb: 3" }, texts(load("a;b\n'1;2';3\n", { delimiter = ";", quote = "'" })))
    assert.same({ "a: 1\nb: 2" }, texts(load("a\tb\n1\t2\n", { delimiter = "\t" })))
  end)

  it("takes names, and columns for metadata and source", function()
    local docs = load("1,two,u\n", { fieldnames = { "id", "text", "url" },
      metadata_columns = { "id" }, source_column = "url", content_columns = { "text" } })
    assert.same({ "text: two" }, texts(docs))
    assert.same({ id = "1", row = 1, source = "u" }, docs[1].metadata)
    assert.same({ "b: 2" }, texts(load("a,b\n1,2", { metadata_columns = { "a" } })))
  end)

  it("passes over empty lines, and gives nothing for a file without rows", function()
    assert.same({ "a: 1", "a: 2" }, texts(load("\na\n\n1\n\r\n\n2\n\n")))
    assert.same({}, load(""))
    assert.same({}, load("a,b\n"))
  end)

  it("reads an empty last field", function()
    assert.same({ "a: 1\nb: " }, texts(load("a,b\n1,")))
    assert.same({ "a: \nb: " }, texts(load('a,b\n"",""\n')))
  end)

  it("says on which line something is wrong", function()
    assert.equal("4: a quote is opened and never closed", (wrong('a\n"x\ny"\n"z\n\n')))
    assert.equal("3: the row has 1 fields, there are 2 columns", (wrong("a,b\n1,2\n3\n")))
    assert.equal("2: the row has 3 fields, there are 2 columns", (wrong("a,b\n1,2,3\n")))
    assert.equal("2: text follows a closing quote", (wrong('a\n"x"y\n')))
    assert.equal("1: two columns are named 'a'", (wrong("a,a\n1,2\n")))
    assert.equal(6, select(2, wrong('a\n"1\n\n2"\n\n"x" \n')))
  end)

  it("says which columns there are", function()
    local kind, message = failure(mp.CSVLoader(helper.temp("a,b\n1,2"), { source_column = "c" }))
    assert.equal("input", kind)
    assert.truthy(message:find("has no column 'c'; it has {a, b}", 1, true))
  end)

  it("reads the same wherever its pieces end", function()
    local parts = { "n,text\r\n" }
    for i = 1, 40000 do parts[#parts + 1] = ('%d,"ä ""%d""\r\n,"\r\n'):format(i, i) end
    local count = 0
    for doc in mp.CSVLoader(helper.temp(table.concat(parts))):lazy_load() do
      count = count + 1
      assert.equal(count, doc.metadata.row)
      if doc.page_content ~= ('n: %d\ntext: ä "%d"\r\n,'):format(count, count) then
        error(doc.page_content)
      end
    end
    assert.equal(40000, count)
  end)

  it("refuses a row that is too large, and files that begin below", function()
    local kind = failure(mp.CSVLoader(helper.temp('a\n"' .. ("x"):rep(600000)), { max_bytes = 1000 }))
    assert.equal("too_large", kind)
  end)

  it("refuses options that cannot be", function()
    assert.truthy(usage(mp.CSVLoader, "a", { delimiter = ",," }):find("delimiter of CSVLoader is"))
    assert.truthy(usage(mp.CSVLoader, "a", { source_column = 1 }):find("source_column of CSVLoader"))
    assert.truthy(usage(mp.CSVLoader, "a", { metadata_columns = "a" }):find("metadata_columns of"))
  end)
end)

describe("JSONLoader", function()
  local CHAT = '{"messages": [{"text": "hi", "by": "a"}, {"text": "you", "by": "b"}], "n": [3]}'

  local function load(text, opts) return mp.JSONLoader(helper.temp(text), opts):load() end

  it("gives the values that a path leads to", function()
    local docs = load(CHAT, { jq_schema = ".messages[].text" })
    assert.same({ "hi", "you" }, texts(docs))
    assert.equal(2, docs[2].metadata.seq_num)
    assert.same({ "you" }, texts(load(CHAT, { jq_schema = '$["messages"][1].text' })))
    assert.same({ "a", "hi", "b", "you" }, texts(load(CHAT, { jq_schema = "$.messages[*][]" })))
    assert.same({}, load(CHAT, { jq_schema = ".nothing[]" }))
  end)

  it("takes a key for the text, and a function for the metadata", function()
    local docs = load(CHAT, { jq_schema = ".messages[]", content_key = "text",
      metadata_func = function(record, metadata)
        metadata.by = record.by
        return metadata
      end })
    assert.same({ "hi", "you" }, texts(docs))
    assert.equal("b", docs[2].metadata.by)
  end)

  it("takes what is no text as JSON where it is told to", function()
    assert.same({ '{"a":[1]}' }, texts(load('{"a": [1]}', { text_content = false })))
    local kind, message = failure(mp.JSONLoader(helper.temp('[1]'), { jq_schema = ".[]" }))
    assert.equal("input", kind)
    assert.truthy(message:find("value 1 is the number 1, no text; text_content = false", 1, true))
  end)

  it("says on which line something is wrong", function()
    local path = helper.temp('{\n"a": 1,\n}')
    local kind, message, err = failure(mp.JSONLoader(path, { text_content = false }))
    assert.equal("decode", kind)
    assert.equal(3, err.line)
    assert.truthy(message:find(path .. ":3: ", 1, true))
    assert.equal("decode", (failure(mp.JSONLoader(helper.temp("{")))))
  end)

  it("refuses what it was not told of", function()
    local kind, message = failure(mp.JSONLoader(helper.temp('[{"a":1}]'), { jq_schema = ".[]",
      content_key = "text" }))
    assert.equal("input", kind)
    assert.truthy(message:find("without a key 'text'", 1, true))
    kind = failure(mp.JSONLoader(helper.temp('"x"'), { metadata_func = function() end }))
    assert.equal("input", kind)
    assert.equal("too_large", (failure(mp.JSONLoader(helper.temp('"xxxxx"'), { max_bytes = 3 }))))
  end)

  it("refuses paths that it cannot read", function()
    assert.truthy(usage(mp.JSONLoader, "a", { jq_schema = ".a // .b" })
      :find("jq_schema of JSONLoader is '.a // .b'; at character 3", 1, true))
    assert.truthy(usage(mp.JSONLoader, "a", { metadata_func = 1 }):find("metadata_func of"))
  end)
end)

describe("JSONLinesLoader", function()
  it("gives a document for each line", function()
    local path = helper.temp('{"t":"a"}\n\n{"t":"b"}')
    assert.same({ "a", "b" }, texts(mp.JSONLinesLoader(path, { content_key = "t" }):load()))
    assert.same({ "a", "b" }, texts(mp.JSONLoader(path, { jq_schema = ".t",
      json_lines = true }):load()))
  end)

  it("says on which line something is wrong, having given those before it", function()
    local loader, seen = mp.JSONLinesLoader(helper.temp('"a"\n\n"b"\n{,}\n"c"\n')), {}
    local ok, err = pcall(function()
      for doc in loader:lazy_load() do seen[#seen + 1] = doc.page_content end
    end)
    assert.is_false(ok)
    assert.same({ "a", "b" }, seen)
    assert.equal("decode", err.kind)
    assert.equal(4, err.line)
  end)

  it("holds one line at a time", function()
    local lines = {}
    for i = 1, 60000 do lines[i] = ('"%s %d"'):format(("x"):rep(100), i) end
    local path, count = helper.temp(table.concat(lines, "\n")), 0
    lines = nil
    collectgarbage()
    collectgarbage()
    local before, most = collectgarbage("count"), 0
    for _ in mp.JSONLinesLoader(path):lazy_load() do
      count = count + 1
      if count % 1000 == 0 then
        collectgarbage()
        most = math.max(most, collectgarbage("count") - before)
      end
    end
    assert.equal(60000, count)
    assert.is_true(most < 3000, ("%d KiB of a file of 6,500"):format(most))
    assert.is_nil(lines)
  end)

  it("refuses a line that is too large", function()
    local loader = mp.JSONLinesLoader(helper.temp('"' .. ("x"):rep(600000) .. '"'), { max_bytes = 9 })
    assert.equal("too_large", (failure(loader)))
  end)
end)

describe("DirectoryLoader", function()
  local function tree()
    return folder { ["b.txt"] = "b", ["a.md"] = "# A\n", ["sub/c.csv"] = "x\n1\n2\n",
      ["sub/deep/d.jsonl"] = '{"n":1}\n', [".hidden"] = "h", ["sub/.git/x"] = "git",
      ["z.json"] = "[1]" }
  end

  it("gives the files in order, each by its loader", function()
    local path = tree()
    local docs = mp.DirectoryLoader(path .. "/"):load()
    assert.same({ "a.md", "b.txt", "sub/c.csv", "sub/c.csv", "sub/deep/d.jsonl", "z.json" },
      sources(docs, path))
    assert.same({ "# A\n", "b", "x: 1", "x: 2", '{"n":1}', "[1]" }, texts(docs))
    assert.equal("A", docs[1].metadata.title)
  end)

  it("chooses by globs", function()
    local path = tree()
    local function chosen(opts) return sources(mp.DirectoryLoader(path, opts):load(), path) end
    assert.same({ "a.md", "b.txt" }, chosen { glob = "*.{md,txt}" })
    assert.same({ "sub/c.csv", "sub/c.csv" }, chosen { glob = "sub/*" })
    assert.same({ "sub/deep/d.jsonl" }, chosen { glob = "**/deep/**" })
    assert.same({ "a.md", "z.json" }, chosen { glob = { "[!b].*" }, exclude = "sub" })
    assert.same({ "b.txt", "z.json" }, chosen { exclude = { "sub/**", "?.md" } })
    assert.same({ "a.md", "b.txt", "z.json" }, chosen { recursive = false })
    assert.same({ ".hidden" }, chosen { glob = ".*", load_hidden = true, exclude = ".git" })
  end)

  it("follows no links", function()
    local path = folder { ["in/a"] = "a", ["out/b"] = "b" }
    helper.execute({ "ln", "-s", "../out", path .. "/in/folder" })
    helper.execute({ "ln", "-s", "../out/b", path .. "/in/file" })
    assert.same({ "a" }, texts(mp.DirectoryLoader(path .. "/in"):load()))
  end)

  it("stays in its root", function()
    local path = folder { ["docs/a"] = "a", b = "b" }
    local docs = mp.DirectoryLoader("docs", { root = path }):load()
    assert.equal(1, #docs)
    assert.equal("docs/a", docs[1].metadata.source)
    assert.equal("input", (failure(mp.DirectoryLoader("..", { root = path .. "/docs" }))))
  end)

  it("takes other loaders and their options", function()
    local path = tree()
    local upper = function(file, opts)
      local loader = mp.TextLoader(file, { root = opts.root })
      return { lazy_load = function()
        local next_doc = loader:lazy_load()
        return function()
          local doc = next_doc()
          return doc and mp.Document(doc.page_content:upper(), doc.metadata)
        end
      end }
    end
    assert.same({ "# A\n", "B" }, texts(mp.DirectoryLoader(path, { glob = "*.{md,txt}",
      loaders = { txt = upper } }):load()))
    assert.same({ "x\n1\n2\n" }, texts(mp.DirectoryLoader(path, { glob = "*.csv",
      loader_cls = mp.TextLoader }):load()))
    assert.same({ "y: x", "y: 1", "y: 2" }, texts(mp.DirectoryLoader(path, { glob = "*.csv",
      loader_kwargs = { fieldnames = { "y" } } }):load()))
  end)

  it("raises what goes wrong, or collects it", function()
    local path = folder { ["a.json"] = "{", ["b.txt"] = "b", ["c.csv"] = "x\n1\n1,2\n", d = "\0" }
    local kind, message = failure(mp.DirectoryLoader(path))
    assert.equal("decode", kind)
    assert.truthy(message:find("a.json:1:", 1, true))
    local loader = mp.DirectoryLoader(path, { on_error = "collect" })
    assert.same({ "b", "x: 1" }, texts(loader:load()))
    assert.equal(3, #loader.errors)
    assert.equal("a.json", loader.errors[1].source)
    assert.equal("decode", loader.errors[3].error.kind)
  end)

  it("says which folder is none", function()
    local path = folder { a = "x" }
    assert.equal("io", (failure(mp.DirectoryLoader(path .. "/none"))))
    assert.equal("io", (failure(mp.DirectoryLoader(path .. "/a"))))
    local kind, message = failure(mp.DirectoryLoader(path, { loader_cls = function() end }))
    assert.equal("input", kind)
    assert.truthy(message:find("it must have lazy_load", 1, true))
  end)

  it("goes on after a folder and a file that it may not read", function()
    local path = folder { ["a/x"] = "x", b = "b", c = "c" }
    helper.execute({ "chmod", "0", path .. "/a", path .. "/b" })
    if io.open(path .. "/b") then return end -- root may read all
    local loader = mp.DirectoryLoader(path, { on_error = "collect" })
    assert.same({ "c" }, texts(loader:load()))
    assert.equal(2, #loader.errors)
  end)

  it("gives documents one at a time", function()
    local path = folder { a = "a", b = "\0" }
    local next_doc = mp.DirectoryLoader(path):lazy_load()
    assert.equal("a", next_doc().page_content)
    assert.is_false((pcall(next_doc)))
    assert.is_nil(next_doc())
  end)

  it("refuses options that cannot be", function()
    assert.truthy(usage(mp.DirectoryLoader, "a", { glob = { 1 } }):find("item 1 of glob of Dir"))
    assert.truthy(usage(mp.DirectoryLoader, "a", { on_error = "ignore" }):find("on_error of Dir"))
    assert.truthy(usage(mp.DirectoryLoader, "a", { loader_cls = 1 }):find("loader_cls of Dir"))
    assert.truthy(usage(mp.DirectoryLoader, "a", { loaders = { txt = 1 } }):find("loaders of Dir"))
    assert.truthy(usage(mp.DirectoryLoader, "a", { recursive = 1 }):find("recursive of Dir"))
  end)
end)
