--- The drawing of a chain: chain:get_graph().
--
-- A step that is made of others says so in `_parts()`, which gives
--   { shape = "sequence", items }  one after the other
--   { shape = "map", items }       all at once; `label` is the key
--   { shape = "choice", items }    one of them; `label` says when
--   { shape = "frame", items = { one } }  one, in a frame that bears the step's label
--   { shape = "same", items = { one } }   nothing but that one
-- where an item is { step =, label =, after = }; without a step the input goes by;
-- `after` says which other labels it waits for. Others are drawn as a box with their name.
local json = require "moonpipe.json"

---@class moonpipe.Graph
---@field nodes { id: string, name: string, kind: string, frame: string? }[]
---@field edges { source: string, target: string, label: string?, conditional: boolean? }[]
---@field frames { id: string, name: string, inside: string? }[]
local Graph = {}
local mt = { __name = "moonpipe.Graph", __index = Graph }

local graph = {}

---What a step is made of, or nil: bindings and the like looked through.
---@param step moonpipe.Runnable
---@return { shape: string, items: { step: moonpipe.Runnable?, label: string? }[] }?
---@return moonpipe.Runnable step  the one that is not looked through
local function parts_of(step)
  local parts = step:_parts()
  while parts and parts.shape == "same" do
    step = parts.items[1].step
    parts = step:_parts()
  end
  return parts, step
end
graph.parts_of = parts_of

---Calls visit(step, depth) for [step] and all that it is made of, outer ones first.
---@param step moonpipe.Runnable
---@param visit fun(step: moonpipe.Runnable, depth: integer)
function graph.walk(step, visit, depth)
  depth = depth or 0
  local parts, real = parts_of(step)
  visit(real, depth)
  for _, item in ipairs(parts and parts.items or {}) do
    if item.step then graph.walk(item.step, visit, depth + 1) end
  end
end

-- ---- nodes and edges -------------------------------------------------------------

local function add_node(self, name, kind)
  local id = "n" .. (#self.nodes + 1)
  self.nodes[#self.nodes + 1] = { id = id, name = name, kind = kind, frame = self.frame }
  return id
end

-- `ends` are the loose ends that lead here: { id, label, conditional }.
local function connect(self, ends, target)
  for _, one in ipairs(ends) do
    self.edges[#self.edges + 1] = {
      source = one.id,
      target = target,
      label = one.label,
      conditional = one.conditional,
    }
  end
end

local add -- adds a step behind loose ends; gives the new ones

local function labelled(ends, label, conditional)
  local out = {}
  for i, one in ipairs(ends) do
    local text = one.label and label and one.label .. "." .. label or one.label or label
    out[i] = { id = one.id, label = text, conditional = conditional or one.conditional }
  end
  return out
end

local SHAPES = {}

function SHAPES.sequence(self, parts, ends)
  for _, item in ipairs(parts.items) do ends = add(self, item.step, ends) end
  return ends
end

-- Branches start from one place; where there are several, a node gathers them.
local function one_end(self, ends, step)
  if #ends == 1 then return ends end
  local id = add_node(self, step:_label(), "fork")
  connect(self, ends, id)
  return { { id = id } }
end

---The label of an item in a drawing.
---@return string?
function graph.shown(item)
  if not item.after then return item.label end
  return ("%s (after %s)"):format(item.label, table.concat(item.after, ", "))
end

function SHAPES.map(self, parts, ends, step)
  ends = one_end(self, ends, step)
  local arriving = {}
  for _, item in ipairs(parts.items) do
    local from = labelled(ends, graph.shown(item))
    local out = item.step and add(self, item.step, from) or from
    for _, one in ipairs(out) do arriving[#arriving + 1] = one end
  end
  if #parts.items == 0 then arriving = ends end
  local join = add_node(self, step:_label(), "map")
  connect(self, arriving, join)
  return { { id = join } }
end

function SHAPES.choice(self, parts, ends, step)
  local id = add_node(self, step:get_name(), "choice")
  connect(self, ends, id)
  local leaving = {}
  for _, item in ipairs(parts.items) do
    local from = { { id = id, label = item.label, conditional = true } }
    local out = item.step and add(self, item.step, from) or from
    for _, one in ipairs(out) do leaving[#leaving + 1] = one end
  end
  return leaving
end

function SHAPES.frame(self, parts, ends, step)
  local outside = self.frame
  local id = "f" .. (#self.frames + 1)
  local name = parts.title or step:get_name()
  self.frames[#self.frames + 1] = { id = id, name = name, inside = outside }
  self.frame = id
  ends = add(self, parts.items[1].step, ends)
  self.frame = outside
  return ends
end

function add(self, step, ends)
  local parts, real = parts_of(step)
  if parts then return SHAPES[parts.shape](self, parts, ends, real) end
  local id = add_node(self, real:get_name(), real.run_kind)
  connect(self, ends, id)
  return { { id = id } }
end

---The graph of a chain.
---@param step moonpipe.Runnable
---@return moonpipe.Graph
function graph.of(step)
  local self = setmetatable({ nodes = {}, edges = {}, frames = {}, step = step }, mt)
  local ends = add(self, step, { { id = add_node(self, "input", "input") } })
  connect(self, ends, add_node(self, "output", "output"))
  return self
end

-- ---- forms -----------------------------------------------------------------------

---{ nodes = { { id, name, kind, frame } }, edges = { { source, target, label,
---conditional } }, frames = { { id, name, inside } } } as JSON text.
---@return string
function Graph:to_json()
  return json.encode({
    nodes = json.array { unpack(self.nodes) },
    edges = json.array { unpack(self.edges) },
    frames = json.array { unpack(self.frames) },
  }, { indent = 2 })
end

local MERMAID = {
  input = '(["%s"])',
  output = '(["%s"])',
  fork = '(["%s"])',
  map = '[/"%s"/]',
  choice = '{"%s"}',
}

local ESCAPES = { ['"'] = "#quot;", ["<"] = "#lt;", [">"] = "#gt;", ["\n"] = " " }

local function mermaid_text(text)
  return (text:gsub('["<>\n]', ESCAPES))
end

local function mermaid_frame(self, id, indent, out)
  for _, node in ipairs(self.nodes) do
    if node.frame == id then
      out[#out + 1] = indent .. node.id .. (MERMAID[node.kind] or '["%s"]'):format(
        mermaid_text(node.name))
    end
  end
  for _, frame in ipairs(self.frames) do
    if frame.inside == id then
      out[#out + 1] = ('%ssubgraph %s ["%s"]'):format(indent, frame.id, mermaid_text(frame.name))
      mermaid_frame(self, frame.id, indent .. "  ", out)
      out[#out + 1] = indent .. "end"
    end
  end
end

---The graph as Mermaid text, which GitHub and many editors draw.
---@return string
function Graph:draw_mermaid()
  local out = { "graph TD" }
  mermaid_frame(self, nil, "  ", out)
  for _, edge in ipairs(self.edges) do
    local arrow = edge.conditional and "-.->" or "-->"
    local label = edge.label and ('|"%s"|'):format(mermaid_text(edge.label)) or ""
    out[#out + 1] = ("  %s %s%s %s"):format(edge.source, arrow, label, edge.target)
  end
  return table.concat(out, "\n") .. "\n"
end

---The graph as text for Graphviz's `dot`.
---@return string
function Graph:draw_dot()
  return require("moonpipe.graphs.dot").draw(self)
end

---The graph as text: boxes below and beside one another.
---@return string
function Graph:draw_ascii()
  return require("moonpipe.graphs.ascii").draw(self.step)
end

mt.__tostring = Graph.draw_ascii

return graph
