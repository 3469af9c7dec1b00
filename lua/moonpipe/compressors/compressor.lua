--- What all document compressors are: steps that take documents and the question for which they
--- were found, and give those that matter, or what of them does.
--
-- A class gives `_compress(self, documents, query, ctx)`. One that looks at the documents alone
-- takes a bare list too.
local errors = require "moonpipe.error"
local repair = require "moonpipe.parsers.repair"
local retriever_base = require "moonpipe.retrievers.base"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.BaseDocumentCompressor: moonpipe.Runnable
---@field takes_list boolean?  it needs no question
---@field _compress fun(self, documents: moonpipe.Document[], query: string?, ctx): table
local Compressor, methods = runnable.class("BaseDocumentCompressor")

local compressor = { BaseDocumentCompressor = Compressor }

local FORM = "{ documents = …, query = … }"

---Makes a class of compressors.
---@param name string
---@return table Class
---@return table methods
function compressor.class(name)
  return runnable.class(name, { base = Compressor })
end

---How many documents an option asks for; nil where it is not given.
---@param value integer?
---@param name string  "top_n of BM25Reranker"
---@return integer?
function compressor.count(value, name)
  if value ~= nil and (type(value) ~= "number" or value < 1 or value % 1 ~= 0) then
    errors.usage(("%s is %s; it must be a positive integer"):format(name, errors.shape(value)))
  end
  return value
end

local function is_better(a, b)
  if a.score ~= b.score then return a.score > b.score end
  return a.order < b.order
end

---The documents of [entries], best first, equals in their order; [count] of them, or all.
---@param entries { doc: moonpipe.Document, score: number, order: integer }[]
---@param count integer?
---@return moonpipe.Document[]
function compressor.ranked(entries, count)
  local out = {}
  table.sort(entries, is_better)
  for i = 1, math.min(#entries, count or #entries) do out[i] = entries[i].doc end
  return out
end

---What a document is called in messages.
---@param doc moonpipe.Document
---@param i integer
---@return string
function compressor.name_of(doc, i)
  local name = doc.id or doc.metadata.source
  return type(name) == "string" and ("document %d '%s'"):format(i, name) or "document " .. i
end

---What stands around untrusted text in a prompt: a line as prompts/fence.lua has them, which the
---text does not hold. It follows from the text, so that equal calls are equal requests.
---@param text string
---@return string
function compressor.line_around(text)
  local n = 1
  while text:find(("data-%032x"):format(n), 1, true) do n = n + 1 end
  return ("data-%032x"):format(n)
end

---The options of a class of ours for what LangChain's `from_llm` is given: the model, or options of
---which `llm` is one.
---@param given any
---@return table
function compressor.with_model(given)
  local is_options = type(given) == "table" and getmetatable(given) == nil
    and (given.llm or given.model) ~= nil
  return is_options and repair.with_model(given) or { model = given }
end

-- ---- what it is given -------------------------------------------------------------------------

local function is_list(self, input)
  return self.takes_list and input.documents == nil and (input[1] ~= nil or next(input) == nil)
end

local function check_query(self, query)
  if type(query) == "string" or self.takes_list and query == nil then return query end
  errors.raise("input", ("query of %s is %s; it must be a string"):format(self:get_name(),
    errors.shape(query)))
end

local function read(self, input)
  if type(input) ~= "table" or getmetatable(input) ~= nil then
    errors.raise("input", ("%s takes %s, got %s"):format(self:get_name(), FORM,
      errors.shape(input)))
  end
  local what = "what was before " .. self:get_name()
  if is_list(self, input) then return retriever_base.check_documents(input, what) end
  if input.documents == nil then
    errors.raise("input", ("%s takes %s, got %s"):format(self:get_name(), FORM,
      errors.shape(input)))
  end
  return retriever_base.check_documents(input.documents, what), check_query(self, input.query)
end

function methods:_invoke(input, ctx)
  local documents, query = read(self, input)
  if documents[1] == nil then return {} end
  return self:_compress(documents, query, ctx)
end

---LangChain's way to call it.
---@async
---@param documents moonpipe.Document[]
---@param query string
---@return moonpipe.Document[]
function methods:compress_documents(documents, query)
  return self:invoke { documents = documents, query = query }
end

---The same for what needs no question.
---@async
---@param documents moonpipe.Document[]
---@return moonpipe.Document[]
function methods:transform_documents(documents)
  if not self.takes_list then
    errors.usage(("%s needs a question; write compress_documents(documents, query)"):format(
      self:get_name()))
  end
  return self:invoke { documents = documents }
end

-- ---- what others ask --------------------------------------------------------------------------

-- Says at composition which key is missing.
function methods:_check_keys(keys)
  local given = {}
  for _, key in ipairs(keys) do given[tostring(key)] = true end
  if given.documents and (given.query or self.takes_list) then return nil end
  if self.takes_list and given["1"] then return nil end
  return ("%s takes %s, not a table with keys {%s}"):format(self:get_name(), FORM,
    table.concat(keys, ", "))
end

function methods:_flow()
  return "whole"
end

function methods:_output_schema()
  return { type = "array", items = { type = "object", title = "Document" } }
end

return compressor
