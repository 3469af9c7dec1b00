local mp = require "moonpipe"
local helper = require "spec.helper"

local folder

local function file(name, text)
  local path = folder .. "/" .. name
  helper.write(path, text)
  return path
end

local function failure(...)
  local err = helper.failure(...)
  return err.kind .. ": " .. err.message:gsub(folder, "…", 1)
end

describe("a prompt out of a file", function()
  before_each(function()
    folder = helper.temp()
    os.remove(folder)
    assert(os.execute("mkdir -p " .. folder .. "/deep") == 0)
  end)

  after_each(function()
    os.execute("rm -r " .. folder)
  end)

  it("is its text", function()
    local path = file("a.txt", "Hello, {name}!\n")
    assert.equal("Hello, {x}!\n", mp.PromptTemplate.from_file(path):format "{x}")
    assert.equal("Hello, x!\n", mp.PromptTemplate.from_file("a.txt",
      { root = folder, partial_variables = { name = "x" } }):format())
    assert.equal("<x>", mp.PromptTemplate.from_file(file("b.txt", "<{{name}}>"),
      { template_format = "mustache" }):format "x")
  end)

  it("may not lead out of its root", function()
    file("a.txt", "x")
    local from_file = mp.PromptTemplate.from_file
    assert.equal("input: '../a.txt' leads out of its root",
      failure(from_file, "../a.txt", { root = folder .. "/deep" }))
    os.execute(("ln -s ../a.txt %s/deep/link"):format(folder))
    assert.equal("input: 'link' goes through a symbolic link, which may lead out of its root",
      failure(from_file, "link", { root = folder .. "/deep" }))
    assert.equal("x", from_file(folder .. "/deep/link"):format())
  end)

  it("is told where it cannot be read, or is none", function()
    local from_file = mp.PromptTemplate.from_file
    assert.equal("io: cannot read '…/none': No such file or directory",
      failure(from_file, folder .. "/none"))
    assert.equal("too_large: '…/big' has more than 1048576 bytes",
      failure(from_file, file("big", ("x"):rep(1048577))))
    assert.equal("PromptTemplate.from_file takes the path of a file, got nil", helper.said(from_file))
    assert.equal("root of PromptTemplate.from_file is the number 5; it must be the path of a folder",
      helper.said(from_file, "x", { root = 5 }))
    assert.equal("bad template at line 2, column 1: '{}' names no variable; write {{ and }} for"
      .. " literal braces", helper.said(from_file, file("bad.txt", "a\n{}")))
  end)

  it("is what JSON describes", function()
    local path = file("p.json", [[{ "_type": "prompt", "template": "Tell {x} of {y}",
      "input_variables": ["x"], "partial_variables": { "y": "bears" }, "output_parser": null,
      "validate_template": false }]])
    assert.equal("Tell me of bears", mp.load_prompt(path):format "me")
    assert.equal("Tell me of bears", mp.load_prompt("p.json", { root = folder }):format "me")
    assert.equal("ChatPromptTemplate", mp.load_prompt(file("c.json", [[{ "_type": "chat",
      "messages": [["system", "s"], ["placeholder", "{h}"], { "role": "human", "content": "{x}" }]
      }]])).class_name)
  end)

  it("takes its texts from files beside it", function()
    file("deep/t.txt", "about {x}")
    assert.equal("about bears",
      mp.load_prompt(file("p.json", '{ "template_path": "deep/t.txt" }')):format "bears")
    file("t.txt", "up")
    assert.equal("up", mp.load_prompt(file("q.json", '{ "template_path": "t.txt" }')):format())
    file("deep/p.json", '{ "template_path": "t.txt" }')
    assert.equal("about bears", mp.load_prompt("deep/p.json", { root = folder }):format "bears")
    assert.equal("about bears", mp.load_prompt(folder .. "/deep/p.json"):format "bears")
    assert.equal("input: '../t.txt' leads out of its root",
      failure(mp.load_prompt, file("deep/bad.json", '{ "template_path": "../t.txt" }')))
  end)

  it("shows examples", function()
    file("examples.json", '[{ "q": "1", "a": "{2}" }]')
    file("one.json", '{ "template": "{q}: {a}" }')
    local text = [[{ "_type": "few_shot", "prefix": "Add.", "suffix": "{input}:",
      "examples": "examples.json", "example_prompt_path": "one.json",
      "input_variables": ["input"], "example_separator": "\n" }]]
    assert.equal("Add.\n1: {2}\n3:", mp.load_prompt(file("few.json", text)):format "3")
    text = text:gsub('"example_prompt_path": "one.json"',
      '"example_prompt": { "template": "{a}={q}" }')
    assert.equal("Add.\n{2}=1\n3:", mp.load_prompt(file("few.json", text)):format "3")
  end)

  it("is refused where it describes none", function()
    local function told(text)
      return failure(mp.load_prompt, file("p.json", text))
    end
    assert.truthy(told("{"):find("^decode: …/p.json: "))
    assert.equal("input: …/p.json: a list of 1 describes no prompt", told("[1]"))
    assert.equal("unsupported: p.json: a prompt of the type 'pipeline' is not known; use 'prompt',"
      .. " 'few_shot' or 'chat'", told('{ "_type": "pipeline" }'))
    assert.equal("unsupported: p.json: a prompt of the type the number 5 is not known; use 'prompt',"
      .. " 'few_shot' or 'chat'", told('{ "_type": 5 }'))
    assert.equal("unsupported: p.json: a prompt here has no output_parser; put one behind it in the"
      .. " chain", told('{ "template": "x", "output_parser": {} }'))
    assert.equal("input: p.json: both template and template_path",
      told('{ "template": "x", "template_path": "y" }'))
    assert.equal("input: p.json: a path is a string, not the number 5", told('{ "template_path": 5 }'))
    assert.equal("input: p.json: the template of PromptTemplate is a string, not nil", told("{}"))
    assert.truthy(told('{ "template": "x", "template_format": "jinja2" }')
      :find("^input: p.json: template_format of PromptTemplate is 'jinja2'"))
    assert.truthy(told('{ "template": "x", "temperature": 1 }')
      :find("^input: p.json: unknown option 'temperature' of PromptTemplate"))
    assert.equal("input: p.json: example_prompt is nil; it must describe a prompt",
      told('{ "_type": "few_shot", "examples": [] }'))
  end)

  it("is JSON by its name", function()
    assert.equal("load_prompt reads files in JSON, and 'p.yaml' does not end in .json",
      helper.said(mp.load_prompt, "p.yaml"))
    assert.equal("load_prompt takes the path of a file, got a table with keys {root}",
      helper.said(mp.load_prompt, { root = "x" }))
  end)
end)

describe("read_file", function()
  local c = require("moonpipe.native").c

  it("takes paths without NUL, and room", function()
    assert.has_error(function() c.read_file("a\0b", nil, 10) end)
    assert.has_error(function() c.read_file("a", "b\0", 10) end)
    assert.has_error(function() c.read_file("a", nil, 0) end)
  end)
end)
