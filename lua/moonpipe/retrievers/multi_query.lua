--- MultiQueryRetriever: a model says the question in other words, and what any of these finds is
--- put together.
local base = require "moonpipe.retrievers.base"
local compose = require "moonpipe.compose"
local each = require "moonpipe.steps.each"
local errors = require "moonpipe.error"
local members = require "moonpipe.members"
local parser = require "moonpipe.parsers.parser"
local repair = require "moonpipe.parsers.repair"
local prompt_text = require "moonpipe.prompts.text"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.MultiQueryRetriever: moonpipe.BaseRetriever
---@field retriever moonpipe.Runnable
---@field include_original boolean
---@field ask moonpipe.Runnable        gives the versions, a line each
---@field search moonpipe.RunnableEach
local MultiQueryRetriever, methods = runnable.class("MultiQueryRetriever", {
  base = base.BaseRetriever,
})

local OPTIONS = { "include_original", "model", "prompt", "retriever" }

local PROMPT = [[
Documents are searched for what is near to a question. Write three other versions of the question
below, so that what one of them misses another finds. Give the versions alone, one on each line.

Question: {question}]]

-- ---- making ------------------------------------------------------------------------------------

local function prompt_of(opts)
  if opts.prompt == nil then return prompt_text.PromptTemplate(PROMPT) end
  if type(opts.prompt) == "string" then return prompt_text.PromptTemplate(opts.prompt) end
  return base.step(opts, "prompt", "MultiQueryRetriever")
end

--- `MultiQueryRetriever{ retriever =, model =, prompt =, include_original = false }`. The prompt is
--- given `question`; each line of what the model answers is a question, asked all at once. Where
--- there is none, and with `include_original`, the question is asked as it is.
---@param opts { retriever: any, model: any, prompt: any, include_original: boolean? }
---@return moonpipe.MultiQueryRetriever
function MultiQueryRetriever.new(opts)
  opts = errors.options(opts, OPTIONS, "MultiQueryRetriever")
  local retriever = base.step(opts, "retriever", "MultiQueryRetriever")
  local model = base.step(opts, "model", "MultiQueryRetriever")
  local ask = compose.pipe(prompt_of(opts), model, parser.StrOutputParser())
  local search = each.RunnableEach(retriever)
  return runnable.instance(MultiQueryRetriever, {
    retriever = retriever,
    include_original = opts.include_original == true,
    ask = ask,
    search = search,
    where = errors.caller(),
    sync = members.are_sync { ask, search },
  })
end

--- The same, with LangChain's names: `retriever`, `llm`, `prompt`, `include_original`.
---@param opts table
---@return moonpipe.MultiQueryRetriever
function MultiQueryRetriever.from_llm(opts)
  return MultiQueryRetriever.new(repair.with_model(opts))
end

-- ---- asking ------------------------------------------------------------------------------------

-- Models number their lines or put points before them, also where told not to.
local function question_of(line)
  line = line:match("^%s*(.-)%s*$")
  return line:match("^%d+[.)]%s+(.+)$") or line:match("^[-*]%s+(.+)$") or line
end

-- Each question once; a line such as "Here are three versions:" is none.
local function questions_in(self, input, text)
  local list, seen = {}, { [""] = true }
  local function add(question)
    if not seen[question] then list[#list + 1] = question end
    seen[question] = true
  end
  if self.include_original then add(input) end
  for line in (text .. "\n"):gmatch("(.-)\n") do
    if not line:find(":%s*$") then add(question_of(line)) end
  end
  if #list == 0 then list[1] = input end
  return list
end

-- Two stores may have numbered different texts alike.
local function key_of(doc)
  return (doc.id and doc.id .. "\0" or "") .. doc.page_content
end

local function unite(self, questions, lists)
  local out, seen = {}, {}
  for i = 1, #questions do
    local what = "retriever of MultiQueryRetriever, " .. self.retriever:get_name() .. ","
    for _, doc in ipairs(base.check_documents(lists[i], what)) do
      local key = key_of(doc)
      if not seen[key] then out[#out + 1] = doc end
      seen[key] = true
    end
  end
  return out
end

function methods:_invoke(input, ctx)
  base.check(input)
  local text = base.run(self, "queries", 1, self.ask, { question = input }, ctx)
  local questions = questions_in(self, input, text)
  return unite(self, questions, base.run(self, "search", 2, self.search, questions, ctx))
end

-- ---- what others ask ---------------------------------------------------------------------------

function methods:_takes_kwargs()
  return members.take_kwargs { self.ask, self.search }
end

function methods:_parts()
  return { shape = "sequence", items = { { step = self.ask }, { step = self.search } } }
end

return { MultiQueryRetriever = MultiQueryRetriever }
