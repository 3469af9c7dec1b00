--- Keys that a program can hold but not read: they print as their mask, cannot
--- be part of a text or be encoded, and leave only in a header to their origin.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local c = native.c

---@class moonpipe.Secret: userdata

local secret = {}

---@type table<string, moonpipe.Secret>  entered at the terminal, by name
local entered = {}

-- Keys of well-known shapes, for texts that hold one we were never given.
local SHAPES = {
  "%f[%w]sk%-[%w_%-]+", -- OpenAI, Anthropic, OpenRouter, …
  "%f[%w]gsk_%w+",      -- Groq
  "%f[%w]xai%-%w+",
  "%f[%w]AIza[%w_%-]+", -- Google
}
local SHAPE_FROM = 20

local NO_KEY = "a-cassette-plays-without-a-key"

---@param value any
---@return boolean
function secret.is(value)
  return c.secret_is(value)
end

---Makes a text opaque; a secret is itself. White space around it is dropped.
---Raises kind `config` where it cannot be a key.
---@param value string|moonpipe.Secret
---@param what string?  what it is, for messages; "a key"
---@return moonpipe.Secret
function secret.of(value, what)
  if c.secret_is(value) then return value end
  if type(value) ~= "string" then
    errors.usage(("%s is a text or a secret, got %s"):format(what or "a key",
      errors.shape(value)))
  end
  local key, message, kind = c.secret_new(value)
  if key then return key end
  errors.raise(kind, (what or "a key") .. ": " .. message)
end

---The key that was entered for [name], or that the environment holds; nil where
---there is none.
---@param name string
---@return moonpipe.Secret?
function secret.env(name)
  if entered[name] then return entered[name] end
  local key, message, kind = c.secret_env(name)
  if kind then errors.raise(kind, name .. ": " .. message) end
  return key
end

---The key [name]: that of the environment, or else asked for at the terminal,
---without echo, and kept as long as this program runs. Where a cassette is played,
---which needs no key, nobody is asked. Raises kind `config`
---where there is neither.
---@param name string      such as "OPENAI_API_KEY"
---@param prompt string?   default: the name
---@return moonpipe.Secret
function secret.getpass(name, prompt)
  if type(name) ~= "string" or name == "" then
    errors.usage("getpass takes the name of a key, got " .. errors.shape(name))
  end
  local key = secret.env(name)
  if key then return key end
  local tape = require("moonpipe.http").tape()
  if tape and tape.keyless then return secret.of(NO_KEY) end
  local asked, message, kind = c.secret_ask((prompt or name) .. ": ")
  if kind == "config" then
    errors.raise(kind, ("%s is not set, and %s"):format(name, message))
  end
  entered[name] = native.check(asked, message, kind)
  return asked
end

---The same key with what a header wants before it.
---@param key moonpipe.Secret
---@param prefix string  such as "Bearer "
---@return moonpipe.Secret
function secret.prefixed(key, prefix)
  return native.check(c.secret_prefixed(key, prefix))
end

---A name for the key, good in this process only: equal for equal keys.
---@param key moonpipe.Secret
---@return string
function secret.id(key)
  return c.secret_id(key)
end

local function mask_shape(text)
  if #text < SHAPE_FROM then return nil end
  return text:match("^sk%-") and "sk-…" or "…"
end

---The text with every key in it masked: those that this program holds, and what
---looks like one. What goes to a log, an error or a trace passes here.
---@param text string
---@return string
function secret.redact(text)
  text = c.secret_redact(text)
  for _, shape in ipairs(SHAPES) do text = text:gsub(shape, mask_shape) end
  return text
end

return secret
