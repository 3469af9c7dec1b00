--- `moonpipe models`: which providers and local servers there are, what would be taken, and which
--- models a provider has.
local choice = require "moonpipe.models.choice"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local names = require "moonpipe.models.names"
local secret = require "moonpipe.secret"
local terminal = require "moonpipe.terminal"

local models = {
  name = "models",
  usage = "[PROVIDER...]",
  summary = "Lists the providers, whose keys are set, and the servers that answer on this machine; "
    .. "or the models of a provider.",
  about = "With PROVIDER it asks its server which models it has, and prints their names as --model "
    .. "and MOONPIPE_MODEL take them.",
  example = "moonpipe models --json\n"
    .. "moonpipe models openai ollama",
  exits = { 0, 2, 3, 4, 5, 124, 130, 143 },
  among = names.providers(),
  options = { { name = "json", help = "an object; with PROVIDER a list: provider, model" } },
}

-- ---- providers -----------------------------------------------------------------------------

-- The variable that makes a provider at hand, where one is set.
local function set_variable(home)
  for _, variable in ipairs(home.env or {}) do
    local from = secret.variable(variable)
    if from then return from end
  end
end

local function state_of(home)
  local variable = set_variable(home)
  if variable then return variable .. " is set", true end
  return home.env and "set " .. home.env[1] or "needs no key", home.env == nil
end

local function rows(chosen)
  local list = {}
  for _, provider in ipairs(names.providers()) do
    local home = names.home(provider)
    local state, ready = state_of(home)
    list[#list + 1] = { provider = provider, class = home.class, state = state, ready = ready,
      chosen = provider == chosen.provider or nil }
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

--- What init_chat_model() takes, in words: `openai:gpt-5.4-mini (MOONPIPE_MODEL)`.
---@param chosen table  of choice.at_hand
---@return string
function models.told(chosen)
  local model = chosen.model and ":" .. chosen.model or ""
  return ("%s%s (%s)"):format(chosen.provider, model, chosen.from)
end

local function print_rows(list, servers, chosen)
  for _, row in ipairs(list) do
    print(("%s %-12s %-24s %s"):format(row.chosen and "*" or " ", row.provider, row.class,
      row.state))
  end
  for _, server in ipairs(servers) do
    print(terminal.printable(("  %-12s %-24s %s"):format(server.name, server.url, server.model)))
  end
  print(terminal.printable(("\n* is what init_chat_model() takes: %s."):format(
    models.told(chosen))))
  print "MOONPIPE_MODEL=provider:model says another; `moonpipe models PROVIDER` lists its models."
end

-- ---- models ----------------------------------------------------------------------------------

--- The names of the models of a provider, as its server lists them.
---@async
---@param provider string
---@return string[]
function models.of(provider)
  if provider == "extractive" then return {} end
  return require("moonpipe.models.listing").of(choice.class(provider)())
end

local function list_models(given, providers)
  local list = json.array {}
  for _, provider in ipairs(providers) do
    for _, name in ipairs(models.of(provider)) do
      list[#list + 1] = { provider = provider, model = name }
      if not given.json then print(terminal.printable(("%s:%s"):format(provider, name))) end
    end
  end
  if given.json then print(terminal.json(json.encode(list, { indent = 2 }))) end
end

local function check_names(words)
  for _, word in ipairs(words) do
    if not names.home(word) then
      return ("there is no provider '%s'%s"):format(word, errors.hint(word, names.providers()))
    end
  end
end

function models.run(given, words)
  if words[1] then return check_names(words) or list_models(given, words) end
  local chosen, servers = choice.at_hand(), models.servers()
  local list = rows(chosen)
  if not given.json then return print_rows(list, servers, chosen) end
  local all = { providers = json.array(list), servers = json.array(servers), chosen = chosen }
  print(terminal.json(json.encode(all, { indent = 2 })))
end

return models
