--- A graph as text for Graphviz.
local dot = {}

local SHAPES = { input = "ellipse", output = "ellipse", fork = "ellipse", map = "parallelogram",
  choice = "diamond" }

local function quoted(text)
  return '"' .. text:gsub('[\\"]', "\\%0"):gsub("\n", "\\n") .. '"'
end

-- The nodes of a frame, and the frames inside of it.
local function write_frame(self, id, indent, out)
  for _, node in ipairs(self.nodes) do
    if node.frame == id then
      out[#out + 1] = ("%s%s [label=%s, shape=%s];"):format(indent, quoted(node.id),
        quoted(node.name), SHAPES[node.kind] or "box")
    end
  end
  for _, frame in ipairs(self.frames) do
    if frame.inside == id then
      out[#out + 1] = ("%ssubgraph %s {"):format(indent, quoted("cluster_" .. frame.id))
      out[#out + 1] = ("%s  label=%s; style=dashed;"):format(indent, quoted(frame.name))
      write_frame(self, frame.id, indent .. "  ", out)
      out[#out + 1] = indent .. "}"
    end
  end
end

---@param self moonpipe.Graph
---@return string
function dot.draw(self)
  local out = { "digraph chain {" }
  write_frame(self, nil, "  ", out)
  for _, edge in ipairs(self.edges) do
    local about = {}
    if edge.label then about[#about + 1] = "label=" .. quoted(edge.label) end
    if edge.conditional then about[#about + 1] = "style=dashed" end
    out[#out + 1] = ("  %s -> %s%s;"):format(quoted(edge.source), quoted(edge.target),
      about[1] and " [" .. table.concat(about, ", ") .. "]" or "")
  end
  out[#out + 1] = "}"
  return table.concat(out, "\n") .. "\n"
end

return dot
