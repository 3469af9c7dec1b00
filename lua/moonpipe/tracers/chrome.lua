--- Runs as a Chrome trace-event file, for Perfetto or chrome://tracing.
--
-- Branches of a map, and calls at once, have lanes (`tid`) of their own. The file
-- is whole after every call that ended: `{"traceEvents":[…]}`, complete events
-- ("ph":"X") with microseconds of the wall clock.
local errors = require "moonpipe.error"
local record = require "moonpipe.tracers.record"

local chrome = {}

local CLOSING = "\n]}\n"

-- The lowest lane that nobody is in.
local function take_lane(lanes)
  local lane = 1
  while lanes[lane] do lane = lane + 1 end
  lanes[lane] = true
  return lane
end

local function args_of(run, contents)
  local usage = record.usage(run)
  local args = {
    id = run.id,
    parent_id = run.parent and run.parent.id,
    error = record.problem(run),
    model = record.model(run),
    tag = run.tag,
    input_tokens = usage and usage.input_tokens,
    output_tokens = usage and usage.output_tokens,
  }
  for name, count in pairs(record.together(run)) do args[name] = count end
  if contents then args.inputs, args.outputs = record.data(run.inputs), record.data(run.outputs) end
  return args
end

local function event_of(run, lane, contents)
  return record.encode {
    name = run.name,
    cat = run.kind,
    ph = "X",
    ts = math.floor(record.wall(run.started) * 1e6),
    dur = math.floor(run:elapsed() * 1e6),
    pid = 1,
    tid = lane,
    args = args_of(run, contents),
  }
end

-- The closing bracket is written over by the next event.
local function append(file, separator, text)
  file:seek("end", -#CLOSING)
  file:write(separator, "\n", text, CLOSING)
  file:flush()
end

---A callback that writes a Chrome trace.
---@param path string
---@param opts { contents: boolean? }?  contents: inputs and outputs too
---@return table callback
function chrome.ChromeTracer(path, opts)
  opts = errors.options(opts, { "contents" }, "ChromeTracer")
  local file = record.open(path, "ChromeTracer", "w+")
  file:write("{\"traceEvents\":[", CLOSING)
  local lanes, separator = {}, ""
  local lane_of, owned = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "k" })
  local function note_start(run)
    owned[run] = not run.parent or run.tag ~= nil and run.tag:find("^map:key:") ~= nil
    lane_of[run] = owned[run] and take_lane(lanes) or lane_of[run.parent]
  end
  local function note_end(run)
    local lane = lane_of[run]
    if not lane then return end -- its call began before this tracer was there
    append(file, separator, event_of(run, lane, opts.contents))
    separator = ","
    if owned[run] then lanes[lane] = nil end
  end
  return { on_start = note_start, on_end = note_end, on_error = note_end }
end

return chrome
