--- What an endpoint's options say: where it is, which key goes there, which headers
--- go along, how long anything may take.
--
-- Keys are bound to their origin: that of the environment goes where the
-- environment says, or to the provider itself, and nowhere else.
local errors = require "moonpipe.error"
local limits = require "moonpipe.http.endpoint_limits"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local origin = require "moonpipe.http.endpoint_origin"
local retry = require "moonpipe.http.retry"
local secret = require "moonpipe.secret"
local settings = require "moonpipe.settings"
local traversal = require "moonpipe.traversal"

---@class moonpipe.EndpointSpec  what is a provider's own
---@field class string        for messages: "ChatOpenAI"
---@field name string         "openai"
---@field base_url string
---@field base_env string[]   variables that name another one; the first that is set counts
---@field url_of (fun(text: string): string)?  the URL that such a variable means
---@field proxy_env string?    a variable that names a proxy for this provider alone
---@field key_env string
---@field key_env_also string?   another variable that may hold it
---@field key_optional boolean?  servers of one's own want none
---@field key_header string   "Authorization"
---@field key_prefix string   "Bearer "

local options = {}

--- The options that every endpoint takes.
options.NAMES = {
  "allow_http", "api_key", "base_url", "ca_file", "default_headers", "default_query",
  "insecure", "ip", "max_retries", "proxy", "rate_limiter", "timeout",
}

local CONNECT, FIRST_BYTE, LOOPBACK_FIRST_BYTE, IDLE, TOTAL = 5, 120, 600, 60, 600 -- seconds

local TYPES = {
  allow_http = "boolean", base_url = "string", ca_file = "string", default_headers = "table",
  default_query = "table", insecure = "boolean", ip = "string", proxy = "string",
}

-- ---- times ---------------------------------------------------------------------------

local TIMEOUTS = { "connect", "first_byte", "idle", "total" }

local function check_seconds(spec, name, value)
  if type(value) ~= "number" or value ~= value or value <= 0 then
    errors.usage(("%s of %s must be seconds, more than 0, got %s"):format(name, spec.class,
      errors.shape(value)))
  end
end

local function timeouts_of(spec, opts, is_loopback)
  local given = opts.timeout
  if type(given) ~= "table" then given = { total = given } end
  errors.options(given, TIMEOUTS, "timeout of " .. spec.class)
  for _, name in ipairs(TIMEOUTS) do
    if given[name] ~= nil then
      check_seconds(spec, given == opts.timeout and "timeout." .. name or "timeout", given[name])
    end
  end
  return {
    connect = given.connect or CONNECT,
    first_byte = given.first_byte or is_loopback and LOOPBACK_FIRST_BYTE or FIRST_BYTE,
    idle = given.idle or IDLE,
    total = given.total or TOTAL,
  }
end

local function retries_of(spec, opts)
  local value = opts.max_retries
  if value == nil then return retry.MAX_RETRIES end
  if type(value) ~= "number" or value < 0 or value ~= math.floor(value) then
    errors.usage(("max_retries of %s must be a whole number from 0, got %s"):format(spec.class,
      errors.shape(value)))
  end
  return value
end

-- ---- the base URL and the key ----------------------------------------------------

local function env(names)
  for _, name in ipairs(names) do
    local value = os.getenv(name)
    if value and value ~= "" then return value, name end
  end
end

-- A server that the settings name; they know how a provider is called.
local function named_url(spec, where)
  if settings[where] "base_url" == nil then return nil end
  return require("moonpipe.models.names").base_url(spec.name, where)
end

-- The server that whoever runs the program has named for this provider.
local function users_url(spec)
  local url, name = named_url(spec, "said")
  if not url then url, name = env(spec.base_env) end
  if not url then url, name = named_url(spec, "written") end
  return url and spec.url_of and spec.url_of(url) or url, name
end

-- The origin of the calls, and that to which the key of the environment belongs.
local function origins_of(spec, opts)
  local url, name = users_url(spec)
  local own = origin.parse(url or spec.base_url, name or "the base URL")
  if not opts.base_url then return own, own end
  return origin.parse(opts.base_url, "base_url of " .. spec.class), own
end

local function given_key(spec, value)
  if type(value) == "function" then value = value() end
  if value == false then return nil end
  return secret.of(value, "api_key of " .. spec.class)
end

local function refuse_foreign(spec, base, own)
  errors.raise("config", ("%s: base_url '%s' is written in the script, so it needs an api_key of"
    .. " its own: %s goes to %s only (api_key = false sends none)"):format(spec.class, base.url,
    spec.key_env, own.name))
end

local function env_key(spec)
  return secret.env(spec.key_env) or spec.key_env_also and secret.env(spec.key_env_also)
end

-- The key, and what to check where it is refused.
local function key_of(spec, opts, base, own)
  if opts.api_key ~= nil then return given_key(spec, opts.api_key), "api_key" end
  local is_own = base.name == own.name
  local needs_key = not (base.is_loopback or spec.key_optional or secret.is_needless())
  if not is_own and needs_key then refuse_foreign(spec, base, own) end
  local key = is_own and env_key(spec) or nil
  if not key and needs_key then
    errors.raise("config", ("%s needs a key: set %s (or %s_FILE, %s_CMD), call mp.getpass \"%s\""
      .. " before, or give api_key"):format(spec.class, spec.key_env, spec.key_env, spec.key_env,
      spec.key_env))
  end
  return key, spec.key_env
end

-- ---- headers -----------------------------------------------------------------------

local function check_header(spec, name, value)
  if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`~-]+$") then
    errors.usage(("default_headers of %s: %s is no name of a header"):format(spec.class,
      type(name) == "string" and ("%q"):format(name) or errors.shape(name)))
  elseif not secret.is(value) and (type(value) ~= "string" or value:find("[%z\r\n]")) then
    errors.usage(("default_headers of %s: the value of %s must be a text of one line or a secret")
      :format(spec.class, name))
  end
end

-- Headers whose value nobody else shall see have one of these in their name.
local TELLING = { "auth", "cookie", "credential", "key", "password", "secret", "token" }

local function is_telling(name)
  for _, word in ipairs(TELLING) do
    if name:lower():find(word, 1, true) then return true end
  end
  return false
end

-- What cannot be a key, such as two cookies, stays a text.
local function sealed_header(name, value)
  if type(name) ~= "string" or type(value) ~= "string" or not is_telling(name) then return value end
  local prefix, key = value:match("^(%a+ +)(%S+)$")
  local ok, sealed = pcall(secret.of, key or value)
  if not ok then return value end
  return prefix and secret.prefixed(sealed, prefix) or sealed
end

local function sealed_field(name, value)
  if type(name) ~= "string" or type(value) ~= "string" or not origin.is_secret(name) then
    return value
  end
  local ok, sealed = pcall(secret.of, value)
  return ok and sealed or "…"
end

---The same options with secrets in the place of keys that are texts.
---@param spec moonpipe.EndpointSpec
---@param opts table
---@return table
function options.sealed(spec, opts)
  local out = {}
  for name, value in pairs(opts) do out[name] = value end
  if type(opts.api_key) == "string" then out.api_key = given_key(spec, opts.api_key) end
  if (opts.proxy or ""):find("@", 1, true) then
    out.proxy = secret.of(opts.proxy, "proxy of " .. spec.class)
  end
  if type(opts.default_query) == "table" then
    out.default_query = {}
    for name, value in pairs(opts.default_query) do
      out.default_query[name] = sealed_field(name, value)
    end
  end
  if type(opts.default_headers) ~= "table" then return out end
  out.default_headers = {}
  for name, value in pairs(opts.default_headers) do
    out.default_headers[name] = sealed_header(name, value)
  end
  return out
end

-- Ours, the provider's own, then the user's, each replacing what has its name.
local function headers_of(spec, opts, key, own_headers)
  local list, at = {}, {}
  local function add(name, value)
    local slot = at[name:lower()] or #list + 1
    at[name:lower()], list[slot] = slot, { name, value }
  end
  add("Content-Type", "application/json")
  add("User-Agent", "moonpipe/" .. native.c.version)
  if key then add(spec.key_header, secret.prefixed(key, spec.key_prefix)) end
  for name, value in pairs(opts.default_headers or {}) do check_header(spec, name, value) end
  for _, fields in ipairs({ own_headers or {}, opts.default_headers or {} }) do
    for _, name in ipairs(traversal.keys(fields)) do add(name, fields[name]) end
  end
  return list
end

local WRITABLE = { boolean = true, number = true, string = true }

local function check_query(spec, fields)
  for name, value in pairs(fields or {}) do
    if type(name) ~= "string" or not WRITABLE[type(value)] then
      errors.usage(("default_query of %s: %s is %s; it takes texts, numbers and booleans by name")
        :format(spec.class, errors.text(name), errors.shape(value)))
    end
  end
end

-- Whether a key would cross the network in the open.
local function is_exposed(base, headers, query)
  if base.scheme == "https" or base.is_loopback then return false end
  for _, header in ipairs(headers) do
    if secret.is(header[2]) then return true end
  end
  for name in pairs(query or {}) do
    if origin.is_secret(name) then return true end
  end
  return false
end

local PROXIES = {
  http = { "http_proxy", "all_proxy", "ALL_PROXY" },
  https = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" },
}

local function with_proxy(spec, opts)
  local proxy = opts.proxy == nil and spec.proxy_env and env { spec.proxy_env }
  if not proxy then return opts end
  local out = { proxy = proxy }
  for name, value in pairs(opts) do out[name] = value end
  return out
end

-- The host and port of the proxy that would be asked, without its password; nil where there
-- is none.
local function proxy_name(opts, base)
  local url = opts.proxy or env(PROXIES[base.scheme])
  return url and url:gsub("^%a[%w+.-]*://", ""):gsub("^.*@", ""):match("^[^/?#]+")
end

-- What was warned of: at each start of a program, not at each model of it.
local warned = {}

local function is_insecure(spec, opts, base)
  if not opts.insecure then return nil end
  if base.scheme == "https" and not warned[base.name] then
    warned[base.name] = true
    log.warn(("%s: insecure = true: nobody checks that %s is who it says; whoever stands between"
      .. " can read all, the key too"):format(spec.class, base.name))
  end
  return true
end

local FAMILIES = { v4 = 4, v6 = 6 }

local function family_of(spec, opts)
  if opts.ip == nil or FAMILIES[opts.ip] then return FAMILIES[opts.ip] end
  errors.usage(("ip of %s must be 'v4' or 'v6', got '%s'"):format(spec.class, opts.ip))
end

---Reads the options that `NAMES` lists; others are the caller's. Raises kind
---`config` where a key is missing or would go where it does not belong.
---@param spec moonpipe.EndpointSpec
---@param opts table
---@param own_headers table<string, string>?  the provider's
---@return table fields  of a moonpipe.Endpoint
function options.read(spec, opts, own_headers)
  for name, expected in pairs(TYPES) do
    if opts[name] ~= nil and type(opts[name]) ~= expected then
      errors.usage(("%s of %s must be a %s, got %s"):format(name, spec.class, expected,
        errors.shape(opts[name])))
    end
  end
  local base, own = origins_of(spec, opts)
  opts = with_proxy(spec, opts)
  local proxy = proxy_name(opts, base)
  check_query(spec, opts.default_query)
  local query = origin.query(opts.default_query)
  opts = options.sealed(spec, opts)
  local key, key_name = key_of(spec, opts, base, own)
  local headers = headers_of(spec, opts, key, own_headers)
  if is_exposed(base, headers, opts.default_query) and not opts.allow_http then
    errors.raise("config", ("%s: a key would cross the network in the open to '%s'; use https, or"
      .. " say allow_http = true"):format(spec.class, base.url))
  end
  return {
    origin = base,
    key = key,
    key_name = key and key_name,
    headers = headers,
    query = query,
    query_fields = opts.default_query, -- its secrets are masked as long as they are held
    timeouts = timeouts_of(spec, opts, base.is_loopback),
    max_retries = retries_of(spec, opts),
    proxy = opts.proxy,
    proxy_name = proxy,
    rate_limiter = limits.option(opts.rate_limiter, spec.class),
    ca_file = opts.ca_file,
    insecure = is_insecure(spec, opts, base),
    ip = family_of(spec, opts),
  }
end

return options
