--- Tells of each attempt of a call, for who looks on: `moonpipe -v`.
local http = require "moonpipe.http.http"
local native = require "moonpipe.native"

local c = native.c

---@class moonpipe.Attempt
---@field method string?
---@field url string            with the secrets of its query
---@field status integer?       of the answer; of a stream its head has come
---@field err moonpipe.Error?   why there is none
---@field seconds number
---@field number integer?       of the attempts of its call

-- fn (http.send or http.open), of whose attempts [tell] hears.
local function watched(fn, tell)
  return function(plan, body, total_at, clock, framing)
    local about, begun = http.recordable(plan), c.now()
    local ok, answer = pcall(fn, plan, body, total_at, clock, framing)
    if about then
      tell {
        method = about.method or body and "POST" or "GET", url = about.url,
        status = ok and answer.status or nil, err = not ok and answer or nil,
        seconds = c.now() - begun, number = clock and clock.attempts,
      }
    end
    if not ok then error(answer, 0) end
    return answer
  end
end

---Has [tell] called after each attempt from here on; nil: nobody.
---@param tell fun(attempt: moonpipe.Attempt)?
return function(tell)
  function http.wrap(fn) return tell and watched(fn, tell) or fn end
  http.insert(http.tape())
end
