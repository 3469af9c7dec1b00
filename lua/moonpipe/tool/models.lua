--- `moonpipe models`: which providers and local servers there are, and what would be taken.
local choice = require "moonpipe.models.choice"
local json = require "moonpipe.json"
local names = require "moonpipe.models.names"
local secret = require "moonpipe.secret"

local models = {
  name = "models",
  usage = "",
  summary = "Lists the providers, whose keys are set, and the servers that answer on this machine.",
  example = "moonpipe models --json",
  files = {},
  exits = { 0, 2 },
  options = { { name = "json", help = "a list of objects" } },
}

-- The variable that makes a provider at hand, where one is set.
local function set_variable(home)
  for _, variable in ipairs(home.env or {}) do
    if secret.variable(variable) then return variable end
  end
end

local function state_of(home)
  local variable = set_variable(home)
  if variable then return variable .. " is set", true end
  return home.env and "set " .. home.env[1] or "needs no key", home.env == nil
end

local function rows()
  local list, chosen = {}, names.at_hand()
  for _, provider in ipairs(names.providers()) do
    local home = names.home(provider)
    local state, ready = state_of(home)
    list[#list + 1] = { provider = provider, class = home.class, state = state, ready = ready,
      chosen = provider == chosen or nil }
  end
  return list
end

--- The servers on this machine that answer.
---@async
---@return { name: string, url: string, model: string }[]
function models.servers()
  local list = {}
  for i, answer in ipairs(choice.ask_servers()) do
    local server = choice.SERVERS[i]
    if answer[1] then
      list[#list + 1] = { name = server.name, url = server.url, model = answer[1] }
    end
  end
  return list
end

local function print_rows(list, servers)
  for _, row in ipairs(list) do
    print(("%s %-12s %-24s %s"):format(row.chosen and "*" or " ", row.provider, row.class,
      row.state))
  end
  for _, server in ipairs(servers) do
    print(("  %-12s %-24s %s"):format(server.name, server.url, server.model))
  end
  print("\n* is what init_chat_model() takes; MOONPIPE_MODEL=provider:model says another.")
end

function models.run(given, words)
  if #words > 0 then return "models takes no words" end
  local list, servers = rows(), models.servers()
  if not given.json then return print_rows(list, servers) end
  local all = { providers = json.array(list), servers = json.array(servers) }
  print(json.encode(all, { indent = 2 }))
end

return models
