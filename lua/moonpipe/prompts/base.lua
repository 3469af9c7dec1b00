--- What all prompts share: their variables, and the rule for inputs; problem.lua has what is
-- said when a variable has no value.
local errors = require "moonpipe.error"
local runnable = require "moonpipe.steps.runnable"
local template = require "moonpipe.templates.template"

-- The input ---------------------------------------------------------------------------------------

---@class moonpipe.BasePromptTemplate: moonpipe.Runnable
---@field source string                text that stands for it in messages
---@field input_variables string[]     sorted; those that a call must give
---@field optional_variables string[]  sorted; of optional placeholders
---@field partial_variables table      name -> value, or a function called at each use
---@field single boolean              there is one variable, and no other of any sort
local Base, base = runnable.class("BasePromptTemplate", { label = "prompt" })
base.run_kind = "prompt"

local prompt_base = { Base = Base }

function base:_input_schema()
  return require("moonpipe.schemas").keys(self.input_variables, self.optional_variables)
end

local function with_partials(self, given)
  local result = {}
  for _, name in ipairs(self.input_variables) do
    result[name] = given[name]
  end
  for _, name in ipairs(self.optional_variables) do
    result[name] = given[name]
  end
  for name, value in pairs(self.partial_variables) do
    result[name] = given[name]
    if result[name] == nil and type(value) == "function" then
      result[name] = value()
    elseif result[name] == nil then
      result[name] = value
    end
  end
  return result
end

local problem

-- What is no table of named values is judged, and what is wrong is said, by a module of its own.
local function problems()
  problem = problem or require "moonpipe.prompts.problem"
  return problem
end

-- Raises: some variable has no value in [given].
function base:_missing(given)
  problems().missing(self, given)
end

--- Says at composition which variables the step before will not give.
---@param keys any[]
---@return string? problem
function base:_check_keys(keys)
  local given = {}
  for _, key in ipairs(keys) do
    given[tostring(key)] = true
  end
  for _, name in ipairs(self.input_variables) do
    if not given[name] then
      return problems().of_keys(self, keys)
    end
  end
end

--- Gives the named values, or nil and a lone value that stands for every variable.
---@return table? values
---@return any only
function base:_inputs(input)
  if type(input) == "table" then
    local mt = getmetatable(input)
    if mt == nil and input[1] == nil or not problems().is_one_value(input, mt) then
      return self.has_partials and with_partials(self, input) or input, nil
    end
  end
  if self.single and input ~= nil then
    return nil, input
  end
  local given = problems().from_one_value(self, input)
  return self.has_partials and with_partials(self, given) or given, nil
end

-- Construction ------------------------------------------------------------------------------------

local function sorted_names(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function any_function(partials)
  for _, value in pairs(partials) do
    if type(value) == "function" then
      return true
    end
  end
  return false
end

--- Makes a prompt of [fields], which need `source` and `partial_variables` and are taken.
---@param Class table
---@param fields table
---@param required table<string, true>  the variables in its texts
---@param optional table<string, true>  those of optional placeholders
---@param stated string[]?  what the user says the variables are
function prompt_base.instance(Class, fields, required, optional, stated)
  local self = runnable.instance(Class, fields)
  local partials = self.partial_variables
  local known, need, may = {}, {}, {}
  for name in pairs(optional) do
    known[name], may[name] = true, partials[name] == nil or nil
  end
  for name in pairs(required) do
    known[name], need[name], may[name] = true, partials[name] == nil or nil, nil
  end
  for name in pairs(partials) do
    if not known[name] then
      problems().refuse_partial(self, name, sorted_names(known))
    end
  end
  self.input_variables, self.optional_variables = sorted_names(need), sorted_names(may)
  if stated then
    problems().check_stated(self, stated)
  end
  self.has_partials = next(partials) ~= nil
  self.single = not self.has_partials and #self.input_variables == 1 and next(may) == nil
  -- a function that is asked at each use may wait
  self.sync = not any_function(partials)
  return self
end

--- A copy of a table of partial values with more in it.
---@param values table?
---@param more table?
---@return table
function prompt_base.merged(values, more)
  local result = {}
  for _, part in ipairs({ values or {}, more or {} }) do
    for name, value in pairs(part) do
      result[name] = value
    end
  end
  return result
end

--- True for a prompt of examples, which can be a part of a chat prompt.
---@param value any
---@return boolean
function prompt_base.is_few_shot(value)
  local mt = getmetatable(value)
  return type(mt) == "table" and mt.few_shot == true
end

-- What classes of prompts share -------------------------------------------------------------------

---@class moonpipe.PromptOptions
---@field partial_variables table?  values, or functions that are called at each use
---@field input_variables string[]?  what a call must give; only checked
---@field template_format ("f-string"|"mustache")?
---@field mustache_partials table<string, string>?  texts that `{{>name}}` puts in

--- Checks the options that all prompts take.
---@param opts moonpipe.PromptOptions?
---@param what string  whose
---@param allowed string[]?  these options instead
---@return table opts
function prompt_base.options(opts, what, allowed)
  return opts == nil and {} or problems().options(opts, what, allowed)
end

--- What makes templates of texts, as the options say.
---@param opts moonpipe.PromptOptions
---@return fun(text: string): moonpipe.Template?, string?
function prompt_base.compiler(opts)
  if opts.template_format ~= "mustache" then
    return template.compile
  end
  local partials = opts.mustache_partials
  return function(text)
    return require("moonpipe.templates.mustache").compile(text, partials)
  end
end

--- Splits `Class{ [key] = …, options }` into the two.
---@return any main, table opts
function prompt_base.take(given, key)
  local opts, main = {}, nil
  for name, value in pairs(given) do
    if name == key then
      main = value
    else
      opts[name] = value
    end
  end
  return main, opts
end

--- The partial values of a prompt with more of them.
---@return table
function prompt_base.partial(self, more)
  if type(more) ~= "table" then
    errors.usage(("partial takes a table of variables, got %s"):format(errors.shape(more)))
  end
  return prompt_base.merged(self.partial_variables, more)
end

return prompt_base
