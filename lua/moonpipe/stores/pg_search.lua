--- What is nearest in a collection of PostgreSQL, and what a row of it is.
local client = require "moonpipe.stores.pg_client"
local conditions = require "moonpipe.stores.pg_filter"
local document = require "moonpipe.document"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local tables = require "moonpipe.stores.pg_table"

local c, check = native.c, native.check

local store_pg_search = {}

local MORE = 4             -- times as many where a function left out too many
local EF_SEARCH_MAX = 1000 -- of pgvector

--- The document of a row.
function store_pg_search.document(row)
  return document.Document { page_content = row.document, metadata = json.decode(row.metadata),
    id = row.id }
end

--- The vector that a real[] is.
---@param bytes string
---@return moonpipe.Floats
function store_pg_search.vector(bytes)
  return check(c.floats_of_bytes(bytes))
end

-- What is measured, and what it is ordered by: the nearer the less.
local MEASURES = {
  l2 = { "power(embedding OPERATOR(%s.<->) %s, 2)", "embedding OPERATOR(%s.<->) %s",
    "%s.moonpipe_l2(embedding, %s)", "" },
  cosine = { "1 - (embedding OPERATOR(%s.<=>) %s)", "embedding OPERATOR(%s.<=>) %s",
    "%s.moonpipe_cosine(embedding, %s)", " DESC" },
  inner_product = { "-(embedding OPERATOR(%s.<#>) %s)", "embedding OPERATOR(%s.<#>) %s",
    "%s.moonpipe_inner_product(embedding, %s)", " DESC" },
}

local function measures_of(self, found, place)
  local measure = MEASURES[self.distance_strategy]
  if not found.extension then
    return measure[3]:format(client.name(self.schema), place), "measured" .. measure[4]
  end
  local extension = client.name(found.extension)
  return measure[1]:format(extension, place), measure[2]:format(extension, place)
end

-- The statement of a search, and whether its condition is only a part of the filter.
local function select_nearest(self, found, vector, k, tree, with_vectors)
  local out, bind = client.statement()
  local measured, order = measures_of(self, found,
    bind({ vector, 1 }, "real[]::" .. tables.type(found.extension)))
  local condition, is_part = "true", false
  if tree then condition, is_part = conditions.condition(tree, "metadata", bind) end
  out[1] = ("SELECT id, document, metadata, %s AS measured%s FROM %s WHERE %s ORDER BY %s, number "
    .. "LIMIT %s"):format(measured, with_vectors and ", embedding::real[] AS vector" or "",
    tables.name(self), condition, order, bind(k, "bigint"))
  return out, is_part
end

-- An index gives no more than it looks at, and the filter comes after it: where that were too few
-- it is done again without.
local function nearest_by_index(self, query, k)
  local setting = ("SET LOCAL hnsw.ef_search = %d"):format(math.min(math.max(2 * k, 40),
    EF_SEARCH_MAX))
  local rows = self.client:ask({ { setting, n = 1 }, query }, true)[2].rows
  if #rows == k then return rows end
  return self.client:ask({ { "SET LOCAL enable_indexscan = off", n = 1 }, query }, true)[2].rows
end

local function rows_nearest(self, found, query, k)
  if found.indexed then return nearest_by_index(self, query, k) end
  return self.client:ask({ query })[1].rows
end

local function hit_of(row)
  local measured = row.measured
  if measured ~= measured then measured = 0 end -- the cosine of a vector of length 0
  return { document = store_pg_search.document(row), measured = measured,
    vector = row.vector and store_pg_search.vector(row.vector) }
end

local function hits_of(rows, k, matches)
  local hits = {}
  for _, row in ipairs(rows) do
    local hit = hit_of(row)
    if #hits < k and (not matches or matches(hit.document.metadata, hit.document)) then
      hits[#hits + 1] = hit
    end
  end
  return hits
end

--- The hits of `_search` of base.lua.
---@async
function store_pg_search.search(self, found, vector, k, filter, with_vectors)
  local asked = k
  while true do
    local query, is_part = select_nearest(self, found, vector, asked, filter and filter.tree,
      with_vectors)
    local rows = rows_nearest(self, found, query, asked)
    local hits = hits_of(rows, k, is_part and filter.matches)
    if not is_part or #hits == k or #rows < asked then return hits end
    asked = asked * MORE
  end
end

return store_pg_search
