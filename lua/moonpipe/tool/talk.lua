--- What `ask` and `chat` have in common: the model that was asked for, its answer as it comes, what
--- that used.
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"
local mp = require "moonpipe"
local settings = require "moonpipe.settings"

local talk = {}

---@type moonpipe.CommandOption[]
talk.OPTIONS = {
  { name = "model", short = "m", value = "NAME",
    help = "such as openai:gpt-5.4-mini; default: MOONPIPE_MODEL, that of the settings, or what "
      .. "the environment offers" },
  { name = "system", value = "TEXT", help = "what the model is told to be" },
  { name = "temperature", value = "NUMBER", is = "number",
    help = "how freely it answers, from 0; default: the provider's" },
  { name = "max-tokens", value = "N", is = "integer",
    help = "of an answer; one that is cut there is an error" },
}

--- The options [own] with those of every talk behind them.
---@param own moonpipe.CommandOption[]
---@return moonpipe.CommandOption[]
function talk.options(own)
  local list = { unpack(own) }
  for _, option in ipairs(talk.OPTIONS) do list[#list + 1] = option end
  return list
end

---@async
---@param given table  by talk.OPTIONS
---@return moonpipe.BaseChatModel
function talk.model(given)
  if given.model then settings.flags.model = given.model end
  local opts = {
    temperature = given.temperature or settings.written "temperature",
    max_tokens = given.max_tokens,
  }
  return mp.init_chat_model(nil, next(opts) and opts or nil)
end

--- What the model is told to be; nil where nothing says so.
---@async
---@param given table
---@return string?
function talk.system(given)
  return given.system or settings.written "system"
end

-- ---- answers -----------------------------------------------------------------------------------

local function text_of(value)
  return message.is(value) and value:text() or tostring(value)
end

--- Hands the pieces of an answer on as they come, and gives it whole. Where it breaks off, what
--- had come is handed to broken(so_far) before the error is raised again.
---@async
---@param stream moonpipe.Stream
---@param tell fun(text: string)
---@param broken (fun(so_far: moonpipe.Message?))?
---@return moonpipe.AIMessage
function talk.follow(stream, tell, broken)
  local whole
  local ok, err = pcall(stream.each, stream, function(piece)
    whole = whole and whole + piece or piece
    local text = text_of(piece)
    if text ~= "" then tell(text) end
  end)
  local answer = message.is(whole) and message.to_message(whole) or whole
  if ok then return answer or message.answer { content = "" } end
  if broken then broken(answer) end
  error(err, 0)
end

--- Raises where the provider stopped before the answer was whole.
---@param answer moonpipe.AIMessage
function talk.check_whole(answer)
  local metadata = message.is(answer) and answer.response_metadata or {}
  local reason = metadata.finish_reason
  if reason == "length" then
    errors.raise("truncated", "the answer is not whole: the model stopped at its limit of tokens "
      .. "(--max-tokens, or the model's own)")
  elseif reason == "content_filter" then
    errors.raise("content_filter", "the provider stopped the answer (finish_reason content_filter)")
  end
end

--- A writer of an answer to standard output: `write(text)` as it comes, `finish()` at its end.
---@return { write: fun(text: string), finish: fun() }
function talk.writer()
  local last = "\n"
  return {
    write = function(text)
      text = mp.printable(text)
      io.stdout:write(text)
      io.stdout:flush()
      if text ~= "" then last = text end
    end,
    finish = function()
      if last:sub(-1) ~= "\n" then print() end
      last = "\n"
    end,
  }
end

-- ---- what it used ------------------------------------------------------------------------------

--- `moonpipe: 12 tokens in, 3 out, $0.0001 (gpt-5.4-mini)`.
---@param usage moonpipe.UsageTotals
function talk.print_usage(usage)
  local models = {}
  for name in pairs(usage.by_model) do models[#models + 1] = name end
  table.sort(models)
  local total = usage.total
  if total.calls == 0 then
    io.stderr:write "moonpipe: nobody told what the calls used\n"
    return
  end
  local cost = next(usage.unpriced) and total.cost == 0 and "at an unknown price"
    or ("$%.6f"):format(total.cost):gsub("(%.%d%d%d-)0+$", "%1")
  io.stderr:write(("moonpipe: %d tokens in, %d out, %s (%s)\n"):format(total.input_tokens,
    total.output_tokens, cost, mp.printable(table.concat(models, ", "))))
end

--- The same as data; nil where nothing was told.
---@param usage moonpipe.UsageTotals
---@return table?
function talk.usage_of(usage)
  local total = usage.total
  if total.calls == 0 then return nil end
  return {
    input_tokens = total.input_tokens, output_tokens = total.output_tokens,
    total_tokens = total.total_tokens,
    cost = not next(usage.unpriced) and total.cost or nil,
  }
end

return talk
