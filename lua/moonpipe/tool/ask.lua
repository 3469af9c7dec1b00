--- `moonpipe ask`: a question to a model, from an index where one is given.
local errors = require "moonpipe.error"
local found = require "moonpipe.tool.found"
local host = require "moonpipe.tool.host"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local redact = require "moonpipe.redact"
local talk = require "moonpipe.tool.talk"
local terminal = require "moonpipe.terminal"

local ask = {
  name = "ask",
  usage = "[INDEX] QUESTION...",
  summary = "Asks a model, about what comes from standard input, or from an index.",
  about = "What is piped in stands before the question, or where the word - is. INDEX is a file "
    .. "that `moonpipe index` made: the answer is from its texts. Without a key or a local server "
    .. "it works offline, with sentences of the texts.\n\n"
    .. "The answer is printed as it comes. One that is not whole is an error. A loop that reads "
    .. "lines itself gives ask another input: `</dev/null`.",
  example = 'moonpipe ask docs.mp "How do the branches of a map run?"\n'
    .. 'git diff | moonpipe ask "Explain this."\n'
    .. 'moonpipe ask --schema person.json --json "Who wrote Faust?"\n'
    .. 'moonpipe ask -x "A shell script that counts words" > count.sh',
  options = talk.options {
    { name = "attach", short = "a", value = "FILE", many = true, files = {},
      help = "an image or a text that goes along, or the URL of an image; may come again" },
    { name = "schema", value = "FILE", files = { "json", "lua" },
      help = "answer with JSON of this form: a JSON Schema, or a Lua script that returns one" },
    { name = "extract", short = "x", help = "print the first fenced block of code, and no more" },
    { name = "extract-last", help = "the last one" },
    { name = "find", short = "f", help = "print the texts that an index has, ask no model" },
    { name = "json", help = "print one object: question, answer, model, usage, sources" },
    { name = "jsonl", help = "print an object for each event: sources, token, end" },
    { name = "usage", short = "u", help = "tell tokens and their price, on standard error" },
    { name = "dry-run", help = "print the request, keys masked, and send nothing" },
  },
}
for _, option in ipairs(found.OPTIONS) do ask.options[#ask.options + 1] = option end

-- ---- the words ---------------------------------------------------------------------------

-- What is piped in: not from a terminal, which would be waited for.
local function piped()
  if native.c.isatty(0) then return nil end
  local text = io.read("*a") or ""
  return text:find("%S") and text:gsub("%s+$", "") or nil
end

-- A question may begin with the name of some folder or file: a path is more than a word.
local function is_index(words)
  local first = words[1] or ""
  return first:find("%.mp$") or #words > 1 and first:find("[./]") and host.exists(first)
end

-- What was asked: the index, the question alone, and the whole text.
local function read_words(words)
  local index = is_index(words) and table.remove(words, 1) or nil
  local texts, own, has_place = {}, {}, false
  for i, word in ipairs(words) do
    texts[i] = word == "-" and not has_place and (io.read("*a") or "") or word
    if word == "-" then has_place = true else own[#own + 1] = word end
  end
  local whole = table.concat(texts, " ")
  local before = not has_place and piped()
  if before then whole = whole == "" and before or before .. "\n\n" .. whole end
  return { index = index, text = whole, query = own[1] and table.concat(own, " ") or whole }
end

local ALONE = { { "json", "jsonl" }, { "extract", "extract_last" }, { "extract", "schema" },
  { "extract_last", "schema" }, { "extract", "jsonl" }, { "extract_last", "jsonl" },
  { "schema", "jsonl" }, { "dry_run", "jsonl" } }

local function check(given, asked)
  for _, pair in ipairs(ALONE) do
    if given[pair[1]] and given[pair[2]] then
      return ("--%s and --%s do not go together"):format(pair[1]:gsub("_", "-"),
        (pair[2]:gsub("_", "-")))
    end
  end
  if asked.text:find("^%s*$") then return "ask takes a question" end
  if given.find and not asked.index then return "--find needs an index" end
end

-- ---- the request -------------------------------------------------------------------------

-- The question, with what goes along.
local function content_of(given, text)
  if not given.attach then return text end
  local blocks = {}
  for i, path in ipairs(given.attach) do blocks[i] = require("moonpipe.tool.attachment")(path) end
  blocks[#blocks + 1] = { type = "text", text = text }
  return blocks
end

local function messages_of(given, asked, documents)
  local system, list = talk.system(given), { mp.HumanMessage(asked.text) }
  if documents then
    list = mp.prompts.rag:invoke { context = documents, question = asked.text }:to_messages()
  end
  list[#list] = mp.HumanMessage(content_of(given, list[#list].content))
  if system then table.insert(list, 1, mp.SystemMessage(system)) end
  return list
end

local function schema_in(path)
  local text, problem = host.read(path)
  if not text then errors.raise("input", problem) end
  if not path:find("%.lua$") then
    local ok, value = pcall(json.decode, text)
    if ok then return value end
    errors.raise("input", ("'%s' is no JSON: %s"):format(path, errors.text(value.message or value)))
  end
  local fn, message = host.load_text("@" .. path, text)
  if not fn then errors.raise("lua", message) end
  return fn()
end

-- ---- the answer --------------------------------------------------------------------------

---@class moonpipe.Asking
---@field given table
---@field asked { index: string?, text: string, query: string }
---@field documents moonpipe.Document[]?
---@field usage moonpipe.UsageTotals
local Asking = {}
Asking.__index = Asking

local function event(fields)
  print(terminal.json(json.encode(fields)))
  io.stdout:flush()
end

-- The whole answer, its pieces to [tell] as they come.
function Asking:answer(tell, broken)
  local messages = messages_of(self.given, self.asked, self.documents)
  local model = talk.model(self.given)
  self.model = model.model or tostring(model)
  local config = { callbacks = { self.usage } }
  if self.given.schema then
    return model:with_structured_output(schema_in(self.given.schema)):invoke(messages, config)
  end
  local answer = talk.follow(model:stream(messages, config), tell, broken)
  talk.check_whole(answer)
  return answer
end

function Asking:object(answer)
  return {
    question = self.asked.text, answer = answer, model = self.model,
    usage = talk.usage_of(self.usage), sources = found.sources(self.documents),
  }
end

local function ignore() end

-- The block of code that was asked for.
local function extracted(given, text)
  local blocks = require("moonpipe.tool.code").blocks(text)
  if #blocks == 0 then
    io.stderr:write(mp.printable(text), "\n")
    errors.raise("decode", "the answer has no fenced block of code")
  end
  return blocks[given.extract_last and #blocks or 1]
end

-- What --json or -x print, and forms.
function Asking:print_whole()
  local given, answer = self.given, self:answer(ignore)
  if not given.schema then answer = answer:text() end
  if given.extract or given.extract_last then answer = extracted(given, answer) end
  if given.json then return print(terminal.json(json.encode(self:object(answer)))) end
  if given.schema then return print(terminal.json(json.encode(answer, { indent = 2 }))) end
  print(mp.printable(answer))
end

function Asking:print_events()
  if self.documents then event { event = "sources", sources = found.sources(self.documents) } end
  local ok, answer = pcall(self.answer, self, function(text)
    event { event = "token", text = text }
  end)
  if not ok then
    local err = errors.wrap(answer)
    event { event = "error", kind = err.kind, message = redact.text(errors.text(err.message)) }
    error(err, 0)
  end
  local object = self:object(answer:text())
  object.event, object.sources, object.question = "end", nil, nil
  event(object)
end

function Asking:print_stream()
  local out = talk.writer()
  local ok, err = pcall(self.answer, self, out.write)
  out.finish()
  if not ok then error(err, 0) end
end

function Asking:print()
  local given = self.given
  if given.jsonl then
    self:print_events()
  elseif given.json or given.schema or given.extract or given.extract_last then
    self:print_whole()
  else
    self:print_stream()
  end
  if given.sources and self.documents then found.print_sources(self.documents, io.stderr) end
end

function Asking:find()
  if self.asked.index then
    self.documents = found.finder(self.given, self.asked.index)(self.asked.query)
  end
end

function Asking:print_found()
  if self.given.json then return print(terminal.json(json.encode(self:object()))) end
  found.print_texts(self.documents)
end

function Asking:run()
  self:find()
  if self.given.find then return self:print_found() end
  local ok, err = pcall(self.print, self)
  if self.given.usage then talk.print_usage(self.usage) end
  if not ok then error(err, 0) end
end

function ask.run(given, words)
  local asked = read_words(words)
  local problem = check(given, asked)
  if problem then return problem end
  local asking = setmetatable({ given = given, asked = asked, usage = mp.UsageTotals() }, Asking)
  if not given.dry_run then return asking:run() end
  require("moonpipe.tool.dry_run").run(function()
    asking:find()
    asking:answer(ignore)
  end, given.json)
end

return ask
