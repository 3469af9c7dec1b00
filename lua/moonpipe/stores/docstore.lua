--- The documents of a vector store, in memory: by the numbers of their vectors and by their ids.
--
-- What keeps them elsewhere has the same methods, which may wait; each is done whole or not at all.
-- Documents that are kept have ids. Numbers are an index's: from 0, ascending, never used again.

---@class moonpipe.Docstore
---@field put fun(self, first: integer, documents: moonpipe.Document[]): integer[]
---@field remove fun(self, ids: string[]): integer[]
---@field numbers fun(self, ids: string[]): table<string, integer>
---@field get fun(self, numbers: integer[]): table<integer, moonpipe.Document>
---@field matching fun(self, matches: function, tree: moonpipe.FilterNode): integer[]
---@field all fun(self): integer[], moonpipe.Document[]
---@field count fun(self): integer

local docstore = {}

---@class moonpipe.MemoryDocstore: moonpipe.Docstore
---@field _documents table<integer, moonpipe.Document>  by number
---@field _numbers table<string, integer>               by id
---@field _end integer                                  above all numbers
---@field _count integer
local methods = {}

local mt = { __name = "moonpipe.MemoryDocstore", __index = methods }

--- An empty one.
---@return moonpipe.MemoryDocstore
function docstore.new()
  return setmetatable({ _documents = {}, _numbers = {}, _end = 0, _count = 0 }, mt)
end

--- Keeps documents under [first] and the numbers behind it. One whose id is there takes the other's
--- place. Gives the numbers of those that are gone.
---@param first integer
---@param documents moonpipe.Document[]
---@return integer[] replaced
function methods:put(first, documents)
  local replaced = {}
  for i, doc in ipairs(documents) do
    local number, old = first + i - 1, self._numbers[doc.id]
    if old then
      replaced[#replaced + 1] = old
      self._documents[old] = nil
    end
    self._documents[number], self._numbers[doc.id] = doc, number
  end
  self._end = math.max(self._end, first + #documents)
  self._count = self._count + #documents - #replaced
  return replaced
end

--- Forgets documents. Gives the numbers of those that were there.
---@param ids string[]
---@return integer[] removed
function methods:remove(ids)
  local removed = {}
  for _, id in ipairs(ids) do
    local number = self._numbers[id]
    if number then
      removed[#removed + 1] = number
      self._documents[number], self._numbers[id] = nil, nil
    end
  end
  self._count = self._count - #removed
  return removed
end

--- The numbers of those ids that are there.
---@param ids string[]
---@return table<string, integer>
function methods:numbers(ids)
  local out = {}
  for _, id in ipairs(ids) do out[id] = self._numbers[id] end
  return out
end

--- The documents of those numbers that are there.
---@param numbers integer[]
---@return table<integer, moonpipe.Document>
function methods:get(numbers)
  local out = {}
  for _, number in ipairs(numbers) do out[number] = self._documents[number] end
  return out
end

--- The numbers of the documents that a filter takes, ascending: what filter.compile gave.
---@param matches fun(metadata: table, document: moonpipe.Document): any
---@return integer[]
function methods:matching(matches)
  local out = {}
  for number = 0, self._end - 1 do
    local doc = self._documents[number]
    if doc and matches(doc.metadata, doc) then out[#out + 1] = number end
  end
  return out
end

--- All documents and their numbers, in the order of these.
---@return integer[] numbers
---@return moonpipe.Document[] documents
function methods:all()
  local numbers, documents = {}, {}
  for number = 0, self._end - 1 do
    local doc = self._documents[number]
    if doc then
      numbers[#numbers + 1], documents[#documents + 1] = number, doc
    end
  end
  return numbers, documents
end

---@return integer
function methods:count()
  return self._count
end

return docstore
