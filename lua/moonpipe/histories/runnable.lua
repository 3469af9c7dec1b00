--- A chain that remembers: a conversation's past goes in with each call, and what was asked and
--- answered is stored after it.
--
-- The calls of one conversation run one after the other, in the order in which they came; others
-- run beside them. A turn is stored whole, when it has succeeded: a call that fails, is cancelled,
-- or whose stream is left before its end, leaves the conversation as it was (but for a cancel that
-- comes while it is being stored: then it is there or not, whole). A stream ends when its turn is
-- stored, so whoever wants it stored reads it to its end.
--
-- A conversation inside of the same one (a step of the chain that remembers too) does not wait for
-- the call around it: its turn is stored first.
local chunk = require "moonpipe.chunk"
local coerce = require "moonpipe.coerce"
local configurable = require "moonpipe.steps.configurable"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local joined = require("moonpipe.histories.history").joined
local json = require "moonpipe.json"
local lock = require "moonpipe.lock"
local message = require "moonpipe.messages.message"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"
local trim = require "moonpipe.histories.trim"
local turn = require "moonpipe.histories.turn"
local wrapping = require "moonpipe.steps.wrapping"

---@class moonpipe.RunnableWithMessageHistory: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field get_session_history fun(...): moonpipe.ChatMessageHistory
---@field keys string[]  of config.configurable
---@field input_messages_key string?
---@field output_messages_key string?
---@field history_messages_key string?
---@field trim (fun(list: moonpipe.Message[]): moonpipe.Message[])?
local RunnableWithMessageHistory, methods = runnable.class("RunnableWithMessageHistory")
wrapping.delegate(methods)

local OPTIONS = {
  "history_factory_config", "history_messages_key", "input_messages_key", "output_messages_key",
  "trim",
}

-- ---- making ------------------------------------------------------------------------------------

-- A factory that takes nothing needs no session.
local function keys_of(factory, specs)
  if specs == nil then
    local info = debug.getinfo(factory, "u")
    return info.nparams == 0 and not info.isvararg and {} or { "session_id" }
  end
  if type(specs) ~= "table" or #specs == 0 and next(specs) ~= nil then
    errors.usage("history_factory_config takes a list of ConfigurableFields, got "
      .. errors.shape(specs))
  end
  local keys = {}
  for i, spec in ipairs(specs) do
    if type(spec) == "string" then spec = { id = spec } end
    keys[i] = configurable.ConfigurableField(spec).id
  end
  return keys
end

-- An answer without the model's message shows here, not when it is paid for.
local function check_output(bound, output_messages_key)
  local keys = bound:_output_keys()
  if not keys or not keys[1] or tonumber(keys[1]) then return end -- a list has numbers
  local key = output_messages_key or keys[2] == nil and keys[1] or "output"
  for _, one in ipairs(keys) do
    if one == key then return end
  end
  errors.usage(("the chain answers with {%s}, without '%s'; name the model's message with "
    .. "output_messages_key"):format(table.concat(keys, ", "), key))
end

---RunnableWithMessageHistory(chain, get_session_history, opts). get_session_history is a function
---of the session id, or of a table where `history_factory_config` names several keys; it gives a
---history, and may wait.
---@param chain any
---@param factory fun(...): moonpipe.ChatMessageHistory
---@param opts table?
function RunnableWithMessageHistory.new(chain, factory, opts)
  opts = errors.options(opts, OPTIONS, "RunnableWithMessageHistory")
  if type(factory) ~= "function" then
    errors.usage("RunnableWithMessageHistory takes a function that gives the history of a session, "
      .. "got " .. errors.shape(factory))
  end
  for _, key in ipairs { "input", "output", "history" } do
    local value = opts[key .. "_messages_key"]
    if value ~= nil and type(value) ~= "string" then
      errors.usage(("%s_messages_key takes a string, got %s"):format(key, errors.shape(value)))
    end
  end
  local bound = coerce.step(chain)
  check_output(bound, opts.output_messages_key)
  return runnable.instance(RunnableWithMessageHistory, {
    bound = bound,
    get_session_history = factory,
    keys = keys_of(factory, opts.history_factory_config),
    input_messages_key = opts.input_messages_key,
    output_messages_key = opts.output_messages_key,
    history_messages_key = opts.history_messages_key,
    trim = trim.of(opts.trim),
  })
end

function methods:_choices()
  local out = {}
  for _, key in ipairs(self.keys) do out[key] = { needed = true } end
  return out
end

-- ---- the history of a call ---------------------------------------------------------------------

local function missing(self, names)
  local example = {}
  for i, key in ipairs(self.keys) do example[i] = key .. ' = "…"' end
  errors.raise("config", ("'%s' is missing in config.configurable; call it with { configurable = { "
    .. "%s } }"):format(table.concat(names, "' and '"), table.concat(example, ", ")))
end

-- What the factory is called with, and a text that is that session's.
local function session_of(self, ctx)
  local values, names, texts = {}, {}, {}
  for _, key in ipairs(self.keys) do
    local value = ctx.configurable[key]
    if value == nil then names[#names + 1] = key end
    values[key] = value
    texts[#texts + 1] = type(value) .. ":" .. errors.text(value)
  end
  if names[1] then missing(self, names) end
  if #self.keys == 1 then values = values[self.keys[1]] end
  return values, table.concat(texts, "\0")
end

local function is_history(value)
  if type(value) ~= "table" and type(value) ~= "userdata" then return false end
  local ok, is = pcall(function()
    return type(value.messages) == "function" and type(value.add_messages) == "function"
  end)
  return ok and is
end

-- factory -> session -> the key of its lock, of histories that do not say what they are
local sessions = setmetatable({}, { __mode = "k" })

local function lock_key_of(self, history, session)
  if type(history.lock_key) == "function" then return history:lock_key() end
  local factory = self.get_session_history
  sessions[factory] = sessions[factory] or {}
  return tostring(sessions[factory]) .. "\0" .. session
end

local OPEN_STREAM = "a stream of this conversation is open in the same task; read it to its end, "
  .. "or close it, before the next call"

local locks = {} -- the space of those that are held by calls inside of no other

-- The space in which a lock is taken: that of the turn around, while it lasts.
local function space_of(around)
  return around and around.hold.space and around.inner or locks
end

-- Waits for the lock; gives it, and the context of what runs inside of it.
local function take_lock(key, ctx)
  local held = ctx.held or {}
  local hold = lock.take(space_of(held[key]), key, OPEN_STREAM)
  local inner = context.merged(held, { [key] = { hold = hold, inner = {} } })
  return hold, context.with(ctx, { held = inner })
end

---@class moonpipe.Turn
---@field hold moonpipe.Hold
---@field ctx moonpipe.Context
---@field history moonpipe.ChatMessageHistory
---@field asked moonpipe.Message[]
---@field input any  of the chain

local function load(self, history, input, asked)
  local past = history:messages()
  if self.trim then past = self.trim(past) end
  return turn.with_past(input, asked, past, self)
end

-- Waits for its turn, and gives what it needs.
local function begin(self, input, ctx)
  local asked = turn.asked(input, self.input_messages_key)
  local values, session = session_of(self, ctx)
  local history = context.within(ctx, self.get_session_history, values)
  if not is_history(history) then
    errors.raise("config", ("the history of the session is %s; it must be one, such as "
      .. "mp.InMemoryChatMessageHistory()"):format(errors.shape(history)))
  end
  local key = context.within(ctx, lock_key_of, self, history, session)
  local hold, inner = take_lock(key, ctx)
  local ok, whole = pcall(context.within, inner, load, self, history, input, asked)
  if not ok then
    hold:free()
    error(whole, 0)
  end
  return { hold = hold, ctx = inner, history = history, asked = asked, input = whole }
end

local function add(self, one, answer)
  one.history:add_messages(joined(one.asked, turn.answered(answer, self.output_messages_key)))
end

-- The answer was got, and paid for: it goes with the error. Trying again would ask again.
local function not_stored(err, answer)
  if not errors.is(err) then
    err = errors.new { kind = "io", message = errors.text(err), cause = err }
  end
  if err.kind ~= "cancelled" then
    err.message = "the answer was got (it is the error's `partial`), but the turn was not stored: "
      .. err.message
  end
  err.partial, err.retryable = answer, false
  error(err, 0)
end

local function store(self, one, answer)
  local ok, err = pcall(context.within, one.ctx, add, self, one, answer)
  if not ok then not_stored(err, answer) end
end

-- ---- running -----------------------------------------------------------------------------------

local function answer_and_store(self, one)
  local answer = run.invoke(self.bound, one.input, one.ctx)
  store(self, one, answer)
  return answer
end

function methods:_invoke(input, ctx)
  local one = begin(self, input, ctx)
  local ok, value = pcall(answer_and_store, self, one)
  one.hold:free()
  if ok then return value end
  return error(value, 0)
end

-- An id that comes into being when it is read is the same then for who merges the chunks.
local function settle_id(value)
  if message.is(value) then return value.id end
end

-- A stream that is left frees the lock: it hangs below its reader for that.
local function watch(one)
  one.node = tree.scope(scheduler.owner())
  one.node.wake = function() one.hold:free() end
  local task = scheduler.current()
  one.hold.reader = task.asker or task
end

local function release(one)
  one.hold:free()
  tree.close(one.node)
end

-- The next chunk; at the end of all nil, when the turn is stored.
local function next_chunk(self, one)
  local value = one.inner()
  if value ~= nil then
    settle_id(value)
    one.count = one.count + 1
    one.chunks[one.count] = value
    return value
  end
  store(self, one, chunk.merged(one.chunks))
end

local function open(self, input, ctx)
  local one = begin(self, input, ctx)
  watch(one)
  one.chunks, one.count = {}, 0
  local ok, inner = pcall(run.stream, self.bound, one.input, one.ctx)
  if not ok then
    release(one)
    error(inner, 0)
  end
  one.inner = inner
  return one
end

-- It takes the lock when somebody asks for the first chunk.
function methods:_stream(input, ctx)
  local one, ended
  return function()
    if ended then return nil end
    one = one or open(self, input, ctx)
    local ok, value = pcall(next_chunk, self, one)
    if ok and value ~= nil then return value end
    ended = true
    release(one)
    if not ok then error(value, 0) end
  end
end

-- ---- what others ask ---------------------------------------------------------------------------

-- The chain gets the key of the history besides.
function methods:_check_keys(keys)
  local all = { unpack(keys) }
  all[#all + 1] = self.history_messages_key
  return self.bound:_check_keys(all)
end

-- What the chain needs, but for the past.
function methods:_input_schema()
  local schema = require("moonpipe.schemas").input(self.bound)
  local past = self.history_messages_key
  if not past or not schema.properties or not schema.properties[past] then return schema end
  local properties, required = {}, json.array {}
  for key, value in pairs(schema.properties) do
    if key ~= past then properties[key] = value end
  end
  for _, key in ipairs(schema.required or {}) do
    if key ~= past then required[#required + 1] = key end
  end
  return { type = "object", properties = properties, required = required }
end

function methods:_parts()
  return { shape = "frame", items = { { step = self.bound } } }
end

function methods:_label()
  return self.name or ("RunnableWithMessageHistory(%s)"):format(self.bound:_label())
end

function methods:get_name()
  return self.name or "RunnableWithMessageHistory"
end

return { RunnableWithMessageHistory = RunnableWithMessageHistory }
