--- SelfQueryRetriever: a model makes a search with a filter of the question.
local base = require "moonpipe.retrievers.base"
local compose = require "moonpipe.compose"
local errors = require "moonpipe.error"
local form = require "moonpipe.retrievers.query_form"
local members = require "moonpipe.members"
local prompt_text = require "moonpipe.prompts.text"
local repair = require "moonpipe.parsers.repair"
local retriever = require "moonpipe.retrievers.retriever"
local retrying = require "moonpipe.parsers.retry"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local structured = require "moonpipe.structured"

-- ---- the answer --------------------------------------------------------------------------------

-- Gives the search; what is wrong with it goes back to the model as what is wrong with the JSON.
---@class moonpipe.SelfQueryParser: moonpipe.Runnable
---@field parser moonpipe.Runnable
---@field attributes moonpipe.AttributeInfo[]
---@field enable_limit boolean
local SelfQueryParser, reading = runnable.class("SelfQueryParser")

function reading:_invoke(raw, ctx)
  local value = run.invoke(self.parser, raw, ctx, "seq:step:", 1)
  return form.read(value, self.attributes, self.enable_limit)
end

function reading:_flow()
  return "whole"
end

-- The model is told of one form, and an older one is read too.
local function asking(opts, prompt, attributes)
  local model = structured.make(opts.model, form.schema(attributes, opts.enable_limit)).model
  local parser = structured.make(opts.model, form.LOOSE).parser
  return compose.pipe(prompt, retrying.RetryOutputParser {
    model = model,
    max_retries = opts.max_retries,
    parser = runnable.instance(SelfQueryParser, {
      parser = parser, attributes = attributes, enable_limit = opts.enable_limit == true,
      sync = true,
    }),
  })
end

-- ---- making ------------------------------------------------------------------------------------

---@class moonpipe.SelfQueryRetriever: moonpipe.BaseRetriever
---@field ask moonpipe.Runnable
---@field vectorstore moonpipe.VectorStore
---@field instructions string
---@field use_original_query boolean
local SelfQueryRetriever, methods = runnable.class("SelfQueryRetriever", {
  base = base.BaseRetriever,
})

local CLASS = "SelfQueryRetriever"
local OPTIONS = { "document_contents", "enable_limit", "max_retries", "metadata_field_info",
  "model", "prompt", "search_kwargs", "search_type", "use_original_query", "vectorstore" }

local PROMPT = "{instructions}\n\nQuestion: {question}"

local function check(opts)
  if type(opts.vectorstore) ~= "table" or type(opts.vectorstore.similarity_search) ~= "function"
  then
    errors.usage(("vectorstore of %s is %s; it must be one, such as mp.FAISS.from_texts(…)")
      :format(CLASS, errors.shape(opts.vectorstore)))
  elseif type(opts.document_contents) ~= "string" then
    errors.usage(("document_contents of %s must be a string, got %s"):format(CLASS,
      errors.shape(opts.document_contents)))
  end
  repair.count(opts.max_retries, CLASS)
  return form.attributes(opts.metadata_field_info, "metadata_field_info of " .. CLASS)
end

local function prompt_of(prompt)
  if prompt == nil or type(prompt) == "string" then
    return prompt_text.PromptTemplate(prompt or PROMPT)
  end
  return base.step({ prompt = prompt }, "prompt", CLASS)
end

local function searching(self, filter, limit)
  local kwargs = {}
  for name, value in pairs(self.search_kwargs or {}) do kwargs[name] = value end
  if filter and kwargs.filter ~= nil then filter = { ["$and"] = { kwargs.filter, filter } } end
  kwargs.filter, kwargs.k = filter or kwargs.filter, limit or kwargs.k
  return retriever.new(self.vectorstore, {
    search_type = self.search_type, search_kwargs = kwargs,
  })
end

--- `SelfQueryRetriever{ model =, vectorstore =, document_contents = "films", metadata_field_info =
--- { { name = "year", description = "when it came out", type = "integer" } }, enable_limit = }`.
--- The model makes a text to look for, a filter and, with `enable_limit`, a number of documents of
--- the question. What names an attribute or a comparator that there is not goes back to it, once or
--- `max_retries` times. A filter in `search_kwargs` holds besides. `use_original_query` searches
--- for the question as it is; so is searched where nothing is left of it.
---@param opts table
---@return moonpipe.SelfQueryRetriever
function SelfQueryRetriever.new(opts)
  opts = errors.options(opts, OPTIONS, CLASS)
  local attributes = check(opts)
  local model = base.step(opts, "model", CLASS)
  local ask = asking({
    model = model, max_retries = opts.max_retries, enable_limit = opts.enable_limit,
  }, prompt_of(opts.prompt), attributes)
  local self = runnable.instance(SelfQueryRetriever, {
    ask = ask,
    vectorstore = opts.vectorstore,
    instructions = form.instructions(opts.document_contents, attributes, opts.enable_limit),
    use_original_query = opts.use_original_query == true,
    search_type = opts.search_type,
    search_kwargs = opts.search_kwargs,
    where = errors.caller(),
  })
  self.search = searching(self) -- says here what is wrong with the options
  return self
end

--- The same, with LangChain's names: `llm`, `vectorstore`, `document_contents`, ….
---@param opts table
---@return moonpipe.SelfQueryRetriever
function SelfQueryRetriever.from_llm(opts)
  return SelfQueryRetriever.new(repair.with_model(opts))
end

-- ---- asking ------------------------------------------------------------------------------------

function methods:_invoke(input, ctx)
  base.check(input)
  local wanted = base.run(self, "query", 1, self.ask,
    { question = input, instructions = self.instructions }, ctx)
  local is_left = wanted.query:find("%S") ~= nil and not self.use_original_query
  local search = (wanted.filter or wanted.limit) and searching(self, wanted.filter, wanted.limit)
  return base.run(self, "search", 2, search or self.search, is_left and wanted.query or input, ctx)
end

-- ---- what others ask ---------------------------------------------------------------------------

function methods:_takes_kwargs()
  return members.take_kwargs { self.ask }
end

function methods:_parts()
  return { shape = "sequence", items = { { step = self.ask }, { step = self.search } } }
end

return { SelfQueryRetriever = SelfQueryRetriever }
