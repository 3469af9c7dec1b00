--- The commands at the prompt: `:help`, `:time`, `:load` and so on.
local colon = require "moonpipe.tool.colon"
local env = require "moonpipe.tool.repl.env"
local errors = require "moonpipe.error"
local runnable = require "moonpipe.steps.runnable"
local session = require "moonpipe.tool.repl.session"

---@type table<string, moonpipe.ColonCommand>
local TABLE = {}

local function wrong(name)
  errors.raise("input", (":%s takes %s"):format(name, TABLE[name].usage))
end

-- ---- what a line does with chains ------------------------------------------------------

local function chain_of(name, argument)
  if argument == "" then wrong(name) end
  local value = session.value(argument)
  local is_plain = type(value) == "table" and getmetatable(value) == nil
  if is_plain or type(value) == "function" then value = require("moonpipe.coerce").step(value) end
  if not runnable.is(value) then
    errors.raise("input", (":%s takes a chain, got %s"):format(name, errors.shape(value)))
  end
  return value
end

TABLE.graph = {
  usage = "CHAIN", takes = "code", help = "draw a chain as boxes",
  run = function(argument) io.write(chain_of("graph", argument):get_graph():draw_ascii()) end,
}

TABLE.explain = {
  usage = "CHAIN", takes = "code", help = "say where a chain streams, and where not",
  run = function(argument) print(chain_of("explain", argument):explain_stream()) end,
}

TABLE.tokens = {
  help = "calls of models since the beginning, their tokens and their price",
  run = function()
    local usage = session.usage
    for _, model in ipairs(session.sorted_keys(usage.by_model)) do
      local one = usage.by_model[model]
      print(("%s: %d calls, %d tokens in, %d out, $%.4f"):format(model, one.calls,
        one.input_tokens, one.output_tokens, one.cost))
    end
    print(tostring(usage))
  end,
}

TABLE.model = {
  usage = "[NAME]", takes = require("moonpipe.models.names").providers(),
  help = "make `model`, as init_chat_model does; it is\nthe default one from then on",
  run = function(argument)
    local settings = require "moonpipe.settings"
    local before = settings.flags.model
    if argument ~= "" then settings.flags.model = argument end
    local ok, model = pcall(require("moonpipe").init_chat_model)
    if not ok then
      settings.flags.model = before
      error(model, 0)
    end
    env.keep("model", model)
  end,
}

-- ---- how lines are run ---------------------------------------------------------------------

local SWITCH = { "off", "on" }

-- A command that says on, off or how it is, or does it for one line.
local function switch(name, help, set, takes_code)
  TABLE[name] = {
    usage = takes_code and "on|off|CODE" or "on|off", help = help,
    takes = takes_code and "code" or SWITCH,
    run = function(argument)
      if argument == "" then
        print((":%s %s"):format(name, session[name] and "on" or "off"))
      elseif argument == "on" or argument == "off" then
        session[name] = argument == "on"
        if set then set(session[name]) end
      elseif takes_code then
        return session.with(name, argument)
      else
        wrong(name)
      end
    end,
  }
end

switch("jit", "compile Lua: faster, but Ctrl-C does not break a loop", function(on)
  if on then return jit.on() end
  jit.off()
  jit.flush()
end)
switch("time", "tell how long each line took, or this one", nil, true)
switch("trace", "show calls as trees with times, and tracebacks\nof failures", nil, true)

-- ---- files -----------------------------------------------------------------------------

TABLE.load = {
  usage = "FILE", takes = "file", help = "run a script; its locals stay",
  run = function(argument)
    if argument == "" then wrong "load" end
    session.load(argument)
  end,
}

TABLE.reload = {
  help = "run the last script again, with the modules that it\nrequires read anew",
  run = function()
    if not session.loaded then errors.raise("input", "nothing was loaded: see :load") end
    session.forget_modules()
    session.load(session.loaded)
  end,
}

TABLE.save = {
  usage = "FILE", takes = "file",
  help = "write what was typed and did not fail as a script;\n:save! FILE writes over one",
  run = function(argument, is_forced)
    if argument == "" then wrong "save" end
    local saved, left_out = session.save(argument, is_forced)
    print(("%d texts in %s%s"):format(saved, argument, left_out > 0
      and (", %d left out that hold a key"):format(left_out) or ""))
  end,
}

-- ---- the rest ------------------------------------------------------------------------------

TABLE.quit = { help = "leave, as Ctrl-D does", run = function() return "quit" end }

-- What people write elsewhere, and the names without their colon.
env.hints.exit, env.hints.q = ":quit", ":quit"
for name in pairs(TABLE) do env.hints[name] = ":" .. name end
env.hints.help = ":help"

return colon.commands(TABLE, [[
An expression prints its value, and `_` is the last one. Names of the language need no `mp.`.
A text goes on until it is complete; `|` at the end, or at the beginning of the next line, goes on.
Tab completes, Ctrl-R searches, Ctrl-C cancels what runs or clears the line, twice leaves.]])
