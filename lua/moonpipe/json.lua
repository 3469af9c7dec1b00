--- JSON for data that users see: whole texts, half texts, texts in pieces.
--
-- Arrays carry the metatable of `json.array`, null is `json.null`, integers
-- beyond 2^53 are strings of digits, bad UTF-8 and lone surrogates become
-- U+FFFD. Failures are mp.Errors: kind `decode` with `offset` (bytes from 0),
-- `line` and `column` (from 1), or kind `input` with the path of what cannot be
-- encoded.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local c = native.c
local ARRAY = c.json_array_mt

local json = {
  --- The null of JSON: a light userdata, the same as cjson's.
  null = c.json_null,
}

local READING = { "lenient", "unique_keys" }
local MAX_INDENT = 16

local function check(value, message, kind, offset, line, column)
  if value == nil and kind then
    errors.raise(kind, message, { offset = offset, line = line, column = column })
  end
  return value
end

local function check_text(text, what)
  if type(text) ~= "string" then
    errors.usage(("%s takes a text, got %s"):format(what, errors.shape(text)))
  end
end

---@class moonpipe.JsonReading
---@field unique_keys boolean?  equal keys in one object are an error; else the last wins
---@field lenient boolean?      for what models write: raw control characters in strings are taken,
---                             and what follows the value is ignored

---Returns the value of a whole JSON text.
---@param text string
---@param opts moonpipe.JsonReading?
---@return any
function json.decode(text, opts)
  check_text(text, "json.decode")
  if not opts then return check(c.json_decode(text)) end
  errors.options(opts, READING, "json.decode")
  return check(c.json_decode(text, opts.unique_keys, opts.lenient))
end

---Returns the value of a text that may have been cut anywhere, nil where nothing is known yet. Open
---strings, arrays and objects are kept as far as they go; half a number, a half literal or a key
---without its value is not. Lenient; a text that no continuation could make JSON raises.
---@param text string
---@return any
function json.decode_partial(text)
  check_text(text, "json.decode_partial")
  return check(c.json_decode(text, false, true, true))
end

---@class moonpipe.JsonDecoder
---@field private native userdata
local Decoder = {}
local decoder_mt = { __name = "moonpipe.JsonDecoder", __index = Decoder }

---Makes a decoder for one text that arrives in pieces.
---@param opts moonpipe.JsonReading?
---@return moonpipe.JsonDecoder
function json.decoder(opts)
  opts = errors.options(opts, READING, "json.decoder")
  return setmetatable({ native = c.json_decoder(opts.unique_keys, opts.lenient) }, decoder_mt)
end

---Takes the next piece, cut anywhere. Raises at the first byte that is wrong, then always.
---@param text string
---@return moonpipe.JsonDecoder self
function Decoder:feed(text)
  check_text(text, "feed")
  check(self.native:feed(text))
  return self
end

---Returns the value so far, as json.decode_partial does. Values given earlier never change: open
---containers are copied, closed ones are shared between calls.
---@return any
function Decoder:value()
  return check(self.native:value())
end

---Returns what the last value() cost: a unit for each member, and for each 16 bytes of text, that
---was copied.
---@return integer
function Decoder:work()
  return self.native:work()
end

---Returns the whole value; raises if the text is not complete.
---@return any
function Decoder:finish()
  return check(self.native:finish())
end

---True once the whole value was read. A number at the top has no end of its own: only finish() can
---know.
---@return boolean
function Decoder:done()
  return self.native:done()
end

local function indent_of(opts)
  local indent = errors.options(opts, { "indent" }, "json.encode").indent
  if type(indent) == "number" and indent >= 0 and indent <= MAX_INDENT then
    return (" "):rep(indent)
  elseif indent ~= nil and not (type(indent) == "string" and indent:find("^[ \t]*$")) then
    errors.usage(("indent of json.encode must be 0 to %d or a string of blanks, got %s"):format(
      MAX_INDENT, type(indent) == "string" and ("%q"):format(indent) or errors.shape(indent)))
  end
  return indent
end

---Returns the JSON text of a value, keys sorted by bytes. Arrays are tables marked by json.array,
---tables with the keys 1 to n, and tables of integers with a field `n` (missing ones are null);
---tables with string keys, and empty ones, are objects. All else raises. A table with a metamethod
---`__tojson(self)` is written as what that returns.
---@param value any
---@param opts { indent: integer|string|nil }?  spaces, or the blanks themselves; none: one line
---@return string
function json.encode(value, opts)
  return check(c.json_encode(value, opts and indent_of(opts)))
end

---Marks a table as an array, so that it is one even when empty. Returns the table itself.
---@generic T: table
---@param t T?  default: a new one
---@return T
function json.array(t)
  if t == nil then t = {} end
  local mt = type(t) == "table" and getmetatable(t)
  if type(t) ~= "table" or mt and mt ~= ARRAY then
    errors.usage("mp.array takes a plain table, got " .. errors.shape(t))
  end
  return setmetatable(t, ARRAY)
end

---@param value any
---@return boolean
function json.is_array(value)
  return type(value) == "table" and getmetatable(value) == ARRAY
end

return json
