--- The option `--trace` of the command line.
local function tracer_of(target)
  if target == true then return require("moonpipe.tracers.timeline").TimelineTracer() end
  if target == "otlp" then return require("moonpipe.tracers.otlp").OTLPTracer() end
  if target:find("%.jsonl$") then return require("moonpipe.tracers.runlog").RunLog(target) end
  if target:find("%.json$") then return require("moonpipe.tracers.chrome").ChromeTracer(target) end
  return require("moonpipe.tracers.timeline").TimelineTracer(target)
end

---Traces every call.
---@param target string|true  TO, or true where it is left out
---@return table? tracer
---@return string? problem
return function(target)
  require "moonpipe.steps.runnable"
  local ok, tracer = pcall(tracer_of, target)
  if not ok then return nil, require("moonpipe.error").text(tracer) end
  require("moonpipe.context").add_callback(tracer)
  return tracer
end
