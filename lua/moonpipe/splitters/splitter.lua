--- Cuts texts into pieces that an embedding or a prompt can hold.
--
-- Sizes are bytes, or what `length_function` says. A piece begins and ends between characters.
local base = require "moonpipe.splitters.base"
local cut = require "moonpipe.splitters.cut"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local splitter = {}

local SEPARATORS = { "\n\n", "\n", " ", "" }

-- True is the field's word for "start".
local KEEP = { [true] = "start", [false] = false, start = "start", ["end"] = "end" }

local function keep_of(value, default, what)
  if value == nil then return default end
  local keep = KEEP[value]
  if keep == nil then
    errors.usage(("keep_separator of %s is %s; it must be \"start\", \"end\", true or false")
      :format(what, errors.shape(value)))
  end
  return keep
end

-- One that is half a character would cut others.
local function check_separator(separator, name)
  if type(separator) ~= "string" then
    errors.usage(("%s is %s; it must be a string"):format(name, errors.shape(separator)))
  elseif native.c.utf8_repair(separator) ~= separator then
    errors.usage(name .. " is no UTF-8")
  end
end

local function check_separators(list, what)
  errors.list(list, "separators of " .. what)
  for i, separator in ipairs(list) do
    check_separator(separator, ("separator %d of %s"):format(i, what))
  end
end

-- CharacterTextSplitter ---------------------------------------------------------------------------

---@class moonpipe.CharacterTextSplitter: moonpipe.TextSplitter
---@field separator string
---@field keep_separator "start"|"end"|false
local Character = {}
local CHARACTER = base.metatable("CharacterTextSplitter", Character)

local function measuring(self, text)
  return function(first, last) return self.measure(text, first, last) end
end

local function joined(self, text, spans)
  return cut.join(spans, self.chunk_size, self.chunk_overlap, measuring(self, text))
end

function Character:spans(text, take)
  local spans = cut.apart(text, 1, #text, self.separator, self.keep_separator)
  base.give(self, text, joined(self, text, spans), take)
end

---`CharacterTextSplitter{ separator = "\n\n", chunk_size = 4000, chunk_overlap = 200 }`: cuts at
---one separator and joins the pieces up to the size. A piece without a separator that is longer
---stays whole.
---@overload fun(opts: table?): moonpipe.CharacterTextSplitter
splitter.CharacterTextSplitter = base.class("CharacterTextSplitter", function(_, opts)
  local what = "CharacterTextSplitter"
  local self, given = base.configure(opts, { "keep_separator", "length_function", "separator" },
    what, "length_function")
  self.separator = given.separator or "\n\n"
  check_separator(self.separator, "separator of " .. what)
  self.keep_separator = keep_of(given.keep_separator, false, what)
  return setmetatable(self, CHARACTER)
end)

-- RecursiveCharacterTextSplitter ------------------------------------------------------------------

---@class moonpipe.RecursiveCharacterTextSplitter: moonpipe.TextSplitter
---@field separators string[]
---@field keep_separator "start"|"end"|false
local Recursive = {}
local RECURSIVE = base.metatable("RecursiveCharacterTextSplitter", Recursive)

local function append(chunks, more)
  for _, chunk in ipairs(more) do chunks[#chunks + 1] = chunk end
end

-- What fits is joined with its neighbours; what does not is cut at the next separator, so that a
-- part that was cut is never mixed with the one behind it.
local function recurse(self, text, first, last, level, chunks)
  local separator = self.separators[level]
  if not separator or self.measure(text, first, last) <= self.chunk_size then
    chunks[#chunks + 1] = { first, last }
    return
  end
  local short = {}
  for _, span in ipairs(cut.apart(text, first, last, separator, self.keep_separator)) do
    if self.measure(text, span[1], span[2]) <= self.chunk_size then
      short[#short + 1] = span
    else
      append(chunks, joined(self, text, short))
      short = {}
      recurse(self, text, span[1], span[2], level + 1, chunks)
    end
  end
  append(chunks, joined(self, text, short))
end

function Recursive:spans(text, take)
  local chunks = {}
  if text ~= "" then recurse(self, text, 1, #text, 1, chunks) end
  base.give(self, text, chunks, take)
end

local RECURSIVE_OPTIONS = { "keep_separator", "length_function", "separators" }

local function recursive(opts, what, default)
  local self, given = base.configure(opts, RECURSIVE_OPTIONS, what, "length_function")
  local separators = given.separators or default
  check_separators(separators, what)
  self.separators = { unpack(separators) }
  self.keep_separator = keep_of(given.keep_separator, "start", what)
  return setmetatable(self, RECURSIVE)
end

local function separators_of(language)
  local languages = require "moonpipe.splitters.languages"
  local found = type(language) == "string" and languages[language:lower()]
  if not found then
    local names = {}
    for name in pairs(languages) do names[#names + 1] = name end
    table.sort(names)
    errors.usage(("there are no separators for the language %s; there are for %s"):format(
      type(language) == "string" and "'" .. language .. "'" or errors.shape(language),
      table.concat(names, ", ")))
  end
  return { unpack(found) }
end

---`RecursiveCharacterTextSplitter{ chunk_size = 4000, chunk_overlap = 200, separators =,
---keep_separator = "start", length_function =, add_start_index =, strip_whitespace = true }`: cuts
---at blank lines first, what is still too long at ends of lines, at blanks, and at last between
---characters, and joins pieces up to the size.
---@overload fun(opts: table?): moonpipe.RecursiveCharacterTextSplitter
splitter.RecursiveCharacterTextSplitter = base.class("RecursiveCharacterTextSplitter",
  function(_, opts) return recursive(opts, "RecursiveCharacterTextSplitter", SEPARATORS) end, {
    ---One that cuts the programs or texts of a language where its parts begin.
    ---@param language string  such as "lua", "python", "markdown"
    ---@param opts table?
    ---@return moonpipe.RecursiveCharacterTextSplitter
    from_language = function(language, opts)
      return recursive(opts, "RecursiveCharacterTextSplitter", separators_of(language))
    end,

    ---@param language string
    ---@return string[]
    get_separators_for_language = separators_of,
  })

---`MarkdownTextSplitter{ … }`: RecursiveCharacterTextSplitter.from_language("markdown", …).
---@overload fun(opts: table?): moonpipe.RecursiveCharacterTextSplitter
splitter.MarkdownTextSplitter = base.class("MarkdownTextSplitter", function(_, opts)
  return recursive(opts, "MarkdownTextSplitter", separators_of "markdown")
end)

-- TokenTextSplitter -------------------------------------------------------------------------------

local BYTES_PER_TOKEN = 4 -- as count_tokens_approximately has it

---@class moonpipe.TokenTextSplitter: moonpipe.TextSplitter
local Token = {}
local TOKEN = base.metatable("TokenTextSplitter", Token)

local function estimate(_, first, last)
  return math.ceil((last - first + 1) / BYTES_PER_TOKEN)
end

-- The words of a text; those that are longer than a chunk in pieces that are not.
local function words(self, text)
  local spans = {}
  for _, word in ipairs(cut.words(text, 1, #text)) do
    if self.measure(text, word[1], word[2]) <= self.chunk_size then
      spans[#spans + 1] = word
    else
      local characters = cut.apart(text, word[1], word[2], "", false)
      append(spans, cut.join(characters, self.chunk_size, 0, measuring(self, text)))
    end
  end
  return spans
end

function Token:spans(text, take)
  base.give(self, text, joined(self, text, words(self, text)), take)
end

---`TokenTextSplitter{ chunk_size = 4000, chunk_overlap = 200, token_counter = fn }`: sizes are
---tokens, as `token_counter(text)` counts them, else estimated: four bytes are one. Cuts between
---words, and a word that is longer than a chunk between its characters.
---@overload fun(opts: table?): moonpipe.TokenTextSplitter
splitter.TokenTextSplitter = base.class("TokenTextSplitter", function(_, opts)
  local self = base.configure(opts, { "token_counter" }, "TokenTextSplitter", "token_counter",
    estimate)
  return setmetatable(self, TOKEN)
end)

return splitter
