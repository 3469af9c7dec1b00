--- Models of providers whose answers the test server gives as a spec wrote them.
---
---     local answers = providers.use(server, "ChatAnthropic", { path = "", keep = "sse" })
---     local model = answers.model(answers.whole { content = … }, { temperature = 0 })
local cjson = require "cjson"
local mp = require "moonpipe"

local providers = {}

local lanes = 0

--- One record of a stream: its line, and the blank one behind it.
local FRAME = {
  sse = function(record) return ("data: %s\r\n\r\n"):format(cjson.encode(record)) end,
  named = function(record)
    return ("event: %s\ndata: %s\n\n"):format(record.type, cjson.encode(record))
  end,
  ndjson = function(record) return cjson.encode(record) .. "\n" end,
}
local TYPE = { ndjson = "application/x-ndjson" }

---@param server spec.Server
---@param class string           of the models
---@param opts { base: string, frame: "sse"|"named"|"ndjson", options: table? }
---  base: what stands for /v1 in the base URL; frame: of records; options: of all models
function providers.use(server, class, opts)
  local self = {}

  --- A model whose server answers the next calls by [scripts].
  function self.model(scripts, more)
    lanes = lanes + 1
    local url = server:lane(("provider-%d"):format(lanes), scripts):gsub("/v1$", opts.base)
    local all = { base_url = url, max_retries = 0 }
    for _, set in ipairs { opts.options or {}, more or {} } do
      for key, value in pairs(set) do all[key] = value end
    end
    return mp[class](all)
  end

  --- The script of a whole answer.
  function self.whole(value)
    return { body = cjson.encode(value), content_type = "application/json" }
  end

  --- The script of a stream of records.
  function self.stream(records)
    local out = {}
    for i, record in ipairs(records) do out[i] = FRAME[opts.frame](record) end
    return { body = table.concat(out), content_type = TYPE[opts.frame] or "text/event-stream" }
  end

  --- What the chunks of a stream of records add up to.
  function self.collected(records)
    return self.model(self.stream(records)):stream("x"):collect()
  end

  --- The body of the last request, and that.
  function self.seen()
    local all = server:requests()
    return cjson.decode(all[#all].body), all[#all]
  end

  return self
end

return providers
