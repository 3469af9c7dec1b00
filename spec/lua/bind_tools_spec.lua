local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local SCHEMA = { type = "object", properties = { x = { type = "string" } }, required = { "x" } }

local find = mp.tool { name = "find", description = "Finds.", schema = SCHEMA, fn = function(args) return args.x end }
local shout = mp.RunnableLambda(string.upper):as_tool { name = "shout", description = "Shouts.", arg_types = "string" }
local model = mp.FakeListChatModel { responses = { "a" } }

-- What a binding of the tools carries.
local function kwargs(tools, opts)
  return model:bind_tools(tools, opts).kwargs
end

local function form(name, description, parameters, strict)
  return { type = "function", ["function"] = { name = name, description = description, parameters = parameters,
    strict = strict } }
end

describe("bind_tools", function()
  it("gives a model tools of every form in one", function()
    local web = { type = "web_search", user_location = {} }
    local ready = form("ready", "Is ready.", SCHEMA)
    local bound = kwargs { find, shout, { name = "plain", description = "d", schema = SCHEMA },
      { name = "other", parameters = SCHEMA }, { name = "bare" }, ready, web }
    assert.same({
      form("find", "Finds.", SCHEMA), form("shout", "Shouts.", shout.args_schema), form("plain", "d", SCHEMA),
      form("other", nil, SCHEMA), form("bare", nil, { type = "object", properties = {} }), ready, web,
    }, bound.tools)
    assert.is_nil(bound.tool_choice)
  end)

  it("looks into what is around a tool", function()
    assert.equal("find",
      kwargs({ find:with_timeout(5):with_retry { stop_after_attempt = 2 } }).tools[1]["function"].name)
  end)

  it("says which tool is to be called", function()
    for given, wanted in pairs { auto = "auto", none = "none", any = "required", required = "required",
      [true] = "required" } do
      assert.equal(wanted, kwargs({ find }, { tool_choice = given }).tool_choice)
    end
    local named = { type = "function", ["function"] = { name = "find" } }
    assert.same(named, kwargs({ find }, { tool_choice = "find" }).tool_choice)
    assert.same(named, kwargs({ find }, { tool_choice = named }).tool_choice)
    assert.same({ type = "web_search" }, kwargs({ find }, { tool_choice = { type = "web_search" } }).tool_choice)
  end)

  it("makes schemas strict where that is asked for", function()
    local properties = { x = { type = "string" }, y = { type = "number" } }
    local schema = { type = "object", properties = properties, required = { "x" } }
    local fn = kwargs({ { name = "f", schema = schema } }, { strict = true }).tools[1]["function"]
    assert.same({ true, false, 2 }, { fn.strict, fn.parameters.additionalProperties, #fn.parameters.required })
    fn = kwargs({ form("g", "d", schema) }, { strict = true }).tools[1]["function"]
    assert.same({ "g", true, false }, { fn.name, fn.strict, fn.parameters.additionalProperties })
  end)

  it("passes on what else is chosen", function()
    local bound = kwargs({ find }, { parallel_tool_calls = false })
    assert.is_false(bound.parallel_tool_calls)
  end)

  it("reaches the models behind fallbacks", function()
    local other = model:with_fallbacks { model }
    assert.equal("find", other:bind_tools({ find }).kwargs.tools[1]["function"].name)
  end)

  it("is sent as chat completions have it", function()
    mp.ChatOpenAI({ base_url = server.base_url }):bind_tools({ find }, { tool_choice = "find",
      parallel_tool_calls = false })
      :invoke "hi"
    local requests = server:requests()
    local body = cjson.decode(requests[#requests].body)
    assert.same({ form("find", "Finds.", SCHEMA) }, body.tools)
    assert.same({ type = "function", ["function"] = { name = "find" } }, body.tool_choice)
    assert.is_false(body.parallel_tool_calls)
  end)

  it("says what is written wrong", function()
    local function said(tools, opts, step) return helper.said(model.bind_tools, step or model, tools, opts) end
    assert.equal("bind_tools takes a list of tools, got nil", said(nil))
    assert.equal("bind_tools takes a list of tools, got a table with keys {name}", said { name = "a" })
    assert.equal("bind_tools takes at least one tool", said {})
    assert.matches("^tool 1 of bind_tools is a function; a tool is what mp.tool{…} or step:as_tool{…} makes",
      said { print })
    assert.matches("^tool 2 of bind_tools is a RunnableLambda; ", said { find, mp.RunnableLambda(print) })
    assert.matches("^tool 1 of bind_tools is a table with keys {description}; ", said { { description = "d" } })
    assert.matches("^tool 1 of bind_tools is a table with keys {type}; ", said { { type = "function" } })
    assert.equal("the schema of tool 'a' must be a table, got a string", said { { name = "a", schema = "x" } })
    assert.matches("^unknown option 'descrption' of tool 'a'; .*did you mean 'description'%?", said { { name = "a",
      descrption = "x" } })
    assert.equal("bind_tools was given two tools named 'find'", said { find, { name = "find" } })
    assert.equal("tool_choice names 'fimd', which is no tool of these: find, shout; did you mean 'find'?",
      said({ find, shout }, { tool_choice = "fimd" }))
    assert.matches("^tool_choice names 'x', which", said({ find }, { tool_choice = { type = "function",
      ["function"] = { name = "x" } } }))
    assert.matches("^tool_choice takes \"auto\"", said({ find }, { tool_choice = false }))
    assert.equal("strict of bind_tools takes true or false, got the number 1", said({ find }, { strict = 1 }))
    assert.matches("^unknown option 'choice' of bind_tools", said({ find }, { choice = "x" }))
    assert.matches("^nothing in .* takes bound arguments", said({ find }, nil, mp.StrOutputParser()))
  end)
end)
