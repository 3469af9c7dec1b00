--- The formats of JSON Schema that are checked.
local format = {}

local function days_in(year, month)
  if month == 2 then
    local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
    return leap and 29 or 28
  end
  return (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31
end

local function is_date(text)
  local year, month, day = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)$")
  if not year then return false end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  return month >= 1 and month <= 12 and day >= 1 and day <= days_in(year, month)
end

-- Minutes east of Greenwich; nil where it is no offset.
local function offset_of(text)
  if text == "Z" or text == "z" then return 0 end
  local sign, hours, minutes = text:match("^([+-])(%d%d):(%d%d)$")
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not sign or hours > 23 or minutes > 59 then return nil end
  return (sign == "+" and 1 or -1) * (hours * 60 + minutes)
end

-- RFC 3339: an offset is needed, and a second 60 ends a day in UTC.
local function is_time(text)
  local hour, minute, second, part, zone = text:match("^(%d%d):(%d%d):(%d%d)(%.?%d*)([Zz+-].*)$")
  if not hour or part ~= "" and not part:find("^%.%d") then return false end
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  local offset = offset_of(zone)
  if not offset or hour > 23 or minute > 59 or second > 60 then return false end
  return second < 60 or (hour * 60 + minute - offset) % 1440 == 1439
end

local function is_date_time(text)
  local date, time = text:match("^([%d-]+)[Tt](.+)$")
  return date ~= nil and is_date(date) and is_time(time)
end

local function is_uuid(text)
  local parts = { text:match("^(%x+)%-(%x+)%-(%x+)%-(%x+)%-(%x+)$") }
  return #text == 36 and #parts == 5 and #parts[1] == 8 and #parts[2] == 4 and #parts[3] == 4
    and #parts[4] == 4 and #parts[5] == 12
end

local function is_ipv4(text)
  local parts = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  for _, part in ipairs(parts) do
    if #part > 3 or tonumber(part) > 255 or part:find("^0.") then return false end
  end
  return parts[4] ~= nil
end

-- How many groups of four digits a list of them has; nil where it is none.
local function groups_in(text)
  if text == "" then return 0 end
  local count = 0
  for group in (text .. ":"):gmatch("(.-):") do
    if not group:find("^%x%x?%x?%x?$") then return nil end
    count = count + 1
  end
  return count
end

local function is_ipv6(text)
  local head, v4 = text:match("^(.*:)(%d+%.%d+%.%d+%.%d+)$")
  if head then
    if not is_ipv4(v4) then return false end
    text = head .. "0:0"
  end
  local before, after = text:match("^(.-)::(.*)$")
  if not before then return groups_in(text) == 8 end
  local left, right = groups_in(before), groups_in(after)
  return left ~= nil and right ~= nil and left + right < 8
end

local function is_hostname(text)
  if #text == 0 or #text > 253 or text:sub(-1) == "." then return false end
  for label in (text .. "."):gmatch("(.-)%.") do
    if #label > 63 or not label:find("^%w[%w-]*$") or label:sub(-1) == "-" then return false end
  end
  return true
end

-- What people write; quoted local parts are refused.
local function is_email(text)
  local name, host = text:match("^([^%s@]+)@(.+)$")
  if not name or name:find("[^%w!#$%%&'*+/=?^_`{}~.\124\128-\255-]") then return false end
  if name:find("^%.") or name:find("%.$") or name:find("..", 1, true) then return false end
  local address = host:match("^%[(.*)%]$")
  if address then return is_ipv4(address) or is_ipv6(address:match("^IPv6:(.*)$") or "") end
  return is_hostname(host)
end

local function is_uri(text)
  if not text:find("^%a[%w+.-]*:") or text:find("[^%w%-._~:/?#%[%]@!$&'()*+,;=%%]") then
    return false
  end
  return not text:gsub("%%%x%x", ""):find("%", 1, true)
end

format.CHECKS = {
  date = is_date, time = is_time, ["date-time"] = is_date_time, email = is_email,
  hostname = is_hostname, ipv4 = is_ipv4, ipv6 = is_ipv6, uri = is_uri, uuid = is_uuid,
}

return format
