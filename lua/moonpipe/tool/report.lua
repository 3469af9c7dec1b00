--- A failure as a person is told of it: what, where, the line of the source with a mark, what
--- went in, what to try. failure.lua has it in one line, for logs and programs.
local errors = require "moonpipe.error"
local excerpt = require "moonpipe.tool.excerpt"
local loader = require "moonpipe.loader"
local redact = require "moonpipe.redact"
local settings = require "moonpipe.settings"
local terminal = require "moonpipe.terminal"

local report = {}

local texts = {} -- name in messages -> what is no file, or was read before it ran

---Keeps the text of a main script, which is where most failures are.
---@param chunkname string  "@rag.lua", "=stdin"
---@param text string
function report.remember(chunkname, text)
  texts[loader.display(chunkname)] = text
end

-- ---- the place --------------------------------------------------------------------------------

local SOURCE_MAX = 16 * 2 ^ 20 -- bytes

-- Only of what was loaded as Lua: a message may begin with any name.
local function read(name)
  local path = loader.paths[name]
  local file = path and io.open(path, "rb")
  if not file then return nil end
  local text = file:read(SOURCE_MAX)
  file:close()
  return text
end

local function source_of(name)
  local piped = loader.piped(name)
  return texts[name] or piped and piped.text or read(name)
end

-- How often [word] stands in [line] as a word of its own, and where the first of these is.
local function occurrences(line, word)
  local count, from, to, at = 0, nil, nil, 1
  local is_name = word:find("^[%w_]+$")
  while true do
    local first, last = line:find(word, at, true)
    if not first then return count, from, to end
    local before, after = line:sub(first - 1, first - 1), line:sub(last + 1, last + 1)
    if not is_name or not (before:find("[%w_]") or after:find("[%w_]")) then
      count, from, to = count + 1, from or first, to or last
    end
    at = last + 1
  end
end

-- The first of the words that stands in the line exactly once: more would be a guess.
local function only_one(line, words)
  for _, word in ipairs(words) do
    if word ~= "" then
      local count, from, to = occurrences(line, word)
      if count == 1 then return from, to end
    end
  end
end

local function quoted_in(message)
  local words = {}
  for word in message:gmatch("'([^'\n]+)'") do words[#words + 1] = word end
  return words
end

-- The spans of all operands and values on line [number] that are written like one of the words.
local function spans_of(name, number, words)
  local found, wanted = {}, {}
  local function look(text, span)
    if span and wanted[text] and tonumber(span:match("^%d+")) == number then
      found[#found + 1] = span
    end
  end
  for _, word in ipairs(words) do wanted[word] = true end
  local piped = loader.piped(name)
  for _, site in ipairs(piped and piped.sites or {}) do
    look(site.left, site.left_span)
    look(site.right, site.right_span)
    for _, entry in ipairs(site.entries or {}) do look(entry.text, entry.span) end
  end
  return found
end

-- Of `cannot pipe 'x' (nil)` the operator knows the column.
local function operand_span(name, number, words)
  local spans = spans_of(name, number, words)
  if #spans ~= 1 then return nil end
  local from, to = spans[1]:match(":(%d+)%-(%d+)$")
  return tonumber(from), tonumber(to)
end

-- Of a complaint of LuaJIT's about the text our parser knows the column, if it says the same.
local function syntax_span(text, name, message)
  if not message:find(" near '", 1, true) then return nil end
  local native = require "moonpipe.native"
  local _, said, _, span = native.c.rewrite(text, name)
  if not span or message:sub(1, #said) ~= said then return nil end
  return tonumber(span:match(":(%d+)%-")), tonumber(span:match("%-(%d+)$"))
end

-- { name, line, from, to } of a message that begins with a place.
local function place_in(message)
  local name, number = message:match("^([^\n]-):(%d+): ")
  local text = name and source_of(name)
  local line = text and excerpt.line(text, tonumber(number))
  if not line then return nil end
  number = tonumber(number)
  local words = quoted_in(message)
  local from, to = syntax_span(text, name, message)
  if not from then from, to = operand_span(name, number, words) end
  if not from then from, to = only_one(line, words) end
  if not from then from, to = only_one(line, { (message:gsub("^[^\n]-:%d+: ", "", 1)) }) end
  return { line = line, number = number, from = from, to = to }
end

local function frames_of(err)
  local frames = (err.traceback or ""):match("\nstack traceback:(.*)$") or ""
  return frames:gmatch("\n\t([^\n]+)")
end

-- The user's line that called what fails with a place of ours.
local function calling_place(err)
  for line in frames_of(err) do
    local name, number = line:match("^(.-):(%d+):")
    if name and name ~= "moonpipe" and not name:find("^%[") then
      local text = source_of(name)
      return { line = text and excerpt.line(text, tonumber(number)), number = tonumber(number) }
    end
  end
end

-- Where the failing step was composed: `|` knows its columns, else its name may tell them.
local function composed_place(err)
  local name, number = (err.where or ""):match("^(.*):(%d+)$")
  local text = name and source_of(name)
  if err.span and text then
    local at, from, to = err.span:match(":(%d+):(%d+)%-(%d+)$")
    local line = excerpt.line(text, tonumber(at))
    return line and { line = line, number = tonumber(at), from = tonumber(from),
      to = tonumber(to) }
  end
  local line = text and excerpt.line(text, tonumber(number))
  if not line then return nil end
  local from, to = only_one(line, { err.step })
  return { line = line, number = tonumber(number), from = from, to = to }
end

local function place_of(err)
  local message = errors.text(err.message)
  if err.kind == "lua" and message:find("^moonpipe:") then
    return calling_place(err) or composed_place(err)
  end
  local place = err.kind == "lua" and (place_in(message)
    or place_in(message:match "\n\t(.*)$" or "")) -- of a module that does not load
  return place or composed_place(err)
end

-- ---- the words --------------------------------------------------------------------------------

local function clean(text)
  return redact.text(terminal.printable(text))
end

-- Without the kind where it is Lua's own: `rag.lua:6: attempt to …` is what editors jump to.
local function headline(err)
  local value = err.cause
  if err.kind == "lua" and type(value) == "table" and not errors.is(value)
    and errors.text(err.message):find("^table: 0x") then
    return "a table was raised: " .. require "moonpipe.glimpse"(value)
  end
  return err.kind == "lua" and errors.text(err.message) or errors.brief(err)
end

local FIELDS = { "provider", "model", "request_id", "retry_after" }

local function add_fields(out, err)
  for _, name in ipairs(FIELDS) do
    if err[name] ~= nil then
      out[#out + 1] = ("  %s: %s"):format(name, clean(errors.text(err[name])))
    end
  end
  for key, fate in pairs(type(err.siblings) == "table" and err.siblings or {}) do
    out[#out + 1] = ("  beside it %s: %s"):format(clean(errors.text(key)),
      clean(errors.text(fate)))
  end
end

local CAUSES = 10 -- of one another, at most

local function add_causes(out, err)
  local cause = err.cause
  for _ = 1, CAUSES do
    if cause == nil then return end
    local is_error = errors.is(cause)
    out[#out + 1] = "  cause: " .. clean(is_error and errors.text(cause)
      or require "moonpipe.glimpse"(cause))
    cause = is_error and cause.cause or nil
  end
end

local function is_ours(frame)
  return frame:find("^moonpipe:") ~= nil or frame:find("^%[C%]") ~= nil
    or frame:find("^%[builtin") ~= nil
end

-- The user's frames; with -v then ours.
local function add_traceback(out, err, is_verbose)
  local own, ours = {}, {}
  for frame in frames_of(err) do
    local list = is_ours(frame) and ours or own
    list[#list + 1] = "    " .. clean(frame)
  end
  if #own > 1 or is_verbose and #own > 0 then
    out[#out + 1] = "  stack traceback:"
    for _, frame in ipairs(own) do out[#out + 1] = frame end
  end
  if not is_verbose or #ours == 0 then return end
  out[#out + 1] = "  within moonpipe:"
  for _, frame in ipairs(ours) do out[#out + 1] = frame end
end

local function add_place(out, err, paint)
  local ok, place = pcall(place_of, err)
  if ok and place and place.line then
    out[#out + 1] = excerpt.draw(place.line, place.number, place.from, place.to, paint)
  end
end

---What happened, for the terminal that file descriptor 2 is. [typed]: where lines are typed, which
---have one name, so that it shows none; its text has no colours.
---@param err moonpipe.Error
---@param typed { traceback: boolean? }?
---@return string
function report.of(err, typed)
  local paint = terminal.painter(not typed and terminal.may_color(2))
  local out = { paint("red", clean(headline(err))) }
  local details = errors.details(err)
  if details ~= "" then out[2] = "  " .. clean(details) end
  if not typed then add_place(out, err, paint) end
  if err.input then out[#out + 1] = "  input: " .. clean(errors.text(err.input)) end
  local hint = require "moonpipe.tool.hints"(err)
  if hint then out[#out + 1] = "  try: " .. clean(hint) end
  local is_verbose = settings.said "verbose" == true
  if is_verbose then
    add_fields(out, err)
    add_causes(out, err)
  end
  if not typed or typed.traceback or is_verbose then add_traceback(out, err, is_verbose) end
  return table.concat(out, "\n")
end

return report
