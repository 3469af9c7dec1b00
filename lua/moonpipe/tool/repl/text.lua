--- Reads what was typed: an expression, statements, or something that has not ended.
local env = require "moonpipe.tool.repl.env"
local loader = require "moonpipe.loader"
local redact = require "moonpipe.redact"
local scan = require "moonpipe.tool.repl.scan"

local text = {}

local function compile(source)
  return loader.load(source, "=stdin", "t", env.typed)
end

---@param problem string
---@return boolean
function text.is_incomplete(problem)
  return problem:find("near '<eof>'", 1, true) ~= nil
end

---@return boolean
function text.is_blank(source)
  for word in scan.words(source) do
    if word.kind ~= "comment" or word.open == "--[[" then return false end
  end
  return true
end

-- The text inside of a call of PASS; on a line less, if no comment ends it: LuaJIT
-- counts the last argument to the line of the parenthesis.
local function compile_passed(expression)
  local bare = expression:gsub("[%s;]+$", "")
  return compile(("return %s(%s)"):format(env.PASS, bare))
    or compile(("return %s(%s\n)"):format(env.PASS, bare))
end

-- Whether LuaJIT stopped at the first word: then this was no statement at all.
local function fails_at_once(problem, source)
  local word = problem:match("near '(.*)'$")
  return word ~= nil and source:match("^%s*(.*)"):sub(1, #word) == word
end

---@param source string
---@return function? fn
---@return string problem       what is wrong with the text
---@return string? expression   where it is one
function text.read(source)
  local expression, equals = source:gsub("^%s*=", "", 1)
  local fn, as_expression = compile("return " .. expression .. "\n")
  if fn and expression:find("%S") then
    return compile_passed(expression) or fn, "", expression
  end
  if fn or equals > 0 then return fn, as_expression end
  local as_statement
  fn, as_statement = compile(source)
  if fn then return compile(source .. "\n" .. env.KEEP .. "()") or fn, "" end
  if text.is_incomplete(as_expression) then return nil, as_expression end
  return nil, fails_at_once(as_statement, source) and as_expression or as_statement
end

---A script, whose locals are kept when it ends.
---@param source string
---@param path string
---@return function? fn
---@return string? problem
function text.script(source, path)
  local keep = " " .. env.KEEP .. "() "
  local fn, problem = loader.load(source, "@" .. path, "t", env.script())
  if not fn then return nil, problem end
  local at = scan.final_return(source)
  local whole = at and source:sub(1, at - 1) .. keep .. source:sub(at) or source .. "\n" .. keep
  return loader.load(whole, "@" .. path, "t", env.script()) or fn
end

-- ---- keys ------------------------------------------------------------------------------

-- What stands before a key, and how the well-known ones begin.
local SIGNS = { "api_key", "secret%s*[%(\"'%[]", "[Bb]earer ", "[Pp]assword", "sk%-", "gsk_",
  "xai%-", "AIza" }

local function holds_variable(source)
  local names = require "moonpipe.models.names"
  for _, provider in ipairs(names.providers()) do
    for _, variable in ipairs(names.home(provider).env or {}) do
      local value = variable:find("KEY") and os.getenv(variable)
      if value and #value >= 8 and source:find(value, 1, true) then return true end
    end
  end
  return false
end

---Whether a text holds a key, or what may be one: nobody else's business, not even a file's.
---@param source string
---@return boolean
function text.holds_key(source)
  for _, sign in ipairs(SIGNS) do
    if source:find(sign) then return true end
  end
  return redact.text(source) ~= source or holds_variable(source)
end

return text
