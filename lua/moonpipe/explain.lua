--- Where a chain streams, and where not: `print(chain:explain_stream())`.
--
-- What a step does with a stream is one of three: "passes" chunks on as they come,
-- "answers" in chunks once it has its whole input, or answers with the "whole" at
-- once. A step that knows better than its methods tell says so in `_flow()`.
local runnable = require "moonpipe.steps.runnable"

local base = runnable.base

---@class moonpipe.Flow
---@field step moonpipe.Runnable
---@field flow "passes"|"answers"|"whole"
---@field why string?
---@field label string?          of a branch: its key
---@field parts moonpipe.Flow[]?

local explain = {}

local WHY = {
  BasePromptTemplate = "a prompt needs all its values",
  BaseDocumentCompressor = "documents are judged when all are there",
  BaseRetriever = "a search needs the whole question",
  EnsembleRetriever = "its lists are fused when all are there",
  RunnableBranch = "its conditions look at the whole input",
  OutputFixingParser = "a model mends the whole answer",
  RouterRunnable = "some of its steps do so",
  RunnableHedge = "a second attempt needs all of it",
  RunnableLambda = "a function is given a whole value; mp.map_chunks(fn) gives it each chunk, and a"
    .. " step that it returns is streamed",
  RunnableLoop = "which round is the last shows when it has ended",
  RunnableRetry = "it keeps its input for another attempt",
  RunnableWithFallbacks = "it keeps its input for the next",
  RunnableWithMessageHistory = "what was asked is stored whole",
  itemgetter = "it says what is missing; RunnablePick passes chunks on",
}

local TEXT = {
  passes = "passes chunks on",
  answers = "takes its whole input, then streams its answer",
  whole = "takes its whole input, and answers in one piece",
  map = "gives the chunks of its branches as they come",
  each = "gives the chunks of its items as they come",
  router = "passes the chunks of its input on, once a map before it has given the key",
}

local function why_of(step)
  if step.run_kind == "prompt" then return WHY.BasePromptTemplate end
  if step.run_kind == "retriever" then return WHY[step.class_name] or WHY.BaseRetriever end
  return WHY[step.class_name] or step._compress and WHY.BaseDocumentCompressor or nil
end

-- By what the class does better than the defaults.
local function by_methods(step)
  if step._flow then return step:_flow() end
  if step._transform ~= base._transform then return "passes" end
  if step._stream ~= base._stream then return "answers" end
  return "whole"
end

local describe

local function children(parts)
  local list = {}
  for _, item in ipairs(parts.items) do
    if item.step then
      local one = describe(item.step)
      one.label = item.label
      list[#list + 1] = one
    end
  end
  return list
end

local function all_pass(list)
  for _, one in ipairs(list) do
    if one.flow ~= "passes" then return false end
  end
  return true
end

local function any_streams(list)
  for _, one in ipairs(list) do
    if one.flow ~= "whole" then return true end
  end
  return false
end

-- What comes out of a sequence: one piece where a step makes one and none behind it
-- makes more of it.
local function flow_of_sequence(list)
  local flow = "passes"
  for _, one in ipairs(list) do
    if one.flow ~= "passes" then flow = one.flow end
  end
  return flow
end

local SHAPES = {}

function SHAPES.sequence(step, list)
  return step._flow and step:_flow() or flow_of_sequence(list)
end

function SHAPES.map(step, list)
  if step._flow then return step:_flow() end
  return all_pass(list) and "passes" or "answers"
end

function SHAPES.choice(step, list)
  if step._flow then return step:_flow() end
  return any_streams(list) and "answers" or "whole"
end

function SHAPES.frame(step)
  return by_methods(step)
end

-- A step around one other that waits for its input.
local function around(step, inner)
  if step.transparent and step._transform ~= base._transform then return inner end
  return {
    step = step,
    flow = inner.flow == "whole" and "whole" or "answers",
    why = why_of(step),
    parts = inner.parts,
  }
end

function describe(step)
  local parts = step:_parts()
  local bound = step.bound
  if parts and parts.shape == "same" then bound = parts.items[1].step end
  if bound and not (parts and parts.shape ~= "same") then return around(step, describe(bound)) end
  if not parts then return { step = step, flow = by_methods(step), why = why_of(step) } end
  local list = children(parts)
  return {
    step = step,
    flow = SHAPES[parts.shape](step, list),
    why = why_of(step),
    parts = list,
    shape = parts.shape,
  }
end

-- ---- telling -----------------------------------------------------------------

local function several_of(one)
  if one.shape == "map" and not one.step._flow then return "map" end
  if one.step.class_name == "RunnableEach" then return "each" end
  return one.step.class_name == "RouterRunnable" and one.flow == "passes" and "router"
end

local function line_of(one, name)
  local several = several_of(one)
  local text = name .. ": " .. TEXT[several or one.flow]
  if one.flow == "passes" or not one.why then return text end
  return text .. " (" .. one.why .. ")"
end

local function tell(one, name, indent, out)
  out[#out + 1] = indent .. line_of(one, name)
  for i, part in ipairs(one.parts or {}) do
    local label = part.step:_label()
    if one.shape == "sequence" then
      label = ("step %d of %d %s"):format(i, #one.parts, label)
    elseif part.label then
      label = ("'%s' %s"):format(part.label, label)
    end
    tell(part, label, indent .. "  ", out)
  end
end

-- The last step that waits for its whole input.
local function last_blocking(list)
  for i = #list, 1, -1 do
    if list[i].flow ~= "passes" then return i, list[i] end
  end
end

-- A step that is made as one, and answers for all of it, is none.
local function is_sequence(one)
  return one.shape == "sequence" and not one.step._flow
end

local function verdict(one)
  local is_chain = is_sequence(one)
  local list = is_chain and one.parts or { one }
  local i, blocking = last_blocking(list)
  if not i then return "chunks go through as they come" end
  local place = is_chain and ("step %d of %d "):format(i, #list) or ""
  local name = place .. blocking.step:_label()
  if one.flow == "whole" then return "the answer comes in one piece, because of " .. name end
  return "the answer is streamed from " .. name .. " on"
end

---What [step] does with a stream, with all that it is made of.
---@param step moonpipe.Runnable
---@return moonpipe.Flow
function explain.describe(step)
  return describe(step)
end

---What streams in [step], line by line.
---@param step moonpipe.Runnable
---@return string
function explain.stream(step)
  local tree, out = describe(step), {}
  if is_sequence(tree) then
    for i, part in ipairs(tree.parts) do
      tell(part, ("step %d of %d %s"):format(i, #tree.parts, part.step:_label()), "", out)
    end
  else
    tell(tree, tree.step:_label(), "", out)
  end
  out[#out + 1] = verdict(tree)
  return table.concat(out, "\n")
end

return explain
