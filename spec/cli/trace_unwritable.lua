-- A trace that cannot be written is a mistake of the command line.
--: options "--trace=/nonexistent/trace.json"
--: exit 2
local _ = "never run"
--! moonpipe: io: ChromeTracer cannot write: /nonexistent/trace.json
