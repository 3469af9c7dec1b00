--- What is wrong with the inputs and options of prompts, and inputs that are no table of named
-- values; base.lua asks. Most scripts need none of it.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local problem = {}

local ARRAY = native.c.json_array_mt

-- Variables ---------------------------------------------------------------------------------------

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

--- Raises: some variable has no value in [given].
function problem.missing(self, given)
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

--- Says which variables are not among [keys]; nil where a list is the value of the one.
---@param keys any[]
---@return string? problem
function problem.of_keys(self, keys)
  local names = {}
  for i, key in ipairs(keys) do
    names[i] = tostring(key)
  end
  if #self.input_variables == 1 and all_integers(names) then
    return nil
  end
  return missing_text(self, names)
end

-- Inputs ------------------------------------------------------------------------------------------

--- True for a table that stands for itself, as a message or a list does: no set of named values.
---@return boolean
function problem.is_one_value(input, mt)
  if mt == nil or mt == ARRAY then
    return input[1] ~= nil or mt == ARRAY
  end
  return type(mt) == "table" and mt.__tostring ~= nil or document.is(input)
end

--- The named values that [input], which is no table of them, stands for; raises where it cannot.
---@return table
function problem.from_one_value(self, input)
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

-- Options -----------------------------------------------------------------------------------------

--- Raises: a partial value is given for [name], which is none of [names], the variables.
function problem.refuse_partial(self, name, names)
  errors.usage(("'%s' is no variable of %s; it has %s%s"):format(tostring(name), title(self),
    list_of_names(names), errors.hint(name, names)))
end

--- Older code states the variables beside the text.
---@param stated string[]
function problem.check_stated(self, stated)
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

--- Checks options that were given; see prompt_base.options.
---@return table opts
function problem.options(opts, what, allowed)
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

return problem
