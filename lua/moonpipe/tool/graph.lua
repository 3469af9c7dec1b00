--- `moonpipe graph`: the chain that a script gives, drawn.
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local host = require "moonpipe.tool.host"
local runnable = require "moonpipe.steps.runnable"

local FORMS = { "ascii", "dot", "json", "mermaid", "svg" }

local graph = {
  name = "graph",
  usage = "FILE",
  summary = "Draws the chain that a script gives: what `return chain` at its end returns.",
  about = "The script runs, its chain does not. Of a table of chains `--chain` names one.",
  example = "moonpipe graph rag.lua --form mermaid",
  files = { "lua" },
  exits = { 0, 1, 2 },
  meaning = { [1] = "the script cannot be read, failed, or gives no chain", [2] = "wrong usage" },
  options = {
    { name = "form", short = "f", value = "FORM", among = FORMS,
      help = "ascii, dot, json, mermaid, or svg, which needs Graphviz;\ndefault: ascii" },
    { name = "chain", short = "c", value = "NAME", help = "of a table of chains" },
  },
}

local function chain_in(value, name, path)
  if name then
    if type(value) ~= "table" or runnable.is(value) then
      errors.raise("input", ("'%s' gives %s, no table with a chain '%s'"):format(path,
        errors.shape(value), name))
    end
    value = value[name]
  end
  if runnable.is(value) then return value end
  if type(value) == "function" then return coerce.step(value) end
  errors.raise("input", ("'%s' gives %s, no chain: end it with `return chain`"):format(path,
    name and ("%s as '%s'"):format(errors.shape(value), name) or errors.shape(value)))
end

--- The chain that the script at [path] gives; raises where it gives none.
---@async
---@param path string
---@param name string?  of one in a table of chains
---@return moonpipe.Runnable
function graph.chain_of(path, name)
  local text, problem = host.read(path)
  if not text then errors.raise("io", problem) end
  local fn, message = host.load_text(path == "-" and "=stdin" or "@" .. path, text)
  if not fn then errors.raise("lua", message) end
  rawset(_G, "arg", { [0] = path })
  return chain_in(fn(), name, path)
end

-- Graphviz writes where we do.
local function draw_svg(drawing)
  local found = assert(io.popen "command -v dot")
  local path = found:read()
  found:close()
  if not path then
    errors.raise("unsupported", "svg needs Graphviz: install graphviz, or take --form dot")
  end
  io.stdout:flush()
  local dot = assert(io.popen("dot -Tsvg", "w"))
  dot:write(drawing:draw_dot())
  dot:close()
end

function graph.run(given, words)
  if #words ~= 1 then return "graph takes one file" end
  local drawing = graph.chain_of(words[1], given.chain):get_graph()
  local form = given.form or "ascii"
  if form == "svg" then return draw_svg(drawing) end
  local text = form == "json" and drawing:to_json() or drawing["draw_" .. form](drawing)
  io.write(text, text:sub(-1) ~= "\n" and "\n" or "")
end

return graph
