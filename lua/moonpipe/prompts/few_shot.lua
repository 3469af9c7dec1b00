--- Prompts that show examples: FewShotPromptTemplate gives a text, FewShotChatMessagePromptTemplate
--- messages.
--
-- An example is put in as it is: what stands in it is never read as a template. Both can be an
-- element of a chat prompt: they have `variables` and `fill` (element.lua).
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"
local prompt_base = require "moonpipe.prompts.base"
local runnable = require "moonpipe.steps.runnable"
local values = require "moonpipe.prompts.value"
local traversal = require "moonpipe.traversal"

local few_shot = {}

---@class moonpipe.FewShotPromptTemplate: moonpipe.BasePromptTemplate
local FewShotPromptTemplate, text_methods = runnable.class("FewShotPromptTemplate", {
  base = prompt_base.Base, label = "prompt",
})
few_shot.FewShotPromptTemplate = FewShotPromptTemplate
FewShotPromptTemplate.mt.few_shot = true

---@class moonpipe.FewShotChatMessagePromptTemplate: moonpipe.BasePromptTemplate
local FewShotChatMessagePromptTemplate, chat_methods = runnable.class(
  "FewShotChatMessagePromptTemplate", { base = prompt_base.Base, label = "prompt" })
few_shot.FewShotChatMessagePromptTemplate = FewShotChatMessagePromptTemplate
FewShotChatMessagePromptTemplate.mt.few_shot = true

-- Examples ----------------------------------------------------------------------------------------

-- What is wrong with the i-th example, or nil.
local function problem_of(example_prompt, example, i)
  if type(example) ~= "table" or getmetatable(example) ~= nil then
    return ("example %d is %s; it must be a table of values"):format(i, errors.shape(example))
  end
  local problem = example_prompt:_check_keys(traversal.keys(example))
  return problem and ("example %d: %s"):format(i, problem)
end

local function check_source(opts, what)
  local selector = opts.example_selector
  if (opts.examples == nil) == (selector == nil) then
    errors.usage(what .. " needs either examples or example_selector")
  elseif selector ~= nil and (type(selector) ~= "table"
    or type(selector.select_examples) ~= "function") then
    errors.usage(("example_selector of %s is %s; it must have a method select_examples"):format(
      what, errors.shape(selector)))
  elseif selector == nil and type(opts.examples) ~= "table" then
    errors.usage(("examples of %s is %s; it must be a list"):format(what,
      errors.shape(opts.examples)))
  end
end

local function check_examples(opts, example_prompt, what)
  check_source(opts, what)
  for i, example in ipairs(opts.examples or {}) do
    local problem = problem_of(example_prompt, example, i)
    if problem then
      errors.usage(("%s: %s"):format(what, problem))
    end
  end
end

local function selected(self, named)
  local list = self.example_selector:select_examples(named)
  if type(list) ~= "table" then
    errors.raise("input", ("select_examples of the example_selector gave %s, not a list"):format(
      errors.shape(list)))
  end
  for i, example in ipairs(list) do
    local problem = problem_of(self.example_prompt, example, i)
    if problem then
      errors.raise("input", problem)
    end
  end
  return list
end

-- The examples for an input, and the named values in it.
local function prepare(self, given)
  local named, only = self:_inputs(given)
  if only ~= nil then
    named = { [self.input_variables[1]] = only }
  end
  if not self.example_selector then
    return self.examples, named
  end
  for _, name in ipairs(self.input_variables) do
    if named[name] == nil then
      self:_missing(named)
    end
  end
  local all = named
  if self.has_partials and type(given) == "table" and given ~= named then
    all = prompt_base.merged(given, named)
  end
  return selected(self, all), named
end

-- Construction ------------------------------------------------------------------------------------

local function names_of(list)
  local names = {}
  for _, name in ipairs(list) do
    names[name] = true
  end
  return names
end

local function instance(Class, fields, required, opts)
  fields.examples, fields.example_selector = opts.examples, opts.example_selector
  fields.partial_variables = prompt_base.merged(opts.partial_variables)
  fields.template_format = opts.template_format or "f-string"
  fields.options = opts
  local self = prompt_base.instance(Class, fields, required, {},
    Class == FewShotPromptTemplate and opts.input_variables or nil)
  self.waits = opts.example_selector ~= nil or not self.example_prompt.sync
  self.sync = self.sync and not self.waits
  self.variables = self.input_variables
  return self
end

local function with_partials(self, more)
  local opts = prompt_base.merged(self.options)
  opts.partial_variables = prompt_base.partial(self, more)
  opts.input_variables = nil
  return opts
end

-- The values that a chat prompt fills its elements with; a lone one gets its name back.
local function by_name(named, only, owner)
  return only == nil and named or { [owner.input_variables[1]] = only }
end

-- As text -----------------------------------------------------------------------------------------

local TEXT_OPTIONS = { "example_prompt", "example_selector", "example_separator", "examples",
  "input_variables", "mustache_partials", "partial_variables", "prefix", "suffix",
  "template_format" }

local function check_text_prompt(value)
  if type(value) ~= "table" or getmetatable(value) ~= prompt_base.text_mt then
    errors.usage(("example_prompt of FewShotPromptTemplate is %s; it must be a PromptTemplate")
      :format(errors.shape(value)))
  end
end

local function check_text(text, key)
  if text ~= nil and type(text) ~= "string" then
    errors.usage(("%s of FewShotPromptTemplate is %s; it must be a string"):format(key,
      errors.shape(text)))
  end
  return text
end

-- The template before or behind the examples.
local function piece(text, compile, key)
  check_text(text, key)
  local compiled, problem = compile(text or "")
  if not compiled then
    errors.usage(("%s of FewShotPromptTemplate: %s"):format(key, problem))
  end
  return compiled
end

---@class moonpipe.FewShotOptions: moonpipe.PromptOptions
---@field examples table[]?  tables of values for example_prompt
---@field example_selector moonpipe.ExampleSelector?  instead of examples
---@field example_prompt moonpipe.PromptTemplate  what one example becomes
---@field prefix string?  template of the text before the examples
---@field suffix string?  template of the text behind them
---@field example_separator string?  between all pieces; a blank line

--- A prompt of a text: `FewShotPromptTemplate{ examples =, example_prompt =, prefix =, suffix = }`.
---@param opts moonpipe.FewShotOptions
---@return moonpipe.FewShotPromptTemplate
function FewShotPromptTemplate.new(opts)
  opts = prompt_base.options(opts, "FewShotPromptTemplate", TEXT_OPTIONS)
  check_text_prompt(opts.example_prompt)
  check_examples(opts, opts.example_prompt, "FewShotPromptTemplate")
  local compile = prompt_base.compiler(opts)
  local prefix = piece(opts.prefix, compile, "prefix")
  local suffix = piece(opts.suffix, compile, "suffix")
  local required = names_of(prefix.variables)
  for _, name in ipairs(suffix.variables) do
    required[name] = true
  end
  return instance(FewShotPromptTemplate, {
    source = opts.suffix or opts.prefix or "", example_prompt = opts.example_prompt,
    prefix = prefix, suffix = suffix,
    example_separator = check_text(opts.example_separator, "example_separator") or "\n\n",
  }, required, opts)
end

local function add_piece(self, pieces, template, named)
  if template.source ~= "" then
    pieces[#pieces + 1] = template:format(named, nil, self)
  end
end

--- The text for these values.
---@async
---@param given table|string|nil
---@return string
function text_methods:format(given)
  local examples, named = prepare(self, given)
  local pieces = {}
  add_piece(self, pieces, self.prefix, named)
  for i = 1, #examples do
    pieces[#pieces + 1] = self.example_prompt:format(examples[i])
  end
  add_piece(self, pieces, self.suffix, named)
  return table.concat(pieces, self.example_separator)
end

function text_methods:_invoke(input)
  return values.string(self:format(input))
end

--- A prompt with some variables given: values, or functions that are called at each use.
---@param more table
---@return moonpipe.FewShotPromptTemplate
---@nodiscard
function text_methods:partial(more)
  return FewShotPromptTemplate.new(with_partials(self, more))
end

function text_methods:fill(list, count, named, only, owner)
  list[count + 1] = message.HumanMessage(self:format(by_name(named, only, owner)))
  return count + 1
end

-- As messages -------------------------------------------------------------------------------------

local CHAT_OPTIONS = { "example_prompt", "example_selector", "examples", "input_variables" }

-- A text stands for a human message, a list for the messages of a ChatPromptTemplate.
local function chat_prompt(value)
  local ChatPromptTemplate = require("moonpipe.prompts.prompt").ChatPromptTemplate
  local mt = getmetatable(value)
  if mt == ChatPromptTemplate.mt then
    return value
  elseif mt == prompt_base.text_mt or type(value) == "table" and mt == nil then
    return ChatPromptTemplate.from_messages(mt and { value } or value)
  end
  errors.usage(("example_prompt of FewShotChatMessagePromptTemplate is %s; it must be a"
    .. " ChatPromptTemplate"):format(errors.shape(value)))
end

---@class moonpipe.FewShotChatOptions
---@field examples table[]?  tables of values for example_prompt
---@field example_selector moonpipe.ExampleSelector?  instead of examples
---@field example_prompt moonpipe.ChatPromptTemplate|any[]  what one example becomes
---@field input_variables string[]?  what the selector needs of an input

--- A prompt of messages: `FewShotChatMessagePromptTemplate{ examples =, example_prompt = }`.
---@param opts moonpipe.FewShotChatOptions
---@return moonpipe.FewShotChatMessagePromptTemplate
function FewShotChatMessagePromptTemplate.new(opts)
  opts = prompt_base.options(opts, "FewShotChatMessagePromptTemplate", CHAT_OPTIONS)
  local example_prompt = chat_prompt(opts.example_prompt)
  check_examples(opts, example_prompt, "FewShotChatMessagePromptTemplate")
  local selector = opts.example_selector
  return instance(FewShotChatMessagePromptTemplate, {
    source = example_prompt.source, example_prompt = example_prompt,
  }, names_of(opts.input_variables or selector and selector.input_keys or {}), opts)
end

local function add_messages(self, list, count, given)
  local examples = prepare(self, given)
  for i = 1, #examples do
    for _, one in ipairs(self.example_prompt:format_messages(examples[i])) do
      count = count + 1
      list[count] = one
    end
  end
  return count
end

function chat_methods:fill(list, count, named, only, owner)
  return add_messages(self, list, count, by_name(named, only, owner))
end

--- The messages of the examples for these values.
---@async
---@param given table|string|nil
---@return moonpipe.Message[]
function chat_methods:format_messages(given)
  local list = {}
  add_messages(self, list, 0, given)
  return list
end

--- They as one text: `Human: …\nAI: …`.
---@async
---@param given table|string|nil
---@return string
function chat_methods:format(given)
  return values.transcript(self:format_messages(given))
end

function chat_methods:_invoke(input)
  return values.chat(self:format_messages(input))
end

return few_shot
