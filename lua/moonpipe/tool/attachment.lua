--- Files that go along with a question: images as they are, all else as text.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local c = native.c

local MAX = 20 * 2 ^ 20 -- bytes; providers take no larger images

-- How the images begin that models can read.
local IMAGES = {
  { "^\137PNG\r\n", "image/png" }, { "^\255\216\255", "image/jpeg" }, { "^GIF8", "image/gif" },
  { "^RIFF....WEBP", "image/webp" },
}

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function digit(number)
  return DIGITS:sub(number + 1, number + 1)
end

local function quad(a, b, d)
  local bits = a * 65536 + (b or 0) * 256 + (d or 0)
  return digit(math.floor(bits / 262144)) .. digit(math.floor(bits / 4096) % 64)
    .. (b and digit(math.floor(bits / 64) % 64) or "=") .. (d and digit(bits % 64) or "=")
end

local function base64(bytes)
  local out = {}
  for at = 1, #bytes, 3 do out[#out + 1] = quad(bytes:byte(at, at + 2)) end
  return table.concat(out)
end

local function mime_of(bytes)
  for _, kind in ipairs(IMAGES) do
    if bytes:find(kind[1]) then return kind[2] end
  end
end

---The block of a message that holds the file at [path], or the image at a URL.
---@param path string
---@return table block
return function(path)
  if path:find("^https?://") then return { type = "image", url = path } end
  local bytes = native.check(c.read_file(path, nil, MAX))
  local mime = mime_of(bytes)
  if mime then return { type = "image", base64 = base64(bytes), mime_type = mime } end
  if bytes:find("%z") or c.utf8_repair(bytes) ~= bytes then
    errors.raise("unsupported", ("'%s' is no image that models read (PNG, JPEG, GIF, WebP), and no"
      .. " text"):format(path))
  end
  return { type = "text", text = ("The file %s:\n\n%s"):format(path, bytes) }
end
