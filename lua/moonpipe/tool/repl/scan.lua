--- Looks through Lua text that may not have ended: its words, and where it stops.
local scan = {}

---@class moonpipe.ReplWord
---@field kind "name"|"number"|"string"|"comment"|"mark"
---@field text string
---@field at integer
---@field open string?  of a string or comment without its end: what it began with

-- The end of what begins at [at] and is closed by `]==]`; nil where it is not.
local function long_end(text, at)
  local level = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, last = text:find("]" .. level .. "]", at, true)
  return last, true
end

local function quoted_end(text, at)
  local quote, here = text:sub(at, at), at + 1
  while here <= #text do
    local byte = text:sub(here, here)
    if byte == quote then return here end
    if byte == "\n" then return here - 1, true end -- a mistake; it ends here
    here = here + (byte == "\\" and 2 or 1)
  end
end

-- A word from [at] on, and the place behind it.
local function word_at(text, at)
  local function word(kind, last, opener)
    return { kind = kind, at = at, open = not last and opener or nil,
      text = text:sub(at, last or #text) }, (last or #text) + 1
  end
  local name = text:match("^[%a_\128-\255][%w_\128-\255]*", at)
  if name then return word("name", at + #name - 1) end
  local number = text:match("^%.?%d[%w%.]*", at)
  if number then return word("number", at + #number - 1) end
  if text:find("^%-%-", at) then
    local last, is_long = long_end(text, at + 2)
    if is_long then return word("comment", last, "--[[") end
    local line_end = text:find("\n", at, true)
    return word("comment", line_end and line_end - 1, "--")
  end
  local quote = text:match("^[\"']", at)
  if quote then return word("string", (quoted_end(text, at)), quote) end
  local last, is_long = long_end(text, at)
  if is_long then return word("string", last, "[[") end
  return word("mark", at)
end

---The words of a text, one after the other.
---@param text string
---@return fun(): moonpipe.ReplWord?
function scan.words(text)
  local at = 1
  return function()
    at = text:find("%S", at)
    if not at then
      at = #text + 1
      return nil
    end
    local word
    word, at = word_at(text, at)
    return word
  end
end

local OPENS = { ["do"] = 1, ["function"] = 1, ["if"] = 1, ["repeat"] = 1, ["end"] = -1,
  ["until"] = -1 }

---Where the `return` of a chunk stands, which is the last of its statements.
---@param text string
---@return integer?
function scan.final_return(text)
  local depth, before = 0, nil
  for word in scan.words(text) do
    local is_word = word.kind == "name" and before ~= "." and before ~= ":"
    if is_word and depth == 0 and word.text == "return" then return word.at end
    if is_word then depth = depth + (OPENS[word.text] or 0) end
    before = word.text
  end
end

local OPERATORS = { ["and"] = true, ["not"] = true, ["or"] = true, ["function"] = true }
local IN_CALLS = { ["."] = true, [":"] = true }

-- What may stand in `a.b[c](d):e`, between brackets; `..` comes as two words.
local function is_in_call(word, before)
  if word.text == "." and before and before.text == "." then return false end
  if word.kind == "name" then return not OPERATORS[word.text] end
  return word.kind == "string" or word.kind == "mark" and IN_CALLS[word.text]
end

---What an expression calls last, where that gives its value: of `a:b(c) {}` the text `a:b(c)`.
---@param expression string
---@return string? callee
function scan.final_call(expression)
  local depth, from, last, before = 0, nil, nil, nil
  for word in scan.words(expression) do
    local text = word.kind == "mark" and word.text
    if text == "(" or text == "[" or text == "{" then
      if depth == 0 then from = text ~= "[" and word.at or nil end
      depth = depth + 1
    elseif text == ")" or text == "]" or text == "}" then
      depth = depth - 1
    elseif depth == 0 and word.kind ~= "comment" then
      if not is_in_call(word, before) then return nil end
      from = word.kind == "string" and word.at or nil
    end
    last, before = from, word
  end
  return last and expression:sub(1, last - 1):match("^%s*(.*%S)") or nil
end

-- ---- where a text stops ----------------------------------------------------------

local BRACKETS = { ["("] = true, ["["] = true, ["{"] = true }
local CLOSING = { [")"] = true, ["]"] = true, ["}"] = true }

---@class moonpipe.ReplBracket
---@field mark string      "(", "[" or "{"
---@field callee string?   what is called with it: `mp.ChatOpenAI`
---@field argument integer of a "(": at which argument the text is; of a "{": which one it is
---@field wants_key boolean  of a "{": a key may begin here

-- What a bracket that opens belongs to.
local function opened(mark, path, around)
  local inherited = mark == "{" and not path and around and around.mark == "("
  return { mark = mark, wants_key = true,
    callee = path or inherited and around.callee or nil,
    argument = inherited and around.argument or 1 }
end

local function note_mark(text, stack, path)
  local top = stack[#stack]
  if BRACKETS[text] then
    stack[#stack + 1] = opened(text, path, top)
  elseif CLOSING[text] then
    stack[#stack] = nil
  elseif top and (text == "," or text == ";") then
    top.wants_key = true
    if top.mark == "(" then top.argument = top.argument + 1 end
  elseif top then
    top.wants_key = false
  end
end

-- `mp.ChatOpenAI` so far, with one more word.
local function longer(path, word, is_joined)
  if word.kind == "name" then return is_joined and path .. word.text or word.text end
  local joins = path and not is_joined and word.kind == "mark" and IN_CALLS[word.text]
  return joins and path .. word.text or nil
end

---Where a text stops: the open brackets, and the string or comment that is open.
---@param text string
---@return moonpipe.ReplBracket[] brackets  the innermost last
---@return moonpipe.ReplWord? open
---@return moonpipe.ReplWord? before  the last word
function scan.stop(text)
  local stack, path, last = {}, nil, nil
  for word in scan.words(text) do
    if word.open then return stack, word, last end
    local is_joined = path ~= nil and path:find("[.:]$") ~= nil
    if word.kind == "mark" and not (path and (word.text == "." or word.text == ":")) then
      note_mark(word.text, stack, path)
    end
    if word.kind ~= "comment" then
      path, last = longer(path, word, is_joined), word
    end
  end
  return stack, nil, last
end

return scan
