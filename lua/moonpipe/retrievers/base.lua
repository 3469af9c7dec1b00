--- What all retrievers are: steps that give documents for a question, which is a string.
local coerce = require "moonpipe.coerce"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.BaseRetriever: moonpipe.Runnable
local BaseRetriever, methods = runnable.class("BaseRetriever")
methods.run_kind = "retriever"

local retriever_base = { BaseRetriever = BaseRetriever }

local MOST = 1e9 -- as many as an index is asked for; all, that is

--- How many documents [k] asks for. Raises if it is given and no such number.
---@param k integer?
---@param name string?      "k"
---@param default integer?  4
---@return integer
function retriever_base.check_k(k, name, default)
  if k ~= nil and (type(k) ~= "number" or k < 1 or k % 1 ~= 0) then
    errors.usage(("%s is %s; it must be a positive integer"):format(name or "k", errors.shape(k)))
  end
  return math.min(k or default or 4, MOST)
end

--- A similarity or a weight. Raises if it is given and no number from 0 to 1.
---@param value number?
---@param name string
---@param default number?  0
---@return number
function retriever_base.check_share(value, name, default)
  if value ~= nil and (type(value) ~= "number" or not (value >= 0 and value <= 1)) then
    errors.usage(("%s is %s; it must be a number from 0 to 1"):format(name, errors.shape(value)))
  end
  return value or default or 0
end

local function problem(input)
  local key = type(input) == "table" and getmetatable(input) == nil
    and (input.question ~= nil and "question" or input.input ~= nil and "input")
  return ("got %s; use mp.itemgetter(\"%s\")"):format(errors.shape(input), key or "question")
end

function methods:_input_schema()
  return { type = "string" }
end

-- What it is made of may stream; documents come when all are found.
function methods:_flow()
  return "whole"
end

function methods:_output_schema()
  return { type = "array", items = { type = "object", title = "Document" } }
end

--- What a search of an index gave, one by one: the number of what was found, and its score.
---@param scores moonpipe.Floats?  a row
---@param numbers string?          with blanks between; nil where there are none
---@return fun(): integer?, number?
function retriever_base.hits(scores, numbers)
  local row = scores and numbers and scores[1] -- once: each is a copy
  local take, i = (numbers or ""):gmatch("%d+"), 0
  return function()
    local number = take()
    i = i + 1
    if number then return tonumber(number), row[i] end
  end
end

--- Raises where [input] is no question.
---@param input any
function retriever_base.check(input)
  if type(input) ~= "string" then
    errors.raise("input", "a retriever takes a string, " .. problem(input))
  end
end

--- Raises where [list], which [what] gave, is no list of Documents.
---@param list any
---@param what string
---@return moonpipe.Document[]
function retriever_base.check_documents(list, what)
  if errors.is(list) then error(list, 0) end -- on_error = "collect" left it there
  local wrong = (type(list) ~= "table" or getmetatable(list) ~= nil) and errors.shape(list)
  for _, doc in ipairs(wrong and {} or list) do
    if not document.is(doc) then wrong = wrong or "a list with " .. errors.shape(doc) end
  end
  if wrong then
    errors.raise("input", ("%s gave %s; it must give a list of Documents"):format(what, wrong))
  end
  return list
end

--- The step that option [name] must be.
---@param opts table
---@param name string
---@param class string  whose option it is
---@return moonpipe.Runnable
function retriever_base.step(opts, name, class)
  if opts[name] == nil then errors.usage(("%s needs %s"):format(class, name)) end
  return coerce.step(opts[name], nil, errors.caller(), ("%s of %s"):format(name, class))
end

--- Runs an inner step, whose errors say that it was [self]'s [part].
---@async
---@param self moonpipe.Runnable  with `where`
---@param part string
---@param i integer  the number of the step among those of [self]
---@return any
function retriever_base.run(self, part, i, step, input, ctx)
  local ok, value = pcall(run.invoke, step, input, ctx, "seq:step:", i)
  if ok then return value end
  local err = errors.wrap(value)
  err.step = err.step or step:get_name()
  error(err:at(("%s %s"):format(part, step:get_name()), self.where), 0)
end

--- Says at composition that a map is no question.
---@param keys string[]
---@return string? problem
function methods:_check_keys(keys)
  local fields = {}
  for _, key in ipairs(keys) do fields[key] = true end
  return "a retriever takes a string, " .. problem(fields)
end

return retriever_base
