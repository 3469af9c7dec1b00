--- HashEmbeddings: vectors of a text alone. No model, no key, no network.
--
-- They are lexical: texts are near when they share words, pairs of words and
-- parts of words, not when they mean the same. Among 802 package descriptions
-- asked by their summaries the right one came first in 43 %, among the first
-- five in 73 %; BM25 does better (60 %, 82 %), and both together a little
-- better still (60 %, 83 %): scripts/bench/recall. What exactly is hashed stands
-- in engine/work/hash.h and has a name: a store may keep the vectors.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local c, check = native.c, native.check

-- Bytes of a text that is done at once: half a millisecond.
local SHORT = 16384

---@class moonpipe.HashEmbeddings
---@field model string       the name of what is hashed
---@field dimensions integer
local methods = {}

local mt = { __name = "moonpipe.HashEmbeddings", __index = methods }

function mt.__tostring()
  return "HashEmbeddings"
end

local function rows_of(texts)
  return (scheduler.await(check(c.hash(texts))))
end

---@async
---@param texts string[]
---@return moonpipe.Floats  a row for each
function methods:embed_documents(texts)
  if type(texts) ~= "table" then
    errors.usage("embed_documents takes a list of strings, got " .. errors.shape(texts))
  end
  for i, text in ipairs(texts) do
    if type(text) ~= "string" then
      errors.usage(("text %d of embed_documents is %s; it must be a string"):format(i,
        errors.shape(text)))
    end
  end
  if #texts == 0 then return check(c.floats({})) end
  return scheduler.call(rows_of, texts)
end

---@async
---@param text string
---@return moonpipe.Floats  a vector
function methods:embed_query(text)
  if type(text) ~= "string" then
    errors.usage("embed_query takes a string, got " .. errors.shape(text))
  end
  if #text > SHORT then return scheduler.call(rows_of, { text }):row(1) end
  return check(c.hash_vector(text)):row(1)
end

local hash = {}

---`HashEmbeddings()`: 1,024 numbers for a text, of length 1; all zeros where it has no word.
---@overload fun(opts: table?): moonpipe.HashEmbeddings
hash.HashEmbeddings = setmetatable({}, {
  __name = "moonpipe.class",
  __call = function(_, opts)
    errors.options(opts, {}, "HashEmbeddings")
    return setmetatable({ model = "hash-1024-v1", dimensions = 1024 }, mt)
  end,
  __tostring = function() return "HashEmbeddings" end,
})

return hash
