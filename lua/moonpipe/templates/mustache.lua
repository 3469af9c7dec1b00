--- Prompt templates in mustache: `{{name}}`, sections, dotted names, partials that are given.
--
-- Values are put in once and never read again. `{{x}}` escapes for HTML as the language says,
-- `{{{x}}}` and `{{&x}}` do not. What stands in no section must have a value; inside of one a name
-- that leads nowhere is nothing, as the language says. Names reach into plain tables, messages and
-- Documents, and into nothing else.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local parser = require "moonpipe.templates.mustache_parse"
local template = require "moonpipe.templates.template"
local words = require "moonpipe.messages.class"

local mustache = {}

local ARRAY = getmetatable(json.array({}))
local DEEPEST = 100 -- partials in partials, which may be of themselves
local MOST = 10000  -- partials of one text: thirty that each hold the next twice are a billion

local ESCAPES = { ["&"] = "&amp;", ['"'] = "&quot;", ["<"] = "&lt;", [">"] = "&gt;" }

-- What names lead to -----------------------------------------------------------------------------

local function member(value, key)
  if type(value) ~= "table" then
    return nil
  end
  local mt = getmetatable(value)
  if mt == nil or mt == ARRAY or document.is(value) then
    return rawget(value, key)
  elseif words.class_of(value) then
    return key == "type" and value.type or key == "content" and words.text(value)
      or rawget(value, key)
  end
end

-- A scope is { value =, outer = }. The first part of a name is looked for from the innermost scope
-- outwards, the others in what it leads to.
local function resolve(path, scope)
  if #path == 0 then
    return scope.value
  end
  local value
  repeat
    value = member(scope.value, path[1])
    scope = scope.outer
  until value ~= nil or scope == nil
  for i = 2, #path do
    value = member(value, path[i])
  end
  return value
end

local function value_of(node, scope, state)
  local value = resolve(node.path, scope)
  if value == nil and state.sections == 0 and resolve({ node.path[1] }, scope) == nil then
    state.owner:_missing(state.values)
  end
  return value
end

-- False of the field's two implementations: they count 0 and "" among it.
local function is_nothing(value)
  return not value or value == json.null or value == "" or value == 0
    or type(value) == "table" and getmetatable(value) == nil and next(value) == nil
    or getmetatable(value) == ARRAY and value[1] == nil
end

local function is_list(value)
  local mt = getmetatable(value)
  return type(value) == "table" and value[1] ~= nil and (mt == nil or mt == ARRAY)
end

-- Rendering --------------------------------------------------------------------------------------

local render

local RENDER = {}

function RENDER.raw(node, scope, state)
  local value = value_of(node, scope, state)
  if value ~= nil and value ~= json.null then
    state[#state + 1] = template.text_of(value, node.name)
  end
end

function RENDER.value(node, scope, state)
  local count = #state
  RENDER.raw(node, scope, state)
  if #state > count then
    state[#state] = state[#state]:gsub('[&"<>]', ESCAPES)
  end
end

local function render_section(node, scope, state)
  state.sections = state.sections + 1
  render(node.nodes, scope, state)
  state.sections = state.sections - 1
end

function RENDER.section(node, scope, state)
  local value = value_of(node, scope, state)
  if is_nothing(value) then
    return
  elseif type(value) == "function" then
    template.text_of(value, node.name) -- says that a function is no value
  elseif not is_list(value) then
    return render_section(node, { value = value, outer = scope }, state)
  end
  for i = 1, #value do
    render_section(node, { value = value[i], outer = scope }, state)
  end
end

function RENDER.inverted(node, scope, state)
  if is_nothing(value_of(node, scope, state)) then
    render_section(node, scope, state)
  end
end

-- Its lines stand where its tag stood.
local function indented(text, indent)
  return (text:gsub("[^\n]*\n?", function(line)
    return line ~= "" and indent .. line or line
  end))
end

function RENDER.partial(node, scope, state)
  local trees = state.trees
  local key = node.indent .. ">" .. node.name
  if not trees[key] then
    trees[key] = parser.parse(indented(state.partials[node.name], node.indent))
  end
  state.depth, state.count = state.depth + 1, state.count + 1
  if state.depth > DEEPEST then
    errors.raise("limit", ("the partial '%s' goes deeper than %d"):format(node.name, DEEPEST))
  elseif state.count > MOST then
    errors.raise("limit", ("the partial '%s' is one of more than %d"):format(node.name, MOST))
  end
  render(trees[key], scope, state)
  state.depth = state.depth - 1
end

function render(nodes, scope, state)
  for i = 1, #nodes do
    local node = nodes[i]
    if type(node) == "string" then
      state[#state + 1] = node
    else
      RENDER[node.kind](node, scope, state)
    end
  end
end

-- Compiling --------------------------------------------------------------------------------------

---@class moonpipe.MustacheTemplate: moonpipe.Template
local methods = {}
local mt = { __name = "moonpipe.MustacheTemplate", __index = methods, is_template = true }

local check_partials

-- Every partial that is named must be there, and be a template.
local function check_partial(node, trees, partials)
  local name, text = node.name, (partials or {})[node.name]
  if type(text) ~= "string" then
    return ("the partial '%s' is %s; give its text: mustache_partials = { %s = … }"):format(name,
      errors.shape(text), name)
  elseif trees[">" .. name] then
    return nil
  end
  local nodes, problem = parser.parse(text, ("partial '%s'"):format(name))
  trees[">" .. name] = nodes
  return problem or check_partials(nodes, trees, partials)
end

function check_partials(nodes, trees, partials)
  for _, node in ipairs(nodes) do
    local problem
    if node.kind == "partial" then
      problem = check_partial(node, trees, partials)
    elseif node.nodes then
      problem = check_partials(node.nodes, trees, partials)
    end
    if problem then
      return problem
    end
  end
end

-- Adds what must be given: the first parts of names that stand in no section.
local function add_variables(nodes, trees, seen)
  for _, node in ipairs(nodes) do
    if node.kind == "partial" and node.needed and not seen[node] then
      seen[node] = true
      add_variables(trees[">" .. node.name], trees, seen)
    elseif node.needed and node.kind ~= "partial" and node.path[1] then
      seen[node.path[1]] = true
    end
  end
end

local function variables_of(nodes, trees)
  local seen, list = {}, {}
  add_variables(nodes, trees, seen)
  for name in pairs(seen) do
    list[#list + 1] = type(name) == "string" and name or nil
  end
  table.sort(list)
  return list
end

--- Compiles a text. Gives nil and the problem with its place where it is no template.
---@param text string
---@param partials table<string, string>?  texts that `{{>name}}` puts in
---@return moonpipe.MustacheTemplate?
---@return string? problem
function mustache.compile(text, partials)
  local nodes, problem = parser.parse(text)
  local trees = {}
  problem = problem or check_partials(nodes, trees, partials)
  if problem then
    return nil, problem
  end
  local variables = variables_of(nodes, trees)
  return setmetatable({
    source = text, nodes = nodes, trees = trees, partials = partials,
    variables = variables, count = #variables,
  }, mt)
end

--- The text with its variables filled in; the arguments are those of a template's `format`.
---@param values table
---@param only any
---@param owner table
---@return string
function methods:format(values, only, owner)
  if only ~= nil then
    values = self.count == 1 and { [self.variables[1]] = only } or {}
  end
  local state = {
    values = values, owner = owner, trees = self.trees, partials = self.partials,
    depth = 0, sections = 0, count = 0, -- partials and sections around; partials so far
  }
  render(self.nodes, { value = values }, state)
  return table.concat(state)
end

return mustache
