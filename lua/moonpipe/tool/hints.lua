--- What to try, by the kind of a failure: the last line that a person is told.
--
-- Messages say what they know of the case ("did you mean", "set OPENAI_API_KEY"). Here is what a
-- kind means in general, and which option of the language is about it. A hint is a text, or a
-- function of the error that gives one, or nil where its message has said it.
local names = require "moonpipe.models.names"

local function says(err, ...)
  local message = tostring(err.message)
  for _, word in ipairs { ... } do
    if message:find(word, 1, true) then return true end
  end
  return false
end

-- The variable that has the key of the error's provider; nil where that is not known.
local function key_of(err)
  local home = names.home(err.provider)
  for _, variable in ipairs(home and home.env or {}) do
    if variable:find("_KEY$") then return variable end
  end
end

-- How the server of a provider is started that runs on one's own machine.
local STARTS = {
  ollama = "start it with `ollama serve`, or say in OLLAMA_HOST or base_url where it is",
  llamacpp = "start it with `llama-server -m MODEL.gguf`, or say in base_url where it is",
  vllm = "start it with `vllm serve MODEL`, or say in base_url where it is",
}

local LATE = "give it longer: `timeout = { %s = seconds }` of the model; or ask another in time: "
  .. "with_fallbacks, with_hedge"

-- What was called that is not there: a method of a step, written wrong or asked of a table that
-- is none yet.
local function of_missing(message)
  local method = message:match("attempt to call method '([%w_]+)' %(a nil value%)")
  local known = require("moonpipe.steps.runnable").base
  if method and known[method] then
    return ("is it a step? A plain table is one only within a chain; "
      .. "`mp.RunnableParallel(map)` has `:%s`"):format(method)
  end
  local methods = {}
  for name in pairs(known) do methods[#methods + 1] = name end
  table.sort(methods)
  local nearest = method and require("moonpipe.error_words").nearest(method, methods)
  return nearest and ("did you mean ':%s'?"):format(nearest)
    or "is the name written right, and is there a value in every case?"
end

local HINTS = {
  auth = function(err)
    local variable = key_of(err)
    local whose = err.provider and " of " .. err.provider or ""
    return ("a valid key%s goes into %soption api_key"):format(whose,
      variable and variable .. " or " or "")
  end,

  closed = "it was closed before this call: close it after the last one",

  config = function(err)
    if says(err, "needs a key") then
      return "`moonpipe doctor` shows which keys and local servers there are"
    end
  end,

  connect = function(err)
    local start = STARTS[err.provider]
    if start then return start end
    return "is the server running, and base_url right? `moonpipe doctor` shows what answers"
  end,

  content_filter = "the provider's filter stopped it: change the prompt, or take another model",

  context_length = "send less: mp.trim_messages for histories, a smaller k of the retriever, a "
    .. "splitter for documents; or take a model with a longer context",

  decode = function(err)
    if not err.partial then return nil end
    return "err.partial has the answer; mp.OutputFixingParser lets a model mend it, "
      .. "with_structured_output asks for the right form"
  end,

  dns = "is the host in base_url written right, and is there a network?",

  fds = "raise `ulimit -n`, or lower max_concurrency",

  http = function(err)
    local status = err.status or 0
    if status == 404 then return "is the name of the model right, and base_url complete (…/v1)?" end
    if status >= 500 then return "it is the server's fault: with_retry, with_fallbacks" end
  end,

  input = function(err)
    if says(err, "misses {") then
      return "give the step these keys: a map before it, or :assign"
    end
  end,

  internal = "this is a fault of moonpipe: please report it, with what -v prints",

  io = function(err)
    if says(err, "damaged") then return nil end
    return "is the path right, and may this user read and write there?"
  end,

  limit = function(err)
    if says(err, "recursion limit") then return "end the recursion, or raise recursion_limit" end
    if says(err, "calling tools") then
      return "raise max_rounds of the agent, or say in its prompt when to stop"
    end
    if says(err, "no message left") then return "give the fake model another message" end
  end,

  lua = function(err)
    if says(err, "stack overflow") then return "a function calls itself without an end" end
    if says(err, "attempt to call", "attempt to index") and says(err, "(a nil value)") then
      return of_missing(tostring(err.message))
    end
    if says(err, "string expected, got table") then
      return "a message is no text: `.content` is, or what `| mp.StrOutputParser()` behind it gives"
    end
    if says(err, "near '!'") then return "Lua writes `~=` for `!=`, and `not` for `!`" end
    if tostring(err.message):find("^moonpipe:") then
      return "this may be a fault of moonpipe: please report it, with what -v prints"
    end
  end,

  memory = "lower max_concurrency, or work on less at once",

  protocol = "is base_url that of an API of this kind, and not of a web page or a proxy?",

  quota = function(err)
    return ("the account%s has used up what it may: look at its billing, or take another "
      .. "provider with with_fallbacks"):format(err.provider and " of " .. err.provider or "")
  end,

  rate_limit = function(err)
    local wait = type(err.retry_after) == "number"
      and (" (the server asks to wait %g s)"):format(err.retry_after) or ""
    return "ask less at once: { max_concurrency = 4 } in the call's config, or rate_limiter = "
      .. "mp.RateLimiter { requests_per_minute = … } of the model; or with_retry" .. wait
  end,

  refused_request = "the server does not take this request: check the model's name and options",

  reset = "the connection broke: with_retry, or max_retries of the model",

  schema = function(err)
    if not err.partial then return nil end
    return "err.partial has the answer; `max_retries` of with_structured_output asks again, "
      .. "`description` in the schema tells the model more"
  end,

  timeout_connect = "is base_url right, and does a proxy or firewall stand between? "
    .. "`timeout = { connect = seconds }` gives it longer",
  timeout_first_byte = LATE:format "first_byte",
  timeout_idle = LATE:format "idle",
  timeout_total = "give it longer: `timeout` of the model, of with_timeout or of the call's "
    .. "config, whichever was shortest; or let the answer be shorter: max_tokens",

  tls = "is the server's certificate valid? `ca_file` names one's own authority, `proxy` a proxy",

  too_large = "make it smaller, or cut it: mp.RecursiveCharacterTextSplitter",

  tool = "the function of the tool failed: `err.cause` has what it raised",

  truncated = "the answer ended too early: with_retry; err.partial has what came",

  unsupported = function(err)
    if says(err, "needs", "install") then return nil end
    return "`moonpipe doctor` shows what is there and what is missing"
  end,
}

---@param err moonpipe.Error
---@return string?
return function(err)
  local hint = HINTS[err.kind]
  if type(hint) == "function" then hint = hint(err) end
  return hint
end
