--- Where a server is: URLs, and the origin that a key is bound to.
local errors = require "moonpipe.error"

---@class moonpipe.Origin
---@field url string          without a slash at its end
---@field name string         `https://host:port`, the port only where it is not the usual one
---@field scheme "http"|"https"
---@field host string
---@field port string
---@field is_loopback boolean

local origin = {}

local USUAL = { http = "80", https = "443" }

-- "localhost" is taken at its word: what resolves it elsewhere owns the machine.
local function is_loopback(host)
  return host == "localhost" or host:find("%.localhost$") ~= nil or host == "[::1]"
    or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

local function refuse(what, url, why)
  errors.raise("config", ("%s '%s' %s"):format(what, url, why))
end

local function split_authority(what, url, authority)
  if authority:find("@", 1, true) then
    errors.raise("config", what .. " holds a user name or a key; write it as api_key")
  end
  local host, port = authority:match("^(%[[%x:.]+%]):?(%d*)$")
  if not host then host, port = authority:match("^([%w._-]+):?(%d*)$") end
  if not host or port ~= "" and tonumber(port) > 65535 then
    refuse(what, url, "names no host")
  end
  return host:lower(), port
end

---Reads a base URL. Raises kind `config` where it is none.
---@param url string
---@param what string  whose it is, for messages
---@return moonpipe.Origin
function origin.parse(url, what)
  local scheme, authority, path = url:match("^(%a[%w+.-]*)://([^/?#]*)([^?#]*)$")
  scheme = scheme and scheme:lower()
  if not USUAL[scheme] or path:find("[%c%s]") then
    refuse(what, url, "must look like https://host/path")
  end
  local host, port = split_authority(what, url, authority)
  if port == "" then port = USUAL[scheme] end
  local shown = port ~= USUAL[scheme] and ":" .. port or ""
  local name = scheme .. "://" .. host .. shown
  return {
    url = name .. path:gsub("/+$", ""),
    name = name,
    scheme = scheme,
    host = host,
    port = port,
    is_loopback = is_loopback(host),
  }
end

local function escape(text)
  return (tostring(text):gsub("[^%w._~-]", function(byte)
    return ("%%%02X"):format(byte:byte())
  end))
end

---`?a=1&b=2` of a table, sorted; nothing for an empty one.
---@param fields table<string, string|number|boolean>?
---@return string
function origin.query(fields)
  local parts = {}
  for name, value in pairs(fields or {}) do
    parts[#parts + 1] = escape(name) .. "=" .. escape(value)
  end
  table.sort(parts)
  return parts[1] and "?" .. table.concat(parts, "&") or ""
end

-- Fields of a query that hold what nobody else shall see.
local SECRET_FIELDS = {
  key = true, api_key = true, apikey = true, ["api-key"] = true, access_token = true,
  token = true, auth_token = true, sig = true, signature = true, password = true,
}

---Whether a field of a query holds a secret, by its name.
---@param name string
---@return boolean
function origin.is_secret(name)
  return SECRET_FIELDS[name:lower()] == true
end

---A URL without the secrets of its query.
---@param url string
---@return string
function origin.shown(url)
  return (url:gsub("([?&])([^=&#]+)=[^&#]*", function(mark, name)
    if origin.is_secret(name) then return mark .. name .. "=…" end
  end))
end

return origin
