--- A model for those who have none: it answers with sentences of the context.
--
-- The question is what follows the last `Question:`, else the last line; what precedes it is the
-- context, or of that what stands in a fence (prompts/fence.lua). No network, no randomness: the
-- same prompt gives the same answer everywhere.
-- Limit: it works through its prompt without a pause, about 0.1 s a megabyte.
local errors = require "moonpipe.error"
local log = require "moonpipe.log"
local message = require "moonpipe.messages.message"
local model = require "moonpipe.models.model"
local passages = require "moonpipe.models.passages"
local ranking = require "moonpipe.models.ranking"
local runnable = require "moonpipe.steps.runnable"

local NOTE = "ExtractiveChatModel is no language model: it answers with sentences of the context"
local NO_CONTEXT = "I don't know: there is no context to answer from."
local NOT_SAID = "I don't know: the context does not say."

-- The best passage must hold this share of the question; others this share of its score.
local ENOUGH, WORTH_ADDING = 0.45, 0.75

-- A block of code is given whole, up to this many lines.
local MAX_CODE = 12

---@class moonpipe.ExtractiveChatModel: moonpipe.BaseChatModel
---@field max_sentences integer
local ExtractiveChatModel, methods = runnable.class("ExtractiveChatModel", {
  base = model.BaseChatModel,
})
methods.sync = true
methods.option_names = { "max_sentences" }

local extractive = { ExtractiveChatModel = ExtractiveChatModel }

--- `ExtractiveChatModel{ max_sentences = 3 }`.
---@param opts { max_sentences: integer? }?
---@return moonpipe.ExtractiveChatModel
function ExtractiveChatModel.new(opts)
  opts = errors.options(opts, methods.option_names, "ExtractiveChatModel")
  local max = opts.max_sentences or 3
  if type(max) ~= "number" or max < 1 or max % 1 ~= 0 then
    errors.usage("max_sentences of ExtractiveChatModel is " .. errors.shape(max)
      .. "; it must be a positive integer")
  end
  return runnable.instance(ExtractiveChatModel, { max_sentences = max })
end

-- Question and context ----------------------------------------------------------------------------

local function text_of(messages)
  local parts = {}
  for _, item in ipairs(messages) do
    if item.type ~= "ai" then
      parts[#parts + 1] = message.text(item)
    end
  end
  return table.concat(parts, "\n\n")
end

-- Where the last `Question:` begins and ends.
local function last_label(text)
  local first, last, from = nil, nil, 1
  while true do
    local at, stop = text:find("[Qq][Uu][Ee][Ss][Tt][Ii][Oo][Nn]:", from)
    if not at then
      return first, last
    end
    first, last, from = at, stop, stop + 1
  end
end

-- Templates go on behind the question: `Answer:`, or the context comes last.
local function cut_question(text)
  local question, rest = {}, nil
  for line, after in text:gmatch("([^\n]*)\n?()") do
    local label = line:match("^%s*([%a ]-):") or ""
    if label:lower():find("answer") then
      break
    elseif label:lower():find("^context") then
      rest = line:match(":%s*(.*)$") .. "\n" .. text:sub(after)
      break
    end
    question[#question + 1] = line
  end
  return table.concat(question, "\n"):match("^%s*(.-)%s*$"), rest
end

-- The last line that is not blank, and what precedes it. By hand: a pattern for it would look at
-- every line of a long context.
local function last_line(text)
  local stop = #text
  while stop > 0 and text:find("^%s", stop) do
    stop = stop - 1
  end
  local at = stop
  while at > 0 and text:byte(at) ~= 10 do
    at = at - 1
  end
  return text:sub(at + 1, stop), text:sub(1, at)
end

-- Where data stands in a fence, what is around it says how to treat it.
local function fenced(context)
  return require("moonpipe.prompts.fence").inside(context)
end

--- Cuts a prompt into question and context.
---@param text string
---@return string question
---@return string context
function extractive.question_of(text)
  local first, last = last_label(text)
  if first then
    local question, rest = cut_question(text:sub(last + 1))
    if rest then
      return question, (rest:gsub("\n[^\n]*[Aa]nswer%s*:%s*$", ""))
    elseif question ~= "" then
      local context = text:sub(1, first - 1)
      return question, context:find("\ndata-", 1, true) and fenced(context) or context
    end
  end
  local question, context = last_line(text)
  if question:lower():find("^%s*[%a ]*answer%s*:$") then
    return last_line(context)
  end
  return question, context
end

-- Choosing ----------------------------------------------------------------------------------------

-- Chunks of a text that overlap bring the same sentence twice.
local function new_text(seen, unit)
  local key = unit.text:lower():gsub("[%s%p]+", " "):gsub(" $", "")
  if seen[key] then
    return false
  end
  seen[key] = true
  return true
end

local function choose(entries, max)
  local chosen, seen = {}, {}
  for _, entry in ipairs(entries) do
    if #chosen == max or entry.score < WORTH_ADDING * entries[1].score then
      break
    elseif new_text(seen, entry.unit) then
      chosen[#chosen + 1] = entry.index
    end
  end
  return chosen
end

-- The lines of code around the one at [index].
local function code_block(units, index)
  local chosen, block, first = {}, units[index].block, index
  while units[first - 1] and units[first - 1].block == block do
    first = first - 1
  end
  while units[first] and units[first].block == block and #chosen < MAX_CODE do
    chosen[#chosen + 1] = first
    first = first + 1
  end
  return chosen
end

-- A passage that only announces, or hardly says anything, is given with its neighbour.
local function with_neighbour(chosen, units, max)
  local index = chosen[1]
  local unit, after = units[index], units[index + 1]
  if #chosen == 1 and max > 1 and after and after.block == unit.block
    and (#unit.text < 30 or unit.text:find(":$")) then
    chosen[2] = index + 1
  end
  return chosen
end

local function first_ones(units, max)
  local chosen = {}
  for i = 1, math.min(max, #units) do
    chosen[i] = i
  end
  return chosen
end

-- Sentences run on, anything else stands on a line of its own.
local function compose(units, chosen)
  table.sort(chosen)
  local parts = {}
  for i, index in ipairs(chosen) do
    local unit = units[index]
    local text = unit.text
    if i < #chosen and unit.kind == "prose" and text:find("[%w\128-\255]$") then
      text = text .. "."
    end
    if i > 1 then
      local before = units[chosen[i - 1]]
      parts[#parts + 1] = (unit.kind == "prose" and before.kind == "prose") and " " or "\n"
    end
    parts[#parts + 1] = text
  end
  return table.concat(parts)
end

--- The answer to a question by a context.
---@param question string
---@param context string
---@param max integer  passages at most
---@return string
function extractive.answer(question, context, max)
  local units = passages.split(context)
  if #units == 0 then
    return NO_CONTEXT
  end
  local terms = ranking.terms(question)
  if terms.count == 0 then
    return compose(units, first_ones(units, max))
  end
  local entries = ranking.rank(terms, question, units)
  if not entries[1] or entries[1].cover < ENOUGH then
    return NOT_SAID
  end
  local best = entries[1]
  if best.unit.kind == "code" then
    return compose(units, code_block(units, best.index))
  end
  return compose(units, with_neighbour(choose(entries, max), units, max))
end

-- Running -----------------------------------------------------------------------------------------

local noted = false

local function note_once()
  if not noted then
    noted = true
    log.notice(NOTE)
  end
end

local function answer_of(self, messages)
  note_once()
  local question, context = extractive.question_of(text_of(messages))
  return extractive.answer(question, context, self.max_sentences)
end

function methods:_generate(messages)
  return message.answer({ content = answer_of(self, messages) })
end

-- Word by word, each with the blanks behind it.
function methods:_chunks(messages)
  local next_word = answer_of(self, messages):gmatch("%S+%s*")
  local make = message.first_chunk
  return function()
    local word = next_word()
    if not word then
      return nil
    end
    local piece = make({ content = word })
    make = message.AIMessageChunk
    return piece
  end
end

return extractive
