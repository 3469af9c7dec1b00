--- Asks servers with curl: the oracle for the test server, before any client of
--- ours is involved.
local cjson = require "cjson"
local helper = require "spec.helper"

local curl = {}

local BODY = [[{"model":"m","messages":[{"role":"system","content":"x"},]]
  .. [[{"role":"user","content":"one two \"three\""}]%s}]]

--- Request bodies for a chat completion.
curl.CHAT = BODY:format("")
curl.STREAM = BODY:format([[,"stream":true]])
curl.USAGE = BODY:format([[,"stream":true,"stream_options":{"include_usage":true}]])

--- Returns { status, head, body, code }, code being curl's exit code. Without a
--- body it is a GET; more arguments go to curl.
function curl.ask(url, body, ...)
  local head = helper.temp()
  local out, _, code = helper.execute({ "curl", "-sS", "-N", "-m", "10", "-D", head, url,
    "-H", "Content-Type: application/json", unpack(body and { "-d", body, ... } or { ... }) })
  local text = helper.read(head)
  return { head = text, body = out, code = code,
    status = tonumber(text:match("^HTTP/[%d.]+ (%d+)")) }
end

--- The same for a chat completion; the body is curl.CHAT unless given.
function curl.chat(base_url, body, ...)
  return curl.ask(base_url .. "/chat/completions", body or curl.CHAT, ...)
end

--- The data of each event of a stream that ends lines with LF.
function curl.events(body)
  local out = {}
  for data in body:gmatch("data: ([^\n]*)\n\n") do out[#out + 1] = data end
  return out
end

--- The pieces of text in a stream.
function curl.contents(body)
  local out = {}
  for _, data in ipairs(curl.events(body)) do
    local chunk = data ~= "[DONE]" and cjson.decode(data)
    local choice = chunk and chunk.choices[1]
    local text = choice and choice.delta.content
    if text and text ~= "" then out[#out + 1] = text end
  end
  return out
end

-- /proc/uptime knows hundredths.
local function seconds()
  local clock = assert(io.open("/proc/uptime"))
  local now = clock:read("*n")
  clock:close()
  return now
end

--- How long `fn` took, in seconds.
function curl.timed(fn)
  local begin = seconds()
  fn()
  return seconds() - begin
end

return curl
