--- The table of a collection in PostgreSQL: made at the first add, found again later.
--
-- A collection is a table of its name in a schema of ours, and a row of the table `collections`,
-- which says how long its vectors are, of which model they are and how they are kept: as `vector`
-- where the extension pgvector is there, else as `real[]`, measured by functions in SQL.
local client = require "moonpipe.stores.pg_client"
local errors = require "moonpipe.error"

local name_of = client.name

---@class moonpipe.PgTable
---@field dim integer
---@field extension string?  the schema of pgvector, where vectors are of its type
---@field indexed boolean    an index may leave out what a filter wants

local store_pg_table = {}

local LOCK = 0x6d706776 -- "mpgv": whoever makes something here holds it

local FUNCTIONS = {
  moonpipe_l2 = "coalesce(sum((x::float8 - y) * (x::float8 - y)), 0)",
  moonpipe_inner_product = "coalesce(sum(x::float8 * y), 0)",
  moonpipe_cosine = "coalesce(sum(x::float8 * y) "
    .. "/ nullif(sqrt(sum(x::float8 * x)) * sqrt(sum(y::float8 * y)), 0), 0)",
}

-- ---- names -------------------------------------------------------------------------------------

--- The name of the table in a statement.
function store_pg_table.name(self)
  return name_of(self.schema) .. "." .. name_of(self.collection_name)
end

local function collections(self)
  return name_of(self.schema) .. '."collections"'
end

--- The type that vectors are kept as, without its length.
---@param extension string?
function store_pg_table.type(extension)
  return extension and name_of(extension) .. ".vector" or "real[]"
end

-- ---- looking -----------------------------------------------------------------------------------

local LOOK = [[
SELECT to_regnamespace($1::text) IS NOT NULL AS schema, to_regclass($2::text) IS NOT NULL AS known,
  (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector') AS extension,
  EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'vector') AS available,
  EXISTS (SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am a ON a.oid = c.relam WHERE i.indrelid = to_regclass($3::text)
    AND a.amname IN ('hnsw', 'ivfflat')) AS indexed]]

local function look(self)
  return self.client:rows(LOOK, name_of(self.schema), collections(self),
    store_pg_table.name(self))[1]
end

local function text_of(value)
  return type(value) == "string" and value or nil
end

local function check_model(self, row)
  local model = text_of(self.embedding.model)
  if row.model and model and row.model ~= model then
    errors.raise("input", ("the collection '%s' is of the model '%s', not of '%s'"):format(
      self.collection_name, row.model, model))
  end
end

--- What is known of the collection; nil where it was not made yet.
---@async
---@return moonpipe.PgTable?
function store_pg_table.find(self)
  local seen = look(self)
  if seen.known ~= 1 then return nil, seen end
  local row = self.client:rows(("SELECT dim, model, extension FROM %s WHERE name = $1::text")
    :format(collections(self)), self.collection_name)[1]
  if not row then return nil, seen end
  check_model(self, row)
  local extension = row.extension and seen.extension
  return { dim = row.dim, extension = extension, indexed = seen.indexed == 1 }, seen
end

-- ---- making ------------------------------------------------------------------------------------

-- Where we may; else vectors are kept as real[]. Of two who make it at once one fails.
local function use_extension(self, seen)
  if seen.extension or seen.available ~= 1 then return seen.extension end
  pcall(self.client.rows, self.client, "CREATE EXTENSION IF NOT EXISTS vector")
  return look(self).extension
end

local function add_functions(self, list)
  for _, name in ipairs { "moonpipe_cosine", "moonpipe_inner_product", "moonpipe_l2" } do
    list[#list + 1] = { n = 1, ([[CREATE OR REPLACE FUNCTION %s.%s(a real[], b real[])
      RETURNS float8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
      AS 'SELECT %s FROM unnest(a, b) AS t(x, y)']]):format(name_of(self.schema), name,
      FUNCTIONS[name]) }
  end
end

local OPERATORS = { l2 = "vector_l2_ops", cosine = "vector_cosine_ops",
  inner_product = "vector_ip_ops" }

local function index_of(self, extension)
  local index, settings = self.index, {}
  for _, name in ipairs { "m", "ef_construction" } do
    if index[name] then settings[#settings + 1] = ("%s = %d"):format(name, index[name]) end
  end
  return ("CREATE INDEX IF NOT EXISTS %s ON %s USING hnsw (embedding %s.%s)%s"):format(
    name_of(self.collection_name .. ".hnsw"), store_pg_table.name(self), name_of(extension),
    OPERATORS[self.distance_strategy],
    settings[1] and (" WITH (%s)"):format(table.concat(settings, ", ")) or "")
end

local function check_index(self, extension)
  if self.index and not extension then
    errors.raise("unsupported", "index = 'hnsw' of PGVector needs the extension pgvector, which "
      .. "the server does not have")
  end
end

local function statements(self, seen, found, dim, extension)
  local list = { { "SELECT pg_advisory_xact_lock($1::bigint)", LOCK, n = 2 } }
  local function add(text, ...) list[#list + 1] = { text:format(...), n = 1 } end
  if seen.schema ~= 1 then add("CREATE SCHEMA IF NOT EXISTS %s", name_of(self.schema)) end
  if seen.known ~= 1 then
    add([[CREATE TABLE IF NOT EXISTS %s (name text PRIMARY KEY, dim integer NOT NULL, model text,
      extension text)]], collections(self))
    add_functions(self, list)
  end
  if not found then
    list[#list + 1] = { ([[INSERT INTO %s (name, dim, model, extension)
      VALUES ($1::text, $2::bigint, $3::text, $4::text) ON CONFLICT DO NOTHING]]):format(
      collections(self)), self.collection_name, dim, text_of(self.embedding.model), extension,
      n = 5 }
    add([[CREATE TABLE IF NOT EXISTS %s (number bigint GENERATED ALWAYS AS IDENTITY, id text
      PRIMARY KEY, document text NOT NULL, metadata jsonb NOT NULL, embedding %s NOT NULL)]],
      store_pg_table.name(self),
      extension and ("%s(%d)"):format(store_pg_table.type(extension), dim) or "real[]")
  end
  if self.index and seen.indexed ~= 1 then add("%s", index_of(self, extension)) end
  return list
end

--- What is known of the collection, which is made where it is not there: for vectors of [dim].
--- Several may do so at once.
---@async
---@return moonpipe.PgTable
function store_pg_table.make(self, dim)
  local found, seen = store_pg_table.find(self)
  if found and (found.indexed or not self.index) then return found end
  local extension
  if found then extension = found.extension else extension = use_extension(self, seen) end
  check_index(self, extension)
  self.client:ask(statements(self, seen, found, dim, extension), true)
  return (store_pg_table.find(self))
end

--- Does away with the collection, if it is there.
---@async
function store_pg_table.drop(self)
  if look(self).known ~= 1 then return end
  self.client:ask({
    { "SELECT pg_advisory_xact_lock($1::bigint)", LOCK, n = 2 },
    { ("DELETE FROM %s WHERE name = $1::text"):format(collections(self)), self.collection_name,
      n = 2 },
    { ("DROP TABLE IF EXISTS %s"):format(store_pg_table.name(self)), n = 1 },
  }, true)
end

return store_pg_table
