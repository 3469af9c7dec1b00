--- Calls of http.lua for specs: plans for the test server, and what streams hold.
local cjson = require "cjson"
local errors = require "moonpipe.error"
local http = require "moonpipe.http.http"
local mp = require "moonpipe"
local native = require "moonpipe.native"

local calls = {}

local now = native.c.now
calls.now = now

--- As busted's `it`, whose body runs in a task that ends within [seconds] (10), and
--- all that it opened with it.
---@param name string
---@param fn fun()
---@param seconds number?
function calls.it(name, fn, seconds)
  -- here, for children have no busted
  require("busted").it(name, function() require("spec.helper").run(fn, seconds) end)
end

--- The body of a request for a chat completion, which the server answers with [text].
---@param text string?
---@param is_stream boolean?
function calls.body(text, is_stream)
  return cjson.encode({
    model = "m", stream = is_stream or nil,
    messages = { { role = "user", content = text or "one two three" } },
  })
end

calls.BODY = calls.body()
calls.STREAM = calls.body(nil, true)

--- A plan for chat completions of a base URL; [fields] are those of http.plan.
---@param base_url string
---@param fields table?
function calls.plan(base_url, fields)
  local spec = {
    url = base_url .. "/chat/completions",
    headers = { { "Content-Type", "application/json" } },
    proxy = "",
  }
  for name, value in pairs(fields or {}) do spec[name] = value end
  return http.plan(spec)
end

--- Sends calls.BODY, for at most ten seconds unless [seconds] says otherwise.
function calls.send(base_url, fields, seconds)
  return http.send(calls.plan(base_url, fields), calls.BODY, now() + (seconds or 10))
end

--- Opens calls.STREAM in the same way.
function calls.open(base_url, fields, seconds, framing)
  return http.open(calls.plan(base_url, fields), calls.STREAM, now() + (seconds or 10), nil, framing)
end

--- The records of a stream as far as they come, and the error that ended it.
---@return string[] records
---@return moonpipe.Error? err
function calls.read(reader)
  local records = {}
  local ok, err = pcall(function()
    for data in function() return reader:read() end do records[#records + 1] = data end
  end)
  if not ok and not errors.is(err) then error(err, 0) end
  return records, not ok and err or nil
end

-- A record that was cut, as the last one may be, says nothing.
local function content_of(data)
  local ok, value = pcall(cjson.decode, data)
  local choice = ok and value.choices[1]
  return choice and choice.delta.content or nil
end

--- The text that the records of a chat completion hold, and whether `[DONE]` came.
---@param records string[]
function calls.text(records)
  local parts = {}
  for _, data in ipairs(records) do parts[#parts + 1] = content_of(data) end
  return table.concat(parts), records[#records] == "[DONE]"
end

--- How long fn(...) took, and what it gave.
function calls.timed(fn, ...)
  local begun = now()
  local value = fn(...)
  return now() - begun, value
end

--- As server:wait, but tasks go on meanwhile.
---@param server spec.Server
---@param check fun(stats: table): boolean
---@param seconds number?  5
function calls.wait(server, check, seconds)
  local limit = now() + (seconds or 5)
  repeat
    mp.sleep(0.002)
    local stats = server:stats()
    if check(stats) then return stats end
  until now() > limit
  error("the server never saw it: " .. cjson.encode(server:stats()), 2)
end

--- A function that makes a model whose calls [server] answers as a script says.
---@param server spec.Server
---@param defaults table?  options that are not given
function calls.models(server, defaults)
  return function(script, opts)
    local all = { base_url = script and server:with(script) or server.base_url }
    for _, set in ipairs { defaults or {}, opts or {} } do
      for key, value in pairs(set) do all[key] = value end
    end
    return mp.ChatOpenAI(all)
  end
end

return calls
