--- A call as a tree in the terminal: bars on one time scale, tokens, first tokens.
--
--   RunnableSequence            1.204 s |==============================|
--     RunnableParallel<a,b>     0.601 s |==============                |
--       a: ChatOpenAI gpt-x     0.600 s |==============                | 12+30 tokens
--       b: ChatOpenAI gpt-x     0.450 s |==========                    | 12+22 tokens
--
-- A tree is written when its root has ended. Contents are shown only if asked.
local drawing = require "moonpipe.tracers.drawing"
local errors = require "moonpipe.error"
local inspect = require "moonpipe.inspect"
local record = require "moonpipe.tracers.record"
local redact = require "moonpipe.redact"
local terminal = require "moonpipe.terminal"

local timeline = {}

local CONTENT = 60 -- bytes of an input or an output

local function short(value)
  local text = redact.text(inspect(value)):gsub("%s+", " ")
  if #text > CONTENT then text = text:sub(1, CONTENT - 3) .. "..." end
  return text
end

local function notes_of(run, contents)
  local notes = {}
  local usage = record.usage(run)
  if run.first and run.kind == "chat_model" then
    notes[#notes + 1] = ("first %.3f s"):format(run.first - run.started)
  end
  if usage then
    notes[#notes + 1] = ("%d+%d tokens"):format(usage.input_tokens or 0, usage.output_tokens or 0)
  end
  local together = record.together(run)
  for _, what in ipairs { "embedded", "searched" } do
    local count = together[what .. "_together"] or 1
    if count > 1 then notes[#notes + 1] = ("%d %s together"):format(count, what) end
  end
  if run.error then notes[#notes + 1] = record.problem(run) end
  if contents then notes[#notes + 1] = short(run.inputs) .. " -> " .. short(run.outputs) end
  return table.concat(notes, ", ")
end

-- Depth first, in the order in which the runs began.
local function walk(run, below, depth, contents, out)
  out[#out + 1] = {
    depth = depth, name = drawing.name(run.name, record.model(run), run.tag),
    started = run.started, ended = run.ended, notes = notes_of(run, contents),
  }
  for _, child in ipairs(below[run] or {}) do walk(child, below, depth + 1, contents, out) end
  return out
end

local function lines_of(root, runs, contents)
  local below = {}
  for _, run in ipairs(runs) do
    local list = below[run.parent] or {}
    below[run.parent] = list
    list[#list + 1] = run
  end
  return drawing.lines(walk(root, below, 0, contents, {}))
end

---A callback that writes each call as a tree with bars.
---@param target string|file*|nil  a path or a file; default: standard error
---@param opts { contents: boolean? }?
---@return table callback
function timeline.TimelineTracer(target, opts)
  opts = errors.options(opts, { "contents" }, "TimelineTracer")
  local file = record.open(target or io.stderr, "TimelineTracer", "w")
  local below = setmetatable({}, { __mode = "k" }) -- root -> the runs below it
  local function note_end(run)
    if run.parent then return end
    local lines = lines_of(run, below[run] or {}, opts.contents)
    below[run] = nil
    file:write(terminal.printable(redact.text(table.concat(lines, "\n"))), "\n")
    file:flush()
  end
  local function note_start(run)
    if not run.parent then
      below[run] = {}
    elseif below[run.root] then
      table.insert(below[run.root], run)
    end
  end
  return { on_start = note_start, on_end = note_end, on_error = note_end }
end

return timeline
