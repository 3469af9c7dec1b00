--- What all prompts share: their variables, the rule for inputs, and what is said when a variable
-- has no value.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local runnable = require "moonpipe.runnable"
local template = require "moonpipe.template"

local ARRAY = getmetatable(json.array({}))

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

local function list_of_names(names)
  return "{" .. table.concat(names, ", ") .. "}"
end

-- How a message says which prompt it is about.
local function title(self)
  local text = self.source:gsub("%s+", " ")
  if #text > 40 then
    text = text:sub(1, 40):gsub("[\128-\255]*$", "") .. "…"
  end
  return ('%s "%s"'):format(self.class_name, text)
end

local function without(names, others)
  local known, rest = {}, {}
  for _, name in ipairs(others) do
    known[name] = true
  end
  for _, name in ipairs(names) do
    if not known[name] then
      rest[#rest + 1] = name
    end
  end
  return rest
end

-- The one text for a missing variable, at composition and at a call. nil: nothing is missing.
local function missing_text(self, received)
  local expected = self.input_variables
  local missing = without(expected, received)
  if not missing[1] then
    return nil
  end
  return ("%s misses %s: expected %s, received %s; if braces were meant literally %s%s"):format(
    title(self), list_of_names(missing), list_of_names(expected), list_of_names(received),
    self.template_format == "mustache" and "choose other delimiters first: {{=<% %>=}}"
      or ("write {{%s}}"):format(missing[1]),
    errors.hint(missing[1], without(received, expected)))
end

-- Raises: some variable has no value in [given].
function base:_missing(given)
  local received = {}
  for key in pairs(given or {}) do
    if self.partial_variables[key] == nil then
      received[#received + 1] = tostring(key)
    end
  end
  table.sort(received)
  errors.raise("input", missing_text(self, received) or title(self) .. " misses a value")
end

-- A list may be the value of the one variable.
local function all_integers(names)
  for _, name in ipairs(names) do
    if not name:find("^%d+$") then
      return false
    end
  end
  return names[1] ~= nil
end

function base:_input_schema()
  return require("moonpipe.schemas").keys(self.input_variables, self.optional_variables)
end

--- Says at composition which variables the step before will not give.
---@param keys any[]
---@return string? problem
function base:_check_keys(keys)
  local names = {}
  for i, key in ipairs(keys) do
    names[i] = tostring(key)
  end
  if #self.input_variables == 1 and all_integers(names) then
    return nil
  end
  return missing_text(self, names)
end

-- A table that stands for itself, as a message or a list does, is no set of named values.
local function is_one_value(input, mt)
  if mt == nil or mt == ARRAY then
    return input[1] ~= nil or mt == ARRAY
  end
  return type(mt) == "table" and mt.__tostring ~= nil or document.is(input)
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

local function from_one_value(self, input)
  local variables = self.input_variables
  if #variables == 1 then
    return { [variables[1]] = input }
  elseif input == nil then
    return {}
  end
  local example = {}
  for i, name in ipairs(variables) do
    example[i] = name .. " = …"
  end
  errors.raise("input", ("%s expects %s, received %s; %s"):format(title(self),
    list_of_names(variables), errors.shape(input), example[1]
    and "put a map before it: { " .. table.concat(example, ", ") .. " }" or "it has no variable"))
end

--- Gives the named values, or nil and a lone value that stands for every variable.
---@return table? values
---@return any only
function base:_inputs(input)
  if type(input) == "table" then
    local mt = getmetatable(input)
    if mt == nil and input[1] == nil or not is_one_value(input, mt) then
      return self.has_partials and with_partials(self, input) or input, nil
    end
  end
  if self.single and input ~= nil then
    return nil, input
  end
  local given = from_one_value(self, input)
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

local function check_partials(self, partials, known)
  for name in pairs(partials) do
    if not known[name] then
      local names = sorted_names(known)
      errors.usage(("'%s' is no variable of %s; it has %s%s"):format(tostring(name), title(self),
        list_of_names(names), errors.hint(name, names)))
    end
  end
end

-- Older code states the variables beside the text.
local function check_stated(self, stated)
  local names = {}
  for i, name in ipairs(stated) do
    names[i] = tostring(name)
  end
  table.sort(names)
  if list_of_names(names) ~= list_of_names(self.input_variables) then
    errors.usage(("input_variables of %s are %s, but a call must give %s"):format(title(self),
      list_of_names(names), list_of_names(self.input_variables)))
  end
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
  check_partials(self, partials, known)
  self.input_variables, self.optional_variables = sorted_names(need), sorted_names(may)
  if stated then
    check_stated(self, stated)
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

local OPTIONS = { "input_variables", "mustache_partials", "partial_variables", "template_format" }
local TABLES = { "mustache_partials", "partial_variables" }
local FORMATS = { ["f-string"] = true, mustache = true }

local function check_format(format, what)
  if format == "jinja2" then
    errors.usage(("template_format of %s is 'jinja2', a language of programs, which no prompt here"
      .. " runs; write an 'f-string' or 'mustache' template"):format(what))
  elseif not FORMATS[format] then
    errors.usage(("template_format of %s is %s; it must be 'f-string' or 'mustache'"):format(what,
      type(format) == "string" and "'" .. format .. "'" or errors.shape(format)))
  end
end

--- Checks the options that all prompts take.
---@param opts moonpipe.PromptOptions?
---@param what string  whose
---@param allowed string[]?  these options instead
---@return table opts
function prompt_base.options(opts, what, allowed)
  opts = errors.options(opts, allowed or OPTIONS, what)
  check_format(opts.template_format or "f-string", what)
  for _, key in ipairs(TABLES) do
    if opts[key] ~= nil and type(opts[key]) ~= "table" then
      errors.usage(("%s of %s is %s; it must be a table"):format(key, what,
        errors.shape(opts[key])))
    end
  end
  if opts.mustache_partials and opts.template_format ~= "mustache" then
    errors.usage(("mustache_partials of %s need template_format = \"mustache\""):format(what))
  end
  local stated = opts.input_variables
  if stated ~= nil and type(stated) ~= "table" then
    errors.usage(("input_variables of %s is %s; it must be a list of names"):format(what,
      errors.shape(stated)))
  end
  return opts
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
    return require("moonpipe.template_mustache").compile(text, partials)
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
