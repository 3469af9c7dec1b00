--- A chat model that each call may choose: `config.configurable.model = "claude-…"`.
local configurable = require "moonpipe.steps.configurable"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local model = require "moonpipe.models.model"
local runnable = require "moonpipe.steps.runnable"
local secret = require "moonpipe.secret"

local Model, methods = runnable.class("ConfigurableChatModel", { base = model.BaseChatModel })
configurable.chooses(methods)

---@class moonpipe.ConfigurableChatModel: moonpipe.BaseChatModel
---@field any boolean                    every option may be chosen
---@field allowed table<string, true>    those that may
---@field prefix string                  before their names
---@field made table<string, moonpipe.BaseChatModel>  by what was chosen
---@field count integer                  of them

---@type table<moonpipe.ConfigurableChatModel, table>  options of the constructor; keys may stand in
---  them, in headers and proxies too, so they are no field that a script can read
local options_of = setmetatable({}, { __mode = "k" })

local MADE_MAX = 64 -- who chooses among more has them made anew

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

-- A key as a text would stand in the name of what is made.
local function sealed(name, value)
  if name ~= "api_key" or type(value) ~= "string" then return value end
  return secret.of(value, "api_key")
end

---@param name string?  the model where a call chooses none
---@param opts table    of init_chat_model
---@return moonpipe.ConfigurableChatModel
function Model.new(name, opts)
  local rest = {}
  for key, value in pairs(opts) do rest[key] = value end
  rest.configurable_fields, rest.config_prefix = nil, nil
  local self = runnable.instance(Model, {
    model = name,
    any = opts.configurable_fields == "any",
    allowed = allowed_of(opts.configurable_fields),
    prefix = opts.config_prefix and opts.config_prefix .. "_" or "",
    made = {},
    count = 0,
  })
  options_of[self] = rest
  return self
end

-- What a call chooses among what may be chosen; keys of others' are not ours.
local function chosen(self, ctx)
  local out = {}
  for key, value in pairs(ctx.configurable) do
    local is_ours = type(key) == "string" and key:sub(1, #self.prefix) == self.prefix
    local name = is_ours and key:sub(#self.prefix + 1)
    if name and (self.any or self.allowed[name]) then
      out[name] = sealed(name, value)
    end
  end
  return out
end

-- A name for what was chosen; nil where it has none: limiters, functions.
local function name_of(fields)
  local plain = {}
  for name, value in pairs(fields) do
    if type(value) == "table" and getmetatable(value) ~= nil then return nil end
    plain[name] = secret.is(value) and secret.id(value) or value
  end
  local ok, text = pcall(json.encode, plain)
  return ok and text or nil
end

local function make(self, fields)
  local opts = {}
  for _, set in ipairs { options_of[self], fields } do
    for name, value in pairs(set) do opts[name] = value end
  end
  local name = opts.model or self.model
  opts.model = nil
  return require("moonpipe.models.choice").init_chat_model(name, opts)
end

function methods:_choice(ctx)
  local fields = chosen(self, ctx)
  local name = name_of(fields)
  local made = name and self.made[name]
  if made then return made, ctx end
  made = make(self, fields)
  if name then
    if self.count == MADE_MAX then self.made, self.count = {}, 0 end
    self.made[name], self.count = made, self.count + 1
  end
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
