--- Chooses as many examples, from the first on, as a prompt has room for.
local errors = require "moonpipe.error"
local template = require "moonpipe.templates.template"

---@class moonpipe.ExampleSelector
---@field select_examples fun(self, values: table): table[]  the examples for these input values
---@field input_keys string[]?  the keys of the input that it reads
---@field add_example fun(self, example: table)?

---@class moonpipe.LengthBasedExampleSelector: moonpipe.ExampleSelector
---@field examples table[]
---@field example_prompt moonpipe.PromptTemplate
---@field max_length number
local methods = {}
local mt = { __name = "moonpipe.LengthBasedExampleSelector", __index = methods }

local OPTIONS = { "example_prompt", "examples", "get_text_length", "max_length" }

-- Words, as LangChain counts them: what blanks and ends of lines part.
local function count_words(text)
  local _, count = text:gsub("[ \n]", "")
  return count + 1
end

local function check(opts)
  local prompt, max = opts.example_prompt, opts.max_length
  if type(prompt) ~= "table" or type(prompt.format) ~= "function" then
    errors.usage(("example_prompt of LengthBasedExampleSelector is %s; it must be a prompt"):format(
      errors.shape(prompt)))
  elseif type(opts.examples) ~= "table" then
    errors.usage(("examples of LengthBasedExampleSelector is %s; it must be a list"):format(
      errors.shape(opts.examples)))
  elseif max ~= nil and (type(max) ~= "number" or max < 0) then
    errors.usage(("max_length of LengthBasedExampleSelector is %s; it must be a number from 0")
      :format(errors.shape(max)))
  elseif opts.get_text_length ~= nil and type(opts.get_text_length) ~= "function" then
    errors.usage(("get_text_length of LengthBasedExampleSelector is %s; it must be a function")
      :format(errors.shape(opts.get_text_length)))
  end
end

local function new(_, opts)
  opts = errors.options(opts, OPTIONS, "LengthBasedExampleSelector")
  check(opts)
  local self = setmetatable({
    examples = {}, _lengths = {}, example_prompt = opts.example_prompt,
    max_length = opts.max_length or 2048, get_text_length = opts.get_text_length or count_words,
  }, mt)
  for _, example in ipairs(opts.examples) do
    self:add_example(example)
  end
  return self
end

--- One more example, behind the others.
---@param example table
function methods:add_example(example)
  local text = self.example_prompt:format(example)
  self.examples[#self.examples + 1] = example
  self._lengths[#self.examples] = self.get_text_length(text)
end

-- Values that no prompt could insert take no room: an input may hold anything besides.
local function input_text(values)
  local texts = {}
  for key, value in pairs(values) do
    local ok, text = pcall(template.text_of, value, tostring(key))
    texts[#texts + 1] = ok and text or nil
  end
  return table.concat(texts, " ")
end

--- The first examples, as many as there is room for beside the input.
---@param values table
---@return table[]
function methods:select_examples(values)
  local room, list = self.max_length - self.get_text_length(input_text(values)), {}
  for i, example in ipairs(self.examples) do
    room = room - self._lengths[i]
    if room < 0 then
      break
    end
    list[i] = example
  end
  return list
end

return {
  --- `LengthBasedExampleSelector{ examples =, example_prompt =, max_length = 2048 }`; lengths are
  --- counted in words, or by `get_text_length`, a function of a text.
  LengthBasedExampleSelector = setmetatable({}, {
    __name = "moonpipe.class",
    __call = new,
    __tostring = function() return "LengthBasedExampleSelector" end,
  }),
}
