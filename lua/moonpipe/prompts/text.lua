--- Prompts that turn named values into one text.
local errors = require "moonpipe.error"
local prompt_base = require "moonpipe.prompts.base"
local runnable = require "moonpipe.steps.runnable"
local values = require "moonpipe.prompts.value"

---@class moonpipe.PromptTemplate: moonpipe.BasePromptTemplate
---@operator add(moonpipe.PromptTemplate|string): moonpipe.PromptTemplate
local PromptTemplate, string_prompt = runnable.class("PromptTemplate", {
  base = prompt_base.Base, label = "prompt",
})
prompt_base.text_mt = PromptTemplate.mt

-- [fields]: source, template, template_format and compile, which is taken.
local function new_string_prompt(fields, partials, stated)
  local names = {}
  for _, name in ipairs(fields.template.variables) do
    names[name] = true
  end
  fields.partial_variables = partials
  return prompt_base.instance(PromptTemplate, fields, names, {}, stated)
end

local function compiled(text, compile, format)
  if type(text) ~= "string" then
    errors.usage("the template of PromptTemplate is a string, not " .. errors.shape(text))
  end
  local made, problem = compile(text)
  if not made then
    errors.usage(problem)
  end
  return { source = text, template = made, template_format = format, compile = compile }
end

--- A prompt that gives one text.
---@param text string
---@param opts moonpipe.PromptOptions?
---@return moonpipe.PromptTemplate
function PromptTemplate.from_template(text, opts)
  opts = prompt_base.options(opts, "PromptTemplate")
  local fields = compiled(text, prompt_base.compiler(opts), opts.template_format or "f-string")
  return new_string_prompt(fields, prompt_base.merged(opts.partial_variables),
    opts.input_variables)
end

--- A prompt whose text stands in a file.
---@param path string
---@param opts moonpipe.PromptOptions?  and `root`, a folder that the path may not lead out of
---@return moonpipe.PromptTemplate
function PromptTemplate.from_file(path, opts)
  return PromptTemplate.from_template(require("moonpipe.prompts.file").text_of(path, opts,
    "PromptTemplate.from_file"))
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
  local fields = {
    source = self.source, template = self.template, template_format = self.template_format,
    compile = self.compile,
  }
  return new_string_prompt(fields, prompt_base.partial(self, more))
end

local OPTIONS = { "partial_variables", "template" }

-- What a call may choose: see steps/configurable.lua.
function string_prompt:_options()
  return OPTIONS
end

function string_prompt:_with_options(changes)
  local fields = compiled(changes.template or self.source, self.compile, self.template_format)
  return new_string_prompt(fields,
    prompt_base.merged(changes.partial_variables or self.partial_variables))
end

local function check_operand(value)
  if type(value) ~= "string" and getmetatable(value) ~= PromptTemplate.mt then
    errors.usage(("cannot add %s to a PromptTemplate; add a string or a PromptTemplate"):format(
      errors.shape(value)))
  end
  return type(value) == "table" and value or nil
end

-- A string is a template of the other's language.
function PromptTemplate.mt.__add(a, b)
  local left, right = check_operand(a), check_operand(b)
  local first = left or right
  if left and right and left.template_format ~= right.template_format then
    errors.usage(("cannot add a PromptTemplate in %s to one in %s"):format(right.template_format,
      left.template_format))
  end
  local text = (left and left.source or a) .. (right and right.source or b)
  return new_string_prompt(compiled(text, first.compile, first.template_format),
    prompt_base.merged(left and left.partial_variables, right and right.partial_variables))
end

return { PromptTemplate = PromptTemplate }
