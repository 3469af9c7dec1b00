--- UUIDs (RFC 9562): random ones, version 4, and those of texts, version 8.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local uuid = {}

local FORMAT = ("%02x"):rep(4) .. ("-" .. ("%02x"):rep(2)):rep(3) .. "-" .. ("%02x"):rep(6)

local urandom

-- Unbuffered, so that a forked child does not inherit bytes that its parent will use.
local function random_bytes()
  if not urandom then
    urandom = io.open("/dev/urandom", "rb")
    if not urandom then errors.raise("io", "cannot open /dev/urandom") end
    urandom:setvbuf("no")
  end
  return urandom:read(16)
end

---The UUID of texts: the same for the same ones.
---@type fun(...: string): string
uuid.of = native.c.uuid_of

---@return string
function uuid.new()
  local bytes = { random_bytes():byte(1, 16) }
  bytes[7], bytes[9] = bytes[7] % 16 + 64, bytes[9] % 64 + 128
  return FORMAT:format(unpack(bytes))
end

return uuid
