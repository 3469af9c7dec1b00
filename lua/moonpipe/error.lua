--- The one error type, and the words in which programmers are told of theirs.
--
-- Two tiers: a wrong use of the library raises a string with the user's file
-- and line (`errors.usage`); a failure of the world is an mp.Error, raised with
-- `error(err, 0)` and passed through unchanged by every combinator, which only
-- adds where it happened.

local OURS = "=moonpipe:"

---@class moonpipe.Error
---@field kind string        one of the closed list of kinds
---@field message string
---@field path string?       `map.context > step 2 of 3 ChatOpenAI`
---@field where string?      file:line at which the failing step was composed, or that made the call
---@field span string?       file:line:column-column of the failing step, where `|` has it
---@field step string?       name of the failing step
---@field input string?      what that was given: `{ question = "why" (string, 3 bytes) }`
---@field provider string?
---@field model string?
---@field status integer?    HTTP status
---@field request_id string?
---@field attempts integer?
---@field elapsed number?    seconds
---@field retryable boolean?
---@field retry_after number? seconds
---@field partial any        what had arrived
---@field siblings table?    key -> state of the other branches
---@field cause any          the value that was raised, where it was not an mp.Error
---@field traceback string?
local Error = {}

local mt = { __name = "moonpipe.Error", __index = Error }

local errors = { mt = mt }

local KINDS = {}
for kind in ([[dns connect tls timeout_connect timeout_first_byte timeout_idle
  timeout_total reset truncated protocol http auth quota rate_limit
  context_length content_filter refused_request too_large decode schema tool
  cancelled closed lua limit memory fds io config internal input
  unsupported]]):gmatch("%S+") do
  KINDS[kind] = true
end
errors.KINDS = KINDS

---Makes an mp.Error of the given fields, which it takes.
---@param fields table  needs kind and message
---@return moonpipe.Error
function errors.new(fields)
  if not KINDS[fields.kind] then
    error("unknown error kind '" .. tostring(fields.kind) .. "'", 2)
  end
  return setmetatable(fields, mt)
end

---@return boolean
function errors.is(value)
  return getmetatable(value) == mt
end

---Raises an mp.Error.
---@param kind string
---@param message string
---@param fields table?  further fields; taken
function errors.raise(kind, message, fields)
  fields = fields or {}
  fields.kind, fields.message = kind, message
  error(errors.new(fields), 0)
end

---`tostring` that survives a failing or lying __tostring.
---@return string
function errors.text(value)
  local ok, text = pcall(tostring, value)
  if ok and type(text) == "string" then return text end
  return "a " .. type(value) .. " whose __tostring fails"
end

---The mp.Error for whatever was raised: itself, or one of kind `lua`.
---@param value any
---@param traceback string?
---@return moonpipe.Error
function errors.wrap(value, traceback)
  if getmetatable(value) == mt then return value end
  local err = { kind = "lua", message = errors.text(value), traceback = traceback }
  if err.message:find "not enough memory$" then err.kind = "memory" end -- LuaJIT's own words
  if type(value) ~= "string" then err.cause = value end -- false too
  return errors.new(err)
end

---A handler for xpcall: wraps, and keeps the traceback of the raising place.
---@return moonpipe.Error
function errors.handler(value)
  if getmetatable(value) == mt then return value end
  return errors.wrap(value, debug.traceback(errors.text(value), 2))
end

---Adds what the failing step was given; the innermost stays.
---@param input any
---@return moonpipe.Error self
function Error:given(input)
  self.input = self.input or require("moonpipe.glimpse")(input)
  return self
end

local PATH_MAX = 2000 -- bytes; of a longer path the middle is left out

---Adds where it happened, from the inside out; the innermost `where` stays.
---@param part string    `map.context` or `step 2 of 3 ChatOpenAI`
---@param where string?  file:line
---@param span string?   file:line:column-column of what failed there, where that is known
---@return moonpipe.Error self
function Error:at(part, where, span)
  local path = self.path
  if path and #path > PATH_MAX then path = "…" .. path:sub(-PATH_MAX / 2):gsub("^%S*", "", 1) end
  self.path = path and (part .. " > " .. path) or part
  if not self.where then self.where, self.span = where, span end
  return self
end

-- `map.context` in words. A step's own name, such as `function map.lua:2`, is its own.
local function in_words(path)
  local parts = {}
  for part in (path .. " > "):gmatch("(.-) > ") do
    local noun, key = part:match("^(%l+)%.(.*)$")
    local is_key = noun == "map" or noun == "router"
    parts[#parts + 1] = is_key and ("%s key '%s'"):format(noun, key) or part
  end
  return table.concat(parts, " > ")
end

---Where it happened, in words; "" where that is not known.
---@param err moonpipe.Error
---@return string
function errors.details(err)
  local list = {}
  if err.path then list[#list + 1] = "in " .. in_words(err.path) end
  if err.where then list[#list + 1] = (err.path and "composed at " or "at ") .. err.where end
  if err.attempts then list[#list + 1] = "attempt " .. err.attempts end
  if err.elapsed then list[#list + 1] = ("%.1f s"):format(err.elapsed) end
  return table.concat(list, ", ")
end

---What happened, without where.
---@param err moonpipe.Error
---@return string
function errors.brief(err)
  local text = err.kind .. ": " .. errors.text(err.message)
  return err.status and "http " .. err.status .. " " .. text or text
end

function mt.__tostring(err)
  local text, details = errors.brief(err), errors.details(err)
  if details ~= "" then text = text .. " (" .. details .. ")" end
  return text
end

function mt.__concat(a, b)
  return errors.text(a) .. errors.text(b)
end

---file:line of the nearest stack frame that is not of this library.
---@return string?
function errors.caller()
  for level = 2, 100 do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    local source = info.source
    if info.currentline > 0 and source:sub(1, #OURS) ~= OURS then
      return info.short_src .. ":" .. info.currentline
    end
  end
end

local function placed(ok, ...)
  if ok then return ... end
  local err = ...
  if getmetatable(err) == mt then err.where = err.where or errors.caller() end
  error(err, 0)
end

---fn(...), called in no step: its mp.Error gets the nearest line that is not ours.
---@async
function errors.placed(fn, ...)
  return placed(pcall(fn, ...))
end

---Raises a programmer's error, blaming the nearest line that is not ours.
---@param message string
---@param where string?  file:line where it is known better
function errors.usage(message, where)
  where = where or errors.caller()
  error(where and (where .. ": " .. message) or message, 0)
end

---Checks an options table: unknown keys raise and name the allowed ones.
---@param opts table?
---@param allowed string[]
---@param what string  whose options
---@return table opts
function errors.options(opts, allowed, what)
  if opts == nil then return {} end
  if type(opts) ~= "table" or opts._invoke then -- a step in their place
    errors.usage(("%s takes a table of options, got %s"):format(what, errors.shape(opts)))
  end
  local known = {}
  for _, name in ipairs(allowed) do known[name] = true end
  -- No pairs: compiled by the LuaJIT of Debian 12, that loop gives keys that are in no
  -- table, in one random chain of some thousands (LuaJIT/LuaJIT#827).
  local key = next(opts)
  while key ~= nil do
    if not known[key] then
      errors.usage(("unknown option '%s' of %s; allowed: %s%s"):format(errors.text(key), what,
        table.concat(allowed, ", "), errors.hint(key, allowed)))
    end
    key = next(opts, key)
  end
  return opts
end

-- errors.shape(value), hint(name, names), list(value, what), nearest(name, names),
-- predicate(value, what): they load with the first use, mostly a complaint.
local WORDS = { shape = true, hint = true, list = true, nearest = true, predicate = true }

return setmetatable(errors, {
  __index = function(_, name)
    if not WORDS[name] then return nil end
    errors[name] = require("moonpipe.error_words")[name]
    return errors[name]
  end,
})
