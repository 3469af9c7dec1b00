--- A chat model that each call may choose: `config.configurable.model = "claude-…"`.
local configurable = require "moonpipe.configurable"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local model = require "moonpipe.model"
local runnable = require "moonpipe.runnable"

local Model, methods = runnable.class("ConfigurableChatModel", { base = model.BaseChatModel })
configurable.chooses(methods)

---@class moonpipe.ConfigurableChatModel: moonpipe.BaseChatModel
---@field opts table                     of the model's constructor
---@field any boolean                    every option may be chosen
---@field allowed table<string, true>    those that may
---@field prefix string                  before their names
---@field made table<string, moonpipe.BaseChatModel>  by what was chosen

local function allowed_of(given)
  if given == nil then return { model = true, model_provider = true } end
  if given == "any" then return {} end
  if type(given) ~= "table" or #given == 0 then
    errors.usage("configurable_fields of init_chat_model takes \"any\" or a list of names, got "
      .. errors.shape(given))
  end
  local set = {}
  for _, name in ipairs(given) do set[name] = true end
  return set
end

---@param name string?  the model where a call chooses none
---@param opts table    of init_chat_model
---@return moonpipe.ConfigurableChatModel
function Model.new(name, opts)
  local rest = {}
  for key, value in pairs(opts) do rest[key] = value end
  rest.configurable_fields, rest.config_prefix = nil, nil
  return runnable.instance(Model, {
    model = name,
    opts = rest,
    any = opts.configurable_fields == "any",
    allowed = allowed_of(opts.configurable_fields),
    prefix = opts.config_prefix and opts.config_prefix .. "_" or "",
    made = {},
  })
end

-- What a call chooses among what may be chosen; keys of others' are not ours.
local function chosen(self, ctx)
  local out = {}
  for key, value in pairs(ctx.configurable) do
    local name = key:sub(1, #self.prefix) == self.prefix and key:sub(#self.prefix + 1)
    if name and (self.any or self.allowed[name]) then out[name] = value end
  end
  return out
end

function methods:_choice(ctx)
  local fields = chosen(self, ctx)
  local key = json.encode(fields)
  local made = self.made[key]
  if made then return made, ctx end
  local opts = {}
  for _, set in ipairs { self.opts, fields } do
    for name, value in pairs(set) do opts[name] = value end
  end
  local name = opts.model or self.model
  opts.model = nil
  made = require("moonpipe.model_choice").init_chat_model(name, opts)
  self.made[key] = made
  return made, ctx
end

function methods:_choices()
  local out = {}
  for name in pairs(self.any and { model = true, model_provider = true } or self.allowed) do
    out[self.prefix .. name] = {}
  end
  return out
end

-- Every model answers once it has its whole input.
function methods:_flow()
  return "answers"
end

return Model
