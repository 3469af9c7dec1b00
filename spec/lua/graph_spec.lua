-- chain:get_graph(): what is drawn is what is composed.
local json = require "moonpipe.json"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local named = steps.named

-- "source -label-> target" by names, in order.
local function edges_of(graph)
  local names, out = {}, {}
  for _, node in ipairs(graph.nodes) do names[node.id] = node.name end
  for i, edge in ipairs(graph.edges) do
    out[i] = ("%s -%s-> %s"):format(names[edge.source], edge.label or "", names[edge.target])
  end
  return out
end

local function text(block)
  return (block:gsub("^\n", ""):gsub("\n *$", "\n"))
end

describe("get_graph", function()
  it("draws a sequence from input to output", function()
    assert.same({ "input --> a", "a --> b", "b --> output" },
      edges_of(named("a"):pipe(named("b")):get_graph()))
  end)

  it("draws a map with its keys on the edges", function()
    local map = mp.RunnableParallel { x = named("a"), y = named("b"):pipe(named("c")) }
    assert.same({ "input -x-> a", "input -y-> b", "b --> c", "a --> {x, y}", "c --> {x, y}",
      "{x, y} --> output" }, edges_of(map:get_graph()))
  end)

  it("draws maps in maps, and maps behind maps", function()
    local inner = { u = named("a"), v = named("b") }
    local chain = mp.RunnableParallel { x = inner, y = named("c") }
      :pipe(mp.RunnableParallel { z = named("d") })
    assert.same({
      "input -x.u-> a", "input -x.v-> b", "a --> {u, v}", "b --> {u, v}", "input -y-> c",
      "{u, v} --> {x, y}", "c --> {x, y}", "{x, y} -z-> d", "d --> {z}", "{z} --> output",
    }, edges_of(chain:get_graph()))
  end)

  it("draws what goes by an assign", function()
    local chain = mp.RunnablePassthrough.assign { k = named("a") }
    assert.same({ "input -k-> a", "input -...-> assign{k}", "a --> assign{k}",
      "assign{k} --> output" }, edges_of(chain:get_graph()))
  end)

  it("draws an empty map, and looks through bindings", function()
    assert.same({ "input --> {}", "{} --> output" },
      edges_of(mp.RunnableParallel({}):get_graph()))
    assert.same({ "input --> a", "a --> output" },
      edges_of(named("a"):with_config({ tags = { "t" } }):get_graph()))
  end)

  it("draws the steps of which one is run, with when", function()
    local branch = mp.RunnableBranch({ named("cond"), named("a") }, named("b"))
    local graph = branch:pipe(named("c")):get_graph()
    assert.same({ "input --> RunnableBranch", "RunnableBranch -if cond-> a",
      "RunnableBranch -else-> b", "a --> c", "b --> c", "c --> output" }, edges_of(graph))
    assert.is_true(graph.edges[2].conditional)
    assert.is_nil(graph.edges[4].conditional)
    assert.is_truthy(graph:draw_mermaid():find('n2 -.->|"if cond"| n3', 1, true))
    local router = mp.RouterRunnable { x = named("a"), y = named("b") }
    assert.same({ "input --> RouterRunnable", "RouterRunnable -x-> a", "RouterRunnable -y-> b",
      "a --> output", "b --> output" }, edges_of(router:get_graph()))
  end)

  it("gathers the ends of a choice before a map", function()
    local chain = mp.RouterRunnable { x = named("a"), y = named("b") }
      :pipe(mp.RunnableParallel { u = named("c"), v = named("d") })
    local graph = chain:get_graph()
    local forks = 0
    for _, node in ipairs(graph.nodes) do forks = forks + (node.kind == "fork" and 1 or 0) end
    assert.equal(1, forks)
    assert.equal("a --> {u, v}", edges_of(graph)[4])
  end)

  it("draws frames around what is run again and again", function()
    local loop = mp.loop { body = named("a"):map(), until_ = named("done"), max = 7 }
    local graph = loop:get_graph()
    assert.same({ { id = "f1", name = "until done, at most 7 rounds" },
      { id = "f2", name = "for each item", inside = "f1" } }, graph.frames)
    assert.equal("f2", graph.nodes[2].frame)
    assert.is_truthy(graph:draw_mermaid():find(text [[
  subgraph f1 ["until done, at most 7 rounds"]
    subgraph f2 ["for each item"]
      n2["a"]
    end
  end
]], 1, true))
    assert.equal(text [[
             +-------+
             | input |
             +-------+
                 |
. until done, at most 7 rounds .....
:      . for each item .....       :
:      :       +---+       :       :
:      :       | a |       :       :
:      :       +---+       :       :
:      .....................       :
....................................
                 |
             +--------+
             | output |
             +--------+
]], graph:draw_ascii())
  end)

  it("counts characters, not bytes, and keeps a name on one line", function()
    local map = mp.RunnableParallel { ["größe"] = named "Maß", b = named "two\nlines" }
    assert.equal([[
         +-------+
         | input |
         +-------+
             |
      +------+-----+
      b          größe
      |            |
+-----------+   +-----+
| two lines |   | Maß |
+-----------+   +-----+
      +------+-----+
             |
         +--------+
         | output |
         +--------+
]], map:get_graph():draw_ascii())
  end)

  it("draws choices as boxes with dotted lines", function()
    local drawn = mp.RouterRunnable { x = named("a"), y = named("b") }:get_graph():draw_ascii()
    assert.equal(text [[
    +-------+
    | input |
    +-------+
        |
+----------------+
| RouterRunnable |
+----------------+
        |
    +...+...+
    x       y
    :       :
  +---+   +---+
  | a |   | b |
  +---+   +---+
    +...+...+
        |
    +--------+
    | output |
    +--------+
]], drawn)
  end)

  it("writes Mermaid", function()
    local map = mp.RunnableParallel { x = named('say "hi"'), y = named("b<c>") }
    assert.equal(text [[
graph TD
  n1(["input"])
  n2["say #quot;hi#quot;"]
  n3["b#lt;c#gt;"]
  n4[/"{x, y}"/]
  n5(["output"])
  n1 -->|"x"| n2
  n1 -->|"y"| n3
  n2 --> n4
  n3 --> n4
  n4 --> n5
]], map:get_graph():draw_mermaid())
  end)

  it("writes boxes", function()
    local chain = mp.RunnableParallel { x = named("a"), y = named("bb"):pipe(named("c")) }
      :pipe(named("d"))
    assert.equal(text [[
  +-------+
  | input |
  +-------+
      |
  +---+---+
  x       y
  |       |
+---+   +----+
| a |   | bb |
+---+   +----+
  |       |
  |     +---+
  |     | c |
  |     +---+
  +---+---+
      |
    +---+
    | d |
    +---+
      |
  +--------+
  | output |
  +--------+
]], chain:get_graph():draw_ascii())
  end)

  it("says which keys wait for which", function()
    local step = mp.RunnableAssign({ a = named "x", b = named "y" }, { after = { b = "a" } })
    assert.matches('n1 %-%->|"b %(after a%)"| n%d', step:get_graph():draw_mermaid())
    assert.matches("a%s+b %(after a%)\n", step:get_graph():draw_ascii())
    assert.same({ "a", "b" }, { step:output_schema().required[1], step:output_schema().required[2] })
  end)

  it("writes JSON", function()
    local read = json.decode(named("a"):get_graph():to_json())
    assert.same({ id = "n2", kind = "chain", name = "a" },
      { id = read.nodes[2].id, kind = read.nodes[2].kind, name = read.nodes[2].name })
    assert.equal(2, #read.edges)
    assert.equal("n1", read.edges[1].source)
    assert.is_true(json.is_array(read.frames))
  end)
end)

describe("get_prompts", function()
  it("lists the prompts of a chain in order", function()
    local first = mp.PromptTemplate.from_template "{a}"
    local second = mp.ChatPromptTemplate.from_template "{b}"
    local chain = mp.RunnableParallel { b = first:with_config { tags = { "t" } } }:pipe(second)
    local prompts = chain:get_prompts()
    assert.equal(2, #prompts)
    assert.equal(first, prompts[1])
    assert.equal(second, prompts[2])
    assert.same({}, named("a"):get_prompts())
  end)
end)
