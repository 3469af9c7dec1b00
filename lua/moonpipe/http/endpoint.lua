--- Calls to one server of a provider: slots and gates before them, retries after
--- them, and what its refusals mean.
local breaker = require "moonpipe.steps.breaker"
local errors = require "moonpipe.error"
local http = require "moonpipe.http.http"
local limiter = require "moonpipe.limiter"
local limits = require "moonpipe.http.endpoint_limits"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local options = require "moonpipe.http.endpoint_options"
local origin = require "moonpipe.http.endpoint_origin"
local provider = require "moonpipe.http.provider"
local retry = require "moonpipe.http.retry"
local secret = require "moonpipe.secret"

---@class moonpipe.Endpoint
---@field who moonpipe.Provider
---@field origin moonpipe.Origin
---@field key moonpipe.Secret?
---@field headers table[]
---@field timeouts { connect: number, first_byte: number, idle: number, total: number }
---@field told boolean?  of texts that were no UTF-8
---@field plans table<string, table>  what calls of one model to one path share
---@field on_failure fun(self, call: moonpipe.Attempts, err: moonpipe.Error)?  may add to an error
local Endpoint = {}
local mt = { __name = "moonpipe.Endpoint", __index = Endpoint }

local endpoint = { OPTIONS = options.NAMES, sealed = options.sealed }

local REMOTE_SLOTS = 256 -- calls in flight through one gate; none are counted on loopback

-- ---- gates ---------------------------------------------------------------------------

-- One for each origin, key and model. A key has a name that says nothing of it.
local function gate_name(self, model)
  return ("%s %s %s"):format(self.origin.name, self.key and secret.id(self.key) or "-", model)
end

-- Says of a failure whom it concerns, and what may help.
local function on_failure(call, err)
  local self = call.endpoint
  provider.explain(self.who, err)
  err.model = err.model or call.plan.model ~= "" and call.plan.model or nil
  if self.on_failure then self:on_failure(call, err) end
end

-- ---- making ----------------------------------------------------------------------------

---@type table<moonpipe.Endpoint, string>  a key may be in it: no field that a script can read
local queries = setmetatable({}, { __mode = "k" })

---The endpoint that [opts] describe.
---@param spec moonpipe.EndpointSpec
---@param opts table
---@param own_headers table<string, string>?
---@return moonpipe.Endpoint
function endpoint.new(spec, opts, own_headers)
  local self = setmetatable(errors.placed(options.read, spec, opts, own_headers), mt)
  queries[self], self.query = self.query, nil
  self.plans = {}
  self.who = {
    name = spec.name,
    key_name = self.key_name,
    base_url = self.origin.url,
    proxy = self.proxy_name,
    loopback_port = self.origin.is_loopback and self.origin.port or nil,
  }
  self.call_mt = {
    __index = {
      endpoint = self,
      max_retries = self.max_retries,
      origin = self.origin.name,
      budget = retry.budget_of(self.origin.name),
      total = self.timeouts.total,
      attempts = 1,
      rate_limiter = self.rate_limiter,
      settle = self.rate_limiter and limits.settle,
      on_delay = limits.on_delay,
      on_failure = on_failure,
    },
  }
  return self
end

---What all calls of [model] to [path] have in common; made once.
---@param path string
---@param model string
---@param method string?
---@param framing "sse"|"ndjson"|nil  of a stream
function Endpoint:plan(path, model, method, framing)
  local name = path .. " " .. model .. (method and " " .. method or "")
  local plan = self.plans[name]
  if plan then return plan end
  local query = queries[self]
  if path:find("?", 1, true) then query = query:gsub("^?", "&") end
  local url = self.origin.url .. path .. query
  plan = {
    gate = gate_name(self, model), model = model, framing = framing, url = origin.shown(url),
  }
  plan.native = http.plan {
    url = url,
    method = method,
    headers = self.headers,
    gate = plan.gate,
    slots = not self.origin.is_loopback and REMOTE_SLOTS or nil,
    connect = self.timeouts.connect,
    first_byte = self.timeouts.first_byte,
    idle = self.timeouts.idle,
    proxy = self.proxy,
    ca_file = self.ca_file,
    insecure = self.insecure,
    ip = self.ip,
  }
  self.plans[name] = plan
  return plan
end

-- ---- calls -----------------------------------------------------------------------------

-- Waits for leave of the rate; gives a slot of the run, where that has a limit.
local function admit(call)
  if call.rate_limiter then limits.admit(call) end
  return limiter.take(call.ctx)
end

local function give_up(slot)
  if slot then slot:free() end
end

-- fn (http.send or http.open) when the rate allows it, within a slot of the run, if it
-- has a limit. Time in the queue is not time of the call. Gives the slot too where fn
-- succeeded.
local function in_slot(call, fn)
  local slot = breaker.wait(call.ctx, admit, call, give_up)
  local plan = call.plan
  if not slot then
    return fn(plan.native, call.body, call.begun + call.total, call, plan.framing)
  end
  call.begun = call.begun + slot.waited
  local ok, answer = pcall(fn, plan.native, call.body, call.begun + call.total, call, plan.framing)
  if not ok then
    slot:free()
    error(answer, 0)
  end
  return answer, slot
end

-- The answer; raises what a status other than success means.
local function check_status(call, answer)
  local is_success = answer.status >= 200 and answer.status < 300
  limits.heed_answer(call, answer, is_success)
  if is_success then return answer end
  local err = provider.refusal(call.endpoint.who, {
    status = answer.status,
    header = answer.header,
    body = answer.body or "",
  })
  limits.heed_refusal(call, err)
  error(err, 0)
end

local function attempt_send(call, decode, with)
  local answer, slot = in_slot(call, http.send)
  if slot then slot:free() end
  check_status(call, answer)
  local value = decode(answer, with)
  if call.settle then call:settle(type(value) == "table" and value.usage_metadata or nil) end
  return value
end

-- The slot of a stream is free when the transfer has ended, read or not; it does
-- not wait for its reader while others of the run wait for a slot.
local function hold_slot(reader, slot)
  if reader.ended then return slot:free() end
  function reader.on_end() slot:free() end
  slot:on_wanted(function() reader:drain() end)
end

local function attempt_open(call)
  local reader, slot = in_slot(call, http.open)
  if slot then hold_slot(reader, slot) end
  reader.clock = call -- one that is played from a tape has none
  return check_status(call, reader)
end

local REPLACED = "\239\191\189" -- U+FFFD, which the encoder puts in the place of each bad byte

local function tell_of_replaced(self, body)
  self.told = true
  log.warn(("%s: a request holds U+FFFD %d times: that many bytes of its texts were no UTF-8 (not"
    .. " told again)"):format(self.who.name, select(2, body:gsub(REPLACED, ""))))
end

-- With all the fields that it will have: a table that grows is made twice.
local function new_call(self, plan, body, ctx)
  if body and not self.told and body:find(REPLACED, 1, true) then tell_of_replaced(self, body) end
  return setmetatable({ plan = plan, body = body, ctx = ctx, begun = 0 }, self.call_mt)
end

---Sends [body] and gives decode(answer, with), in as many attempts as it takes.
---decode may raise; where that is retryable, the call is made again.
---@async
---@param plan table  of Endpoint:plan
---@param body string?
---@param ctx moonpipe.Context
---@param decode fun(answer: moonpipe.HttpResponse, with: any): any
---@param with any
---@return any
function Endpoint:send(plan, body, ctx, decode, with)
  local call = new_call(self, plan, body, ctx)
  return retry.run(call, attempt_send, decode, with)
end

---Sends [body] and gives the reader of the answer, whose status is a success; its
---clock is the call. What fails from then on is not tried again.
---@async
---@param ctx moonpipe.Context
---@param plan table
---@param body string
---@return moonpipe.HttpReader
function Endpoint:open(ctx, plan, body)
  return retry.run(new_call(self, plan, body, ctx), attempt_open)
end

---Asks for [path], once, and gives the answer; nil where that fails in any way.
---@async
---@param path string
---@param ctx moonpipe.Context
---@param seconds number
---@return moonpipe.HttpResponse?
function Endpoint:ask(path, ctx, seconds)
  local call = setmetatable({
    plan = self:plan(path, "", "GET"), ctx = ctx, begun = native.c.now(), total = seconds,
  }, self.call_mt)
  local ok, answer, slot = pcall(in_slot, call, http.send)
  if slot then slot:free() end
  return ok and answer.status == 200 and answer or nil
end

return endpoint
