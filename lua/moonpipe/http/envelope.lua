--- The JSON in which a provider wraps its answers: of it only known fields are read.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"

local c = native.c
local NULL = c.json_null

local envelope = {}

---The value of an envelope, or nil, the problem, its kind and its offset. Its texts may hold
---halves of characters, whose other halves the next record has: utf8_repair joins them. A
---number that no double holds is null.
---@param text string
---@return any value
---@return string? message
---@return string? kind
---@return integer? offset
function envelope.decode(text)
  if text:byte() == 0xef then text = text:gsub("^\239\187\191", "") end -- a byte order mark
  return c.json_decode(text, false, false, false, true)
end

---A member of an envelope; null is none.
---@param value any
---@return any
function envelope.member(value)
  if value ~= NULL then return value end
end

---A member that is a text and not an empty one.
---@param value any
---@return string?
function envelope.text(value)
  return type(value) == "string" and value ~= "" and value or nil
end

---Drops the nulls of a table and of those in it.
---@param t table
---@return table t
function envelope.without_null(t)
  for key, value in pairs(t) do
    if value == NULL then
      t[key] = nil
    elseif type(value) == "table" then
      envelope.without_null(value)
    end
  end
  return t
end

---The texts named [field] of the objects in a list; none where it is no list.
---@param list any
---@param field string
---@return string[]
function envelope.texts(list, field)
  local out = {}
  for _, entry in ipairs(type(list) == "table" and list or {}) do
    out[#out + 1] = type(entry) == "table" and envelope.text(entry[field]) or nil
  end
  return out
end

---The object of a whole answer; raises what came in its place.
---@param response moonpipe.HttpResponse
---@param who moonpipe.Provider
---@return table
function envelope.read(response, who)
  local body = response.body or ""
  if body == "" then
    provider.reject(who, response, "protocol", "the answer is empty", true)
  end
  local value, problem, _, offset = envelope.decode(body)
  if type(value) == "table" then return value end
  local type_said = response.header("content-type") or ""
  if type_said:find("html", 1, true) or body:find("^%s*<") then
    provider.reject(who, response, "protocol", "the answer is HTML, not JSON", false)
  elseif body:find("^%s*data:") then
    provider.reject(who, response, "protocol", "the answer is a stream, not JSON", false)
  elseif value ~= nil then
    provider.reject(who, response, "protocol", "the answer is JSON, but no object", false)
  end
  errors.raise("decode", "the answer is no JSON: " .. problem, {
    provider = who.name, status = response.status, offset = offset,
  })
end

return envelope
