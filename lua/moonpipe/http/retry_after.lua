--- The times that servers write into headers: when to come again.
local after = {}

local MONTHS = {}
for month in ("jan feb mar apr may jun jul aug sep oct nov dec"):gmatch("%a+") do
  MONTHS[#MONTHS + 1] = month
  MONTHS[month] = #MONTHS
end

-- Days from 1970-01-01 to a day of the Gregorian calendar.
local function days(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4)
    - math.floor(year_of_era / 100) + day_of_year
  return era * 146097 + day_of_era - 719468
end

local function unix(year, month, day, hour, minute, second)
  month = MONTHS[month] or tonumber(month)
  year, day = tonumber(year), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if not month or month < 1 or month > 12 or day < 1 or day > 31 or hour > 23 or minute > 59
    or second >= 61 then
    return nil
  end
  return days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
end

-- Of the two digits of RFC 850 those from 70 on are of the last century, as in POSIX.
local function full_year(two)
  two = tonumber(two)
  return two + (two < 70 and 2000 or 1900)
end

local TIME = "(%d%d):(%d%d):(%d%d)"

-- `Sun, 06 Nov 1994 08:49:37 GMT`
local function imf_fixdate(text)
  local day, month, year, hour, minute, second = text:match(
    "^%a+, *(%d%d?)[ -](%a%a%a)[ -](%d%d%d%d) " .. TIME)
  if day then return unix(year, month, day, hour, minute, second) end
end

-- `Sunday, 06-Nov-94 08:49:37 GMT`
local function rfc_850(text)
  local day, month, year, hour, minute, second = text:match(
    "^%a+, *(%d%d?)%-(%a%a%a)%-(%d%d) " .. TIME)
  if day then return unix(full_year(year), month, day, hour, minute, second) end
end

-- `Sun Nov  6 08:49:37 1994`
local function asctime(text)
  local month, day, hour, minute, second, year = text:match(
    "^%a%a%a (%a%a%a) +(%d%d?) " .. TIME .. " (%d%d%d%d)$")
  if day then return unix(year, month, day, hour, minute, second) end
end

-- `1994-11-06T08:49:37Z`, with an offset or a fraction where there is one
local function rfc_3339(text)
  local year, month, day, hour, minute, second, zone = text:match(
    "^(%d%d%d%d)%-(%d%d)%-(%d%d)[t ](%d%d):(%d%d):(%d%d%.?%d*)(.*)$")
  local at = year and unix(year, month, day, hour, minute, second)
  if not at or zone == "z" then return at end
  local sign, hours, minutes = zone:match("^([+-])(%d%d):?(%d%d)$")
  if not sign then return nil end
  return at - (sign == "-" and -1 or 1) * (hours * 3600 + minutes * 60)
end

---The Unix time that a date of HTTP (any of its three forms) or of RFC 3339 says,
---nil where the text is none.
---@param text string
---@return number?
function after.date(text)
  text = text:lower():match("^%s*(.-)%s*$")
  return imf_fixdate(text) or rfc_850(text) or asctime(text) or rfc_3339(text)
end

-- What is no finite number (`nan`, `1e999`, `0x10`) is none here.
local function number(text)
  if not text:find("^%s*[+-]?[%d.]+[eE]?[+-]?%d*%s*$") then return nil end
  local value = tonumber(text)
  return value and value < math.huge and value > -math.huge and value or nil
end

---Seconds in a Retry-After: a number of them (with a fraction, perhaps negative)
---or a date, seen from [now], a Unix time. nil where it is neither.
---@param text string
---@param now number
---@return number?
function after.seconds(text, now)
  local value = number(text)
  if value then return value end
  local at = after.date(text)
  return at and at - now
end

---Seconds in a Retry-After-Ms.
---@param text string
---@return number?
function after.milliseconds(text)
  local value = number(text)
  return value and value / 1000
end

local UNITS = { h = 3600, m = 60, s = 1, ms = 1e-3, us = 1e-6, ["µs"] = 1e-6, ns = 1e-9 }

---Seconds in a duration such as `1s`, `6m0s`, `12ms`, `1h2m3.5s`, in a bare
---number of seconds, or until a date. nil where the text is none of these.
---@param text string
---@param now number  a Unix time
---@return number?
function after.duration(text, now)
  local sum, rest = 0, text
  while rest ~= "" do
    local value, unit, more = rest:match("^([%d.]+)([a-zµ]+)(.*)$")
    if not (value and tonumber(value) and UNITS[unit]) then return after.seconds(text, now) end
    sum, rest = sum + value * UNITS[unit], more
  end
  return text ~= "" and sum or nil
end

return after
