-- The rows of scripts/bench/run that are measured inside the engine. Without
-- an argument: their names; with one: that row.
local mp = require "moonpipe"

local ROUNDS, WARM_ROUNDS, ROUND_SECONDS = 15, 3, 0.05

local rows = {}

-- Each row gives two functions of n that do their work n times, ours and the
-- floor's, and `per`, how many units one turn holds. What a row subtracts (the
-- cost of a call that has no step) is a pair of its own: `base`.

-- Functions of their own text, as in a real chain: the compiler cannot take one
-- for the other.
local function functions(count)
  local list = {}
  for i = 1, count do list[i] = loadstring("return function(x) return x + " .. i .. " end")() end
  return list
end

local function sequence(count)
  local steps = functions(count)
  for i = 1, count do steps[i] = mp.RunnableLambda(steps[i]) end
  return mp.RunnableSequence(unpack(steps))
end

-- Every turn has another input: with one input the compiler would carry the work
-- out of the loop.
local INPUTS = 64 -- a power of two

local function repeat_invoke(chain, inputs)
  return function(n)
    local last
    for i = 1, n do last = chain:invoke(inputs[bit.band(i, INPUTS - 1) + 1]) end
    return last
  end
end

local function numbers()
  local list = {}
  for i = 1, INPUTS do list[i] = i end
  return list
end

local function call_each(list)
  return function(n)
    local last
    for turn = 1, n do
      last = turn
      for i = 1, #list do last = list[i](last) end
    end
    return last
  end
end

rows.step = {
  unit = "us", goal = 0.2, per = 10, floor_is = "a function called from a list",
  ours = function() return repeat_invoke(sequence(12), numbers()) end,
  base = function() return repeat_invoke(sequence(2), numbers()) end,
  floor = function() return call_each(functions(12)) end,
  floor_base = function() return call_each(functions(2)) end,
}

local function repeat_traced(chain)
  local count = 0
  local function note() count = count + 1 end
  local config = { callbacks = { { on_start = note, on_end = note } } }
  return function(n)
    local last
    for i = 1, n do last = chain:invoke(i, config) end
    return last
  end
end

local function call_noting(list)
  local notes = 0
  local function note() notes = notes + 1 end
  return function(n)
    local last
    for turn = 1, n do
      last = turn
      for i = 1, #list do
        note()
        last = list[i](last)
        note()
      end
    end
    return last
  end
end

-- A step of a call that is traced, with callbacks for starts and ends.
rows.traced = {
  unit = "us", goal = 5, per = 10, floor_is = "the same, two functions called around it",
  ours = function() return repeat_traced(sequence(12)) end,
  base = function() return repeat_traced(sequence(2)) end,
  floor = function() return call_noting(functions(12)) end,
  floor_base = function() return call_noting(functions(2)) end,
}

local function map_of(steps)
  local branches = {}
  for i, step in ipairs(steps) do branches["key" .. i] = step end
  return mp.RunnableParallel(branches)
end

local function passthroughs(count)
  local steps = {}
  for i = 1, count do steps[i] = mp.RunnablePassthrough() end
  return steps
end

local function loop(x)
  while true do x = coroutine.yield(x) end
end

-- What a branch cannot do without: a coroutine that it could wait in, taken
-- from a pool, and a slot of the result.
local function coroutine_slots(count)
  local pool, keys = {}, {}
  for i = 1, count do
    pool[i], keys[i] = coroutine.create(loop), "key" .. i
  end
  return function(n)
    local result
    for turn = 1, n do
      result = {}
      for i = 1, count do
        local _, value = coroutine.resume(pool[i], turn)
        result[keys[i]] = value
      end
    end
    return result
  end
end

local function map_row(goal, make)
  return {
    unit = "us", goal = goal, per = 10, floor_is = "a coroutine resumed, a slot filled",
    ours = function() return repeat_invoke(map_of(make(12)), numbers()) end,
    base = function() return repeat_invoke(map_of(make(2)), numbers()) end,
    floor = function() return coroutine_slots(12) end,
    floor_base = function() return coroutine_slots(2) end,
  }
end

rows.map = map_row(0.4, passthroughs)
rows.map_user = map_row(0.6, functions)

local function prompt_model_parser(model)
  local prompt = mp.ChatPromptTemplate.from_template("Tell me a joke about {topic}, please.")
  return mp.pipe(prompt, model, mp.StrOutputParser())
end

local function echo(prompt) return mp.AIMessage(prompt:to_messages()[1].content) end

local message_mt = { __index = {} }

local function message(kind, content)
  return setmetatable({ type = kind, content = content, additional_kwargs = {},
    response_metadata = {} }, message_mt)
end

local function topics()
  local list = {}
  for i = 1, INPUTS do list[i] = { topic = "bears" .. i } end
  return list
end

-- The same made by hand: format, wrap, answer, unwrap.
local function by_hand(inputs)
  return function(n)
    local text, prompt
    for i = 1, n do
      local input = inputs[bit.band(i, INPUTS - 1) + 1]
      prompt = { message("human", "Tell me a joke about " .. input.topic .. ", please.") }
      text = message("ai", #prompt[1].content > 0 and "A joke.").content
    end
    return text, prompt
  end
end

local function chain_row(goal, make_model)
  return {
    unit = "us", goal = goal, per = 1, floor_is = "its tables and strings by hand",
    ours = function() return repeat_invoke(prompt_model_parser(make_model()), topics()) end,
    floor = function() return by_hand(topics()) end,
  }
end

-- The fake model never reads its prompt, so the compiler may leave it unmade;
-- the row beside it has a function for a model, which does.
rows.chain = chain_row(1, function() return mp.FakeListChatModel { responses = { "A joke." } } end)
rows.chain_read = chain_row("-", function() return echo end)

local TOKENS = 10000

local function long_text()
  local words = {}
  for i = 1, TOKENS do words[i] = "word" .. i % 100 end
  return table.concat(words, " ")
end

local function drain_stream(chain)
  return function(n)
    local bytes = 0
    for _ = 1, n do
      for chunk in chain:stream("x") do bytes = bytes + #chunk end
    end
    return bytes
  end
end

-- An endless supply of the same message.
local function fake_stream()
  local content = long_text()
  local function answers() return mp.AIMessage(content) end
  return mp.pipe(mp.GenericFakeChatModel { messages = answers }, mp.StrOutputParser())
end

local function words_by_hand(content)
  return coroutine.wrap(function()
    for word in content:gmatch("%S+%s*") do coroutine.yield(message("ai", word)) end
  end)
end

rows.stream = {
  unit = "us", goal = 2.5, per = 2 * TOKENS - 1, floor_is = "a message yielded for each",
  ours = function() return drain_stream(fake_stream()) end,
  floor = function()
    local content = long_text()
    return function(n)
      local bytes = 0
      for _ = 1, n do
        for chunk in words_by_hand(content) do bytes = bytes + #chunk.content end
      end
      return bytes
    end
  end,
}

-- A JSON answer of so many bytes, of items with texts; a token has four bytes.
local function json_answer(bytes)
  local items = {}
  local item = '{"id":%d,"text":"some words that an item has, about as many as here"}'
  for i = 1, bytes / 70 do items[i] = item:format(i) end
  return '{"items":[' .. table.concat(items, ",") .. "]}"
end

local function pieces_of(text)
  local list = {}
  for i = 1, #text, 4 do list[#list + 1] = text:sub(i, i + 3) end
  return list
end

local function drain_json(pieces)
  local parser = mp.JsonOutputParser()
  return function(n)
    local last
    for _ = 1, n do
      local i = 0
      local values = parser:transform(function()
        i = i + 1
        return pieces[i]
      end)
      for value in values do last = value end
    end
    return last
  end
end

-- A KiB of an answer that is parsed while it comes: as much of a long one as of a short one.
local function json_row(bytes)
  return {
    unit = "us", goal = 400, per = bytes / 1024, floor_is = "the whole text parsed once",
    ours = function() return drain_json(pieces_of(json_answer(bytes))) end,
    floor = function()
      local text = json_answer(bytes)
      return function(n)
        for _ = 1, n do require("moonpipe.json").decode(text) end
      end
    end,
  }
end

rows.json_half = json_row(2 ^ 19)
rows.json_one = json_row(2 ^ 20)

-- ---- measuring ---------------------------------------------------------------

local function time(fn, n)
  collectgarbage()
  local start = os.clock()
  fn(n)
  return os.clock() - start
end

-- How often to turn for a round of ROUND_SECONDS.
local function calibrate(fn)
  local n = 1
  while time(fn, n) < ROUND_SECONDS / 4 do n = n * 2 end
  return math.max(1, math.floor(n * ROUND_SECONDS / time(fn, n)))
end

local function prepare(make)
  if not make then return nil end
  local fn = make()
  local n = calibrate(fn)
  for _ = 1, WARM_ROUNDS do time(fn, n) end
  return function() return time(fn, n) / n end
end

local function sorted_figures(row, whole, base)
  local figures = {}
  for i = 1, ROUNDS do
    figures[i] = (whole[i] - (base and base[i] or 0)) / row.per * 1e6
  end
  table.sort(figures)
  return figures
end

local function measure(row)
  local names, run, seconds = { "ours", "base", "floor", "floor_base" }, {}, {}
  for _, name in ipairs(names) do
    run[name], seconds[name] = prepare(row[name]), {}
  end
  for round = 1, ROUNDS do
    for _, name in ipairs(names) do
      seconds[name][round] = run[name] and run[name]()
    end
  end
  return sorted_figures(row, seconds.ours, run.base and seconds.base),
    sorted_figures(row, seconds.floor, run.floor_base and seconds.floor_base)
end

local function cell(figures)
  return ("%.3f (%.3f - %.3f)"):format(figures[math.ceil(#figures / 2)], figures[1],
    figures[#figures])
end

local function names_of(list)
  local names = {}
  for name in pairs(list) do names[#names + 1] = name end
  table.sort(names)
  return names
end

if not arg[1] then
  print(table.concat(names_of(rows), "\n"))
  return
end
local row = rows[arg[1]]
local ours, floor = measure(row)
print(("%-10s %-5s %27s %10s %27s  %s"):format(arg[1], row.unit, cell(ours), row.goal,
  cell(floor), row.floor_is))
