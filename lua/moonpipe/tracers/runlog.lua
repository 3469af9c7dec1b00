--- A log of runs: one line of JSON for each run that has ended.
--
-- { id, parent_id, trace_id, name, kind, tags, start, end, error, model, tokens,
-- cached, first, embedded_together, searched_together }: `start` and `end` are Unix
-- seconds, `first` the seconds to the first chunk, `cached` an answer of a cache of
-- ours. `inputs`, `outputs` and the metadata only if asked for contents.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local record = require "moonpipe.tracers.record"

local runlog = {}

local function line_of(run, contents)
  local line = {
    id = run.id,
    parent_id = run.parent and run.parent.id,
    trace_id = run.root.id,
    name = run.name,
    kind = run.kind,
    tags = json.array { unpack(run.tags) },
    start = record.wall(run.started),
    ["end"] = record.wall(run.ended),
    first = run.first and run.first - run.started,
    error = record.problem(run),
    model = record.model(run),
    tokens = record.usage(run),
    cached = record.is_cached(run) or nil,
  }
  for name, count in pairs(record.together(run)) do line[name] = count end
  if contents then
    line.inputs, line.outputs = record.data(run.inputs), record.data(run.outputs)
    line.metadata = record.data(run.metadata)
  end
  return record.encode(line)
end

---A callback that appends each run to a file.
---@param target string|file*
---@param opts { contents: boolean? }?
---@return table callback
function runlog.RunLog(target, opts)
  opts = errors.options(opts, { "contents" }, "RunLog")
  local file = record.open(target, "RunLog", "a")
  local function note_end(run)
    file:write(line_of(run, opts.contents), "\n")
    file:flush()
  end
  return { on_end = note_end, on_error = note_end }
end

return runlog
