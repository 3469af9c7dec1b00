--- `moonpipe doctor`: what there is, what is missing, and what that means.
local checks = require "moonpipe.tool.doctor_checks"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local redact = require "moonpipe.redact"

local doctor = {
  name = "doctor",
  usage = "",
  summary = "Looks at libraries, keys, servers and limits, and says what is missing and for what.",
  about = "It sends nothing, but asks whether models run on this machine. With --online it asks "
    .. "the server of each key whether it takes that.",
  example = "moonpipe doctor",
  files = {},
  exits = { 0, 1, 2 },
  meaning = { [1] = "what moonpipe cannot do without is missing, or a key is refused" },
  options = {
    { name = "json", help = "a list of objects: group, name, ok, says" },
    { name = "online", help = "ask the server of each key" },
  },
}

local function examined(one)
  local ok, says, missing = pcall(one.fn)
  if not ok then says, missing = nil, errors.wrap(says).message end
  return {
    group = one.group, name = one.name, ok = says ~= nil,
    needed = one.is_needed or one.group == "asked",
    says = redact.text(mp.printable(says or missing)),
  }
end

local function chosen(given)
  local list = { unpack(checks.LOCAL) }
  for _, one in ipairs(given.online and checks.online() or {}) do list[#list + 1] = one end
  return list
end

local function print_result(result, group)
  if result.group ~= group then print((group and "\n" or "") .. result.group .. ":") end
  print(("  %-7s %-34s %s"):format(result.ok and "ok" or "missing", result.name, result.says))
  return result.group
end

function doctor.run(given, words)
  if #words > 0 then return "doctor takes no words" end
  local list, code, group = json.array {}, nil, nil
  for i, one in ipairs(chosen(given)) do
    list[i] = examined(one)
    if not list[i].ok and list[i].needed then code = 1 end
    if not given.json then group = print_result(list[i], group) end
  end
  if given.json then print(json.encode(list, { indent = 2 })) end
  return code
end

return doctor
