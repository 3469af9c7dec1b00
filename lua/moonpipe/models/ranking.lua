--- Ranks passages by how well they answer a question.
--
-- The words of the question that say something are its terms. A term counts the more the fewer
-- passages hold it; terms that stand side by side in both count more; a passage borrows, for half
-- their worth, the terms of the heading above it, and of the sentence before if it begins with a
-- pronoun. Nothing is random: equal scores keep the order of the text.
local ranking = {}

local STOP = {}
for word in ([[a about above after again all also am an and any are as at be because been before
  being below between both but by can cannot could did do does doing don down during each few for
  from further had has have having he her here hers him his how i if in into is it its itself just
  let me more most my myself no nor not now of off on once only or other our ours out over own
  please s same she should so some such t tell than that the their theirs them then there these
  they this those through to too under until up us very was we were what when where which while who
  whom whose why will with would you your yours give explain describe say says mean means know
  answer question context summary summarize summarise happen happened
  may might must shall take takes took use uses used using]]):gmatch("%S+") do
  STOP[word] = true
end

-- What answers of some kinds of question contain.
local CUES = {
  { "^when%f[%W]", "%d" }, { "^in what year", "%d%d%d%d" }, { "^what year", "%d%d%d%d" },
  { "^how many%f[%W]", "%d" }, { "^how much%f[%W]", "%d" }, { "^how long%f[%W]", "%d" },
  { "^how old%f[%W]", "%d" }, { "^how far%f[%W]", "%d" }, { "^how fast%f[%W]", "%d" },
  { "^who%f[%W]", "%l%s%u%l" }, { "^why%f[%W]", "%f[%w]because%f[%W]" },
}

-- Ä Ö Ü and their like are two bytes that differ by 32 from the lower ones.
local function lower(text)
  return (text:lower():gsub("\195([\128-\158])", function(byte)
    return "\195" .. string.char(byte:byte() + 32)
  end))
end

local WORD = "[%w\128-\255]+"

-- Characters of languages that put no blank between words: each is a word of its own.
local function wide_characters(word, add)
  for character in word:gmatch("[\227-\233\234-\237][\128-\191][\128-\191]") do
    add(character)
  end
end

local SUFFIXES = { "ations", "ation", "ments", "ment", "ingly", "ings", "ing", "edly", "ied", "ies",
  "ed", "ers", "er", "ly", "es", "s" }

-- A light English stem: good enough that work, works, worked and working are one.
local function stem(word)
  for _, suffix in ipairs(SUFFIXES) do
    local length = #word - #suffix
    if length >= 3 and word:sub(-#suffix) == suffix and not word:find("ss$") then
      word = word:sub(1, length) .. (suffix:find("^ie") and "y" or "")
      break
    end
  end
  word = word:gsub("([bdfgmnprt])%1$", "%1")
  return #word > 3 and (word:gsub("e$", "")) or word
end

---@class moonpipe.Terms
---@field count integer
---@field index table<string, integer>  stem -> term
---@field near table<string, integer>   first letters of a long stem -> term
---@field named boolean[]               written with a capital: a name, whose lack tells much
---@field follows table<integer, integer>  term -> the term behind it in the question

local NEAR_LENGTH = 5

local function add_term(terms, word, named)
  local key = stem(word)
  local term = terms.index[key]
  if not term then
    term = terms.count + 1
    terms.count, terms.index[key], terms.named[term] = term, term, named
    if #key > NEAR_LENGTH then
      terms.near[key:sub(1, NEAR_LENGTH)] = term
    end
  end
  return term
end

--- The terms of a question.
---@param question string
---@return moonpipe.Terms
function ranking.terms(question)
  local terms = { count = 0, index = {}, near = {}, named = {}, follows = {} }
  local before
  for position, raw in question:gmatch("()(" .. WORD .. ")") do
    local word = lower(raw)
    if not STOP[word] then
      local named = position > 1 and raw:find("^%u") ~= nil
      local term
      wide_characters(word, function(character) add_term(terms, character, false) end)
      if not word:find("^[\227-\237]") then
        term = add_term(terms, word, named)
        if before and before ~= term then
          terms.follows[before] = term
        end
      end
      before = term
    end
  end
  return terms
end

-- What a word is to the question: a term, or minus a term that it only resembles, or false.
local function meaning_of(terms, word)
  if STOP[word] then
    return false
  end
  local key = stem(word)
  local term = terms.index[key]
  if term then
    return term
  end
  local near = #key >= NEAR_LENGTH and terms.near[key:sub(1, NEAR_LENGTH)]
  return near and -near or false
end

local RESEMBLES = 0.6

-- Reads one text: weight of each term in it, number of words, pairs of terms side by side.
local function read(terms, meanings, text)
  local found, words, pairs_found, before = {}, 0, nil, nil
  local function see(word)
    local meaning = meanings[word]
    if meaning == nil then
      meaning = meaning_of(terms, word)
      meanings[word] = meaning
    end
    words = words + 1
    if not meaning then
      before = not STOP[word] and nil or before
      return
    end
    local term = math.abs(meaning)
    found[term] = math.max(found[term] or 0, meaning > 0 and 1 or RESEMBLES)
    if before and terms.follows[before] == term then
      pairs_found = pairs_found or {}
      pairs_found[#pairs_found + 1] = term
    end
    before = term
  end
  for word in lower(text):gmatch(WORD) do
    if word:find("^[\227-\237]") then
      wide_characters(word, see)
    else
      see(word)
    end
  end
  return found, words, pairs_found
end

-- Rarity of each term among the passages; a name that none has counts in full, another word half.
local function rarities(terms, counts, total)
  local rarity = {}
  for term = 1, terms.count do
    local n = counts[term] or 0
    rarity[term] = math.log(1 + (total - n + 0.5) / (n + 0.5))
    if n == 0 then
      rarity[term] = math.log(2 + total) * (terms.named[term] and 1.5 or 0.5)
    end
  end
  return rarity
end

local function cue_of(question)
  local text = lower(question):match("^%s*(.*)$")
  for _, cue in ipairs(CUES) do
    if text:find(cue[1]) then
      return cue[2]
    end
  end
end

-- Long passages say much besides, very short ones say little; instructions are not answers.
local function shape_factor(unit, words)
  local factor = 1 / (1 + math.max(0, words - 30) / 60)
  if words < 3 then
    factor = factor * 0.6
  end
  local last = unit.text:sub(-1)
  if last == "?" then
    factor = factor * 0.5
  elseif last == ":" or unit.kind == "code" then
    factor = factor * 0.7
  end
  local text = unit.text:lower()
  if text:find("answer", 1, true) and text:find("question", 1, true)
    or text:find("following context", 1, true) then
    factor = factor * 0.1
  end
  return factor
end

local PAIR_BONUS, BORROWED, CUE_BONUS = 0.3, 0.5, 1.4

local function score(entry, rarity, total, cue)
  local sum = 0
  for term, weight in pairs(entry.found) do
    sum = sum + rarity[term] * weight
  end
  for term, weight in pairs(entry.borrowed) do
    if not entry.found[term] then
      sum = sum + rarity[term] * weight * BORROWED
    end
  end
  local cover = sum / total
  for _, term in ipairs(entry.pairs or {}) do
    sum = sum + rarity[term] * PAIR_BONUS
  end
  if cue and entry.unit.text:find(cue) then
    sum = sum * CUE_BONUS
  end
  return sum * (0.5 + 0.5 * math.min(cover, 1)) * shape_factor(entry.unit, entry.words), cover
end

local PRONOUN = { it = true, its = true, he = true, his = true, she = true, her = true,
  they = true, their = true, this = true, these = true }

-- What a passage borrows: of its heading, and of those before where it begins with a pronoun.
local function borrowed_of(unit, before, under)
  local first = unit.text:match("^%a+")
  if not (first and PRONOUN[first:lower()] and before and before.unit.block == unit.block) then
    return under
  end
  local result = {}
  for _, part in ipairs({ under, before.topic }) do
    for term, weight in pairs(part) do
      result[term] = math.max(result[term] or 0, weight)
    end
  end
  return result
end

local NOTHING = {}

-- Reads all passages: what each holds and borrows, and how many hold each term.
local function survey(terms, units)
  local entries, counts, meanings, headings, before = {}, {}, {}, {}, nil
  for i, unit in ipairs(units) do
    local found, words, pairs_found = read(terms, meanings, unit.text)
    local heading = unit.heading
    if heading and not headings[heading] then
      headings[heading] = read(terms, meanings, heading)
    end
    for term in pairs(found) do
      counts[term] = (counts[term] or 0) + 1
    end
    local borrowed = borrowed_of(unit, before, heading and headings[heading] or NOTHING)
    local topic = next(found) and found or before and before.unit.block == unit.block
      and before.topic or NOTHING
    before = {
      unit = unit, index = i, found = found, words = words, pairs = pairs_found,
      borrowed = borrowed, topic = topic,
    }
    if next(found) or next(borrowed) then
      entries[#entries + 1] = before
    end
  end
  return entries, counts
end

--- The passages that hold anything of the question, best first: `{ unit, index, score, cover }`;
--- cover is the share of the question that a passage holds.
---@param terms moonpipe.Terms
---@param question string
---@param units moonpipe.Passage[]
---@return table[]
function ranking.rank(terms, question, units)
  local entries, counts = survey(terms, units)
  local rarity, total = rarities(terms, counts, #units), 0
  for term = 1, terms.count do
    total = total + rarity[term]
  end
  local cue = cue_of(question)
  for _, entry in ipairs(entries) do
    entry.score, entry.cover = score(entry, rarity, total, cue)
  end
  table.sort(entries, function(a, b)
    if a.score ~= b.score then
      return a.score > b.score
    end
    return a.index < b.index
  end)
  return entries
end

return ranking
