--- Prompts that turn named values into one text.
local errors = require "moonpipe.error"
local prompt_base = require "moonpipe.prompt_base"
local runnable = require "moonpipe.runnable"
local template = require "moonpipe.template"
local values = require "moonpipe.prompt_value"

---@class moonpipe.PromptTemplate: moonpipe.BasePromptTemplate
---@operator add(moonpipe.PromptTemplate|string): moonpipe.PromptTemplate
local PromptTemplate, string_prompt = runnable.class("PromptTemplate", {
  base = prompt_base.Base, label = "prompt",
})
prompt_base.text_mt = PromptTemplate.mt

local function new_string_prompt(text, partials, stated)
  if type(text) ~= "string" then
    errors.usage("the template of PromptTemplate is a string, not " .. errors.shape(text))
  end
  local compiled, problem = template.compile(text)
  if not compiled then
    errors.usage(problem)
  end
  local names = {}
  for _, name in ipairs(compiled.variables) do
    names[name] = true
  end
  return prompt_base.instance(PromptTemplate, {
    source = text, template = compiled, partial_variables = partials,
  }, names, {}, stated)
end

--- A prompt that gives one text.
---@param text string
---@param opts { partial_variables: table?, input_variables: string[]?, template_format: string? }?
---@return moonpipe.PromptTemplate
function PromptTemplate.from_template(text, opts)
  opts = prompt_base.options(opts, "PromptTemplate")
  return new_string_prompt(text, prompt_base.merged(opts.partial_variables), opts.input_variables)
end

--- `PromptTemplate "text"` or `PromptTemplate{ template = "text", options }`.
function PromptTemplate.new(given, opts)
  if type(given) == "table" then
    given, opts = prompt_base.take(given, "template")
  end
  return PromptTemplate.from_template(given, opts)
end

--- The text for these values.
---@param given table|string|nil
---@return string
function string_prompt:format(given)
  local named, only = self:_inputs(given)
  return self.template:format(named, only, self)
end

function string_prompt:_invoke(input)
  local named, only = self:_inputs(input)
  return values.string(self.template:format(named, only, self))
end

--- A prompt with some variables given: values, or functions that are called at each use.
---@param more table
---@return moonpipe.PromptTemplate
function string_prompt:partial(more)
  return new_string_prompt(self.source, prompt_base.partial(self, more))
end

local OPTIONS = { "partial_variables", "template" }

-- What a call may choose: see configurable.lua.
function string_prompt:_options()
  return OPTIONS
end

function string_prompt:_with_options(changes)
  return PromptTemplate.from_template(changes.template or self.source,
    { partial_variables = changes.partial_variables or self.partial_variables })
end

local function source_of(value)
  if type(value) == "string" then
    return value, nil
  elseif getmetatable(value) == PromptTemplate.mt then
    return value.source, value.partial_variables
  end
  errors.usage(("cannot add %s to a PromptTemplate; add a string or a PromptTemplate"):format(
    errors.shape(value)))
end

function PromptTemplate.mt.__add(a, b)
  local left, left_partials = source_of(a)
  local right, right_partials = source_of(b)
  return new_string_prompt(left .. right, prompt_base.merged(left_partials, right_partials))
end

return { PromptTemplate = PromptTemplate }
