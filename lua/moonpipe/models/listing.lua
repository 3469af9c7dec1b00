--- Which models a provider's server has.
local context = require "moonpipe.context"
local envelope = require "moonpipe.http.envelope"
local glance = require "moonpipe.http.glance"

local listing = {}

local PATIENCE = 3 -- seconds, where the names are only for a message

local function openai_names(list)
  return envelope.texts(list.data, "id")
end

-- The names in an answer, sorted.
local function names_in(api, body)
  local list = glance(body)
  local names = type(list) == "table" and (api.models or openai_names)(list) or {}
  table.sort(names)
  return names
end

local function path_of(api)
  return api.models_path or "/models"
end

---The names that a server lists; none where it does not answer at once.
---@async
---@param server moonpipe.Endpoint
---@param api moonpipe.ChatApi
---@param ctx moonpipe.Context
---@return string[]
function listing.glance(server, api, ctx)
  if server.models then return server.models end
  local response = server:ask(path_of(api), ctx, PATIENCE)
  local names = response and names_in(api, response.body) or {}
  if names[1] then server.models = names end
  return names
end

---The names of the models that the server of [model] has. Raises what a call of it would.
---@async
---@param model moonpipe.ApiChatModel
---@return string[]
function listing.of(model)
  local server, api = model.endpoint, model.api
  return server:send(server:plan(path_of(api), "", "GET"), nil, context.current(),
    function(response) return names_in(api, response.body) end)
end

return listing
