--- What a program that failed says, and its exit code.
local errors = require "moonpipe.error"
local settings = require "moonpipe.settings"

local failure = {}

local FAILED, DEADLINE = 1, 124

-- Exit codes of failures of the world; what is not listed is FAILED.
local CODES = {
  config = 3,
  auth = 4, quota = 4, refused_request = 4, context_length = 4, content_filter = 4,
  dns = 5, connect = 5, tls = 5, timeout_connect = 5, timeout_first_byte = 5,
  timeout_idle = 5, reset = 5, truncated = 5, protocol = 5, rate_limit = 5,
  timeout_total = DEADLINE,
}

---@param err moonpipe.Error
---@return integer
function failure.code_of(err)
  if err.kind == "http" then return (err.status or 500) < 500 and 4 or 5 end
  if err.kind == "decode" and err.provider then return CODES.protocol end
  return CODES[err.kind] or FAILED
end

-- The lines of a traceback that are the user's; all with -v.
local function own_lines(traceback)
  if settings.flags.verbose then return traceback:match("\nstack traceback:.*") or "" end
  local lines = {}
  for line in traceback:gmatch("\n\t([^\n]+)") do
    if not line:find("^moonpipe:") and not line:find("^%[C%]") then
      lines[#lines + 1] = "\n\t" .. line
    end
  end
  return #lines > 1 and "\nstack traceback:" .. table.concat(lines) or ""
end

---What happened, in a text that may be shown: without secrets, and with the lines of the
---user's of a traceback.
---@param err moonpipe.Error
---@return string
function failure.text_of(err)
  local text = require("moonpipe.terminal").printable(errors.text(err))
  if err.kind == "lua" then
    text = text:gsub("^lua: ", "", 1) .. (err.traceback and own_lines(err.traceback) or "")
  end
  return require("moonpipe.redact").text(text)
end

return failure
