--- Elements of chat prompts by name: `SystemMessagePromptTemplate "text"` and its like.
local elements = require "moonpipe.prompts.element"
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"
local prompt_base = require "moonpipe.prompts.base"

local templates = {}

local function template_class(name, class)
  local Class = {}

  --- A message whose text, or list of content blocks, has variables; for from_messages.
  ---@param text string|table[]
  ---@param opts { template_format: string?, mustache_partials: table? }?
  function Class.from_template(text, opts)
    opts = prompt_base.options(opts, name, { "mustache_partials", "template_format" })
    local element, problem = elements.of_class(class, text, prompt_base.compiler(opts))
    if not element then
      errors.usage(name .. ": " .. problem)
    end
    return element
  end

  templates[name] = setmetatable(Class, {
    __name = "moonpipe.class",
    __call = function(_, text, opts) return Class.from_template(text, opts) end,
    __tostring = function() return name end,
  })
end

template_class("SystemMessagePromptTemplate", message.SystemMessage)
template_class("HumanMessagePromptTemplate", message.HumanMessage)
template_class("AIMessagePromptTemplate", message.AIMessage)

return templates
