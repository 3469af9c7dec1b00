--- Keys that a program can hold but not read: they print as their mask, cannot
--- be part of a text or be encoded, and leave only in a header to their origin.
local errors = require "moonpipe.error"
local lock = require "moonpipe.lock"
local native = require "moonpipe.native"
local redact = require "moonpipe.redact"
local scheduler = require "moonpipe.scheduler"
local settings = require "moonpipe.settings"

local c = native.c

---@class moonpipe.Secret: userdata

local secret = {}

---@type table<string, moonpipe.Secret>  entered at the terminal, by name
local entered = {}

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

-- ---- from a file, from a command ----------------------------------------------------

-- What names the place in messages: a path is masked where somebody wrote a key in its
-- stead, a command is not shown at all.
local function of_file(path, what)
  local key, message, kind = c.secret_file(path)
  if key then return key end
  errors.raise(kind, ("%s: '%s': %s"):format(what, redact.text(path), message))
end

---The key in a file, which must be the user's own and closed to others. Raises kind
---`config`.
---@param path string
---@return moonpipe.Secret
function secret.file(path)
  if type(path) ~= "string" or path == "" then
    errors.usage("secret_file takes the path of a file, got " .. errors.shape(path))
  end
  return errors.placed(of_file, path, "secret_file")
end

---@type table<string, moonpipe.Secret>  what commands have printed
local printed = {}
local running = {} -- a space of locks: equal commands run once

local COMMAND_TIME = 10 -- seconds

local function run_command(command)
  local hold = lock.take(running, command, "a command for a key waits for itself")
  if printed[command] then return hold:free() end
  local ok, err = pcall(function()
    local id, place, kind = c.secret_command(command, COMMAND_TIME)
    if not id then errors.raise(kind, place) end
    scheduler.await(id)
    printed[command] = c.secret_take(place)
  end)
  hold:free()
  if not ok then error(err, 0) end
end

local function of_command(command, what)
  if not printed[command] then
    local ok, err = pcall(scheduler.call, run_command, command)
    if not ok then
      if errors.is(err) and err.kind == "config" then
        errors.raise("config", ("%s: %s"):format(what, err.message))
      end
      error(err, 0)
    end
  end
  return printed[command]
end

---The key that a command prints, which is run once in this program, by a shell. It has
---ten seconds. Raises kind `config`, without a word of what it printed.
---@async
---@param command string  such as "pass show openai"
---@return moonpipe.Secret
function secret.command(command)
  if type(command) ~= "string" or command == "" or command:find("%z") then
    errors.usage("secret_cmd takes a command, got " .. errors.shape(command))
  end
  return errors.placed(of_command, command, "secret_cmd")
end

-- ---- by name -------------------------------------------------------------------------

local function setting(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- The command that prints the key [name], by the settings, and where it stands.
local function written_command(name)
  local commands, from = settings.written "key_cmd"
  return commands and commands[name], from
end

---What says where the key [name] is: a variable of the environment, or the settings.
---@async
---@param name string
---@return string?
function secret.variable(name)
  for _, ending in ipairs { "", "_FILE", "_CMD" } do
    if setting(name .. ending) then return name .. ending end
  end
  local command, from = written_command(name)
  return command and from
end

---Whether no call leaves this program, so that none needs a key: a cassette is played.
---@return boolean
function secret.is_needless()
  local tape = require("moonpipe.http.http").tape()
  return tape ~= nil and tape.keyless == true
end

---The key [name]: as it was entered, or as the environment has it in [name], in the file
---[name]_FILE or by the command [name]_CMD, or by that of the settings, which are left alone where
---no key is needed; nil where there is none of them.
---@async
---@param name string
---@return moonpipe.Secret?
function secret.env(name)
  if entered[name] then return entered[name] end
  local key, message, kind = c.secret_env(name)
  if kind then errors.raise(kind, name .. ": " .. message) end
  if key or secret.is_needless() then return key end
  local path, command = setting(name .. "_FILE"), setting(name .. "_CMD")
  if path then return of_file(path, name .. "_FILE") end
  if command then return of_command(command, name .. "_CMD") end
  local written, from = written_command(name)
  return written and of_command(written, from) or nil
end

local function enter(name, prompt)
  local key = secret.env(name)
  if key then return key end
  if secret.is_needless() then return secret.of(NO_KEY) end
  local asked, message, kind = c.secret_ask((prompt or name) .. ": ")
  if kind == "config" then
    errors.raise(kind, ("%s is not set, and %s"):format(name, message))
  end
  entered[name] = native.check(asked, message, kind)
  return asked
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
  return errors.placed(enter, name, prompt)
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

return secret
