--- Cuts a JSON value into smaller ones, each of which is JSON and keeps the keys that lead to what
--- is in it.
local base = require "moonpipe.splitters.base"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

local splitter = {}

---@class moonpipe.RecursiveJsonSplitter
---@field max_chunk_size integer
---@field min_chunk_size integer
local Json = {}
local JSON = { __name = "moonpipe.RecursiveJsonSplitter", __index = Json,
  __tostring = function() return "RecursiveJsonSplitter" end }

local function is_list(value)
  return json.is_array(value) or type(value) == "table" and value[1] ~= nil
end

local function is_object(value)
  return type(value) == "table" and not is_list(value) and getmetatable(value) == nil
end

-- Lists as objects with the keys "0", "1", …, at every depth.
local function without_lists(value)
  if type(value) ~= "table" then return value end
  local out = {}
  if is_list(value) then
    for i, member in ipairs(value) do out[tostring(i - 1)] = without_lists(member) end
  else
    for key, member in pairs(value) do out[key] = without_lists(member) end
  end
  return out
end

local function sorted_keys(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- Puts a value under its keys into a chunk. [size] is what that adds to its text: at most, for a
-- comma is counted that the first member does not need.
local function put(chunk, path, key, value)
  local place, size = chunk.value, 0
  for _, part in ipairs(path) do
    if place[part] == nil then
      place[part] = {}
      size = size + #json.encode(part) + 4
    end
    place = place[part]
  end
  place[key] = value
  chunk.size = chunk.size + size + #json.encode(key) + #json.encode(value) + 2
end

local function cost_of(chunk, path, key, value)
  local place, size = chunk.value, 0
  for _, part in ipairs(path) do
    place = place and place[part]
    if place == nil then size = size + #json.encode(part) + 4 end
  end
  return size + #json.encode(key) + #json.encode(value) + 2
end

local function new_chunk(chunks)
  chunks[#chunks + 1] = { value = {}, size = 2 }
  return chunks[#chunks]
end

-- What fits goes into the last chunk; an object that does not is taken apart, unless that chunk is
-- large enough to begin another, in which it may fit whole.
local function walk(self, value, path, chunks)
  for _, key in ipairs(sorted_keys(value)) do
    local member, chunk = value[key], chunks[#chunks]
    local cost = cost_of(chunk, path, key, member)
    if chunk.size + cost > self.max_chunk_size and chunk.size >= self.min_chunk_size then
      chunk = new_chunk(chunks)
      cost = cost_of(chunk, path, key, member)
    end
    if chunk.size + cost > self.max_chunk_size and is_object(member) and next(member) ~= nil then
      path[#path + 1] = key
      walk(self, member, path, chunks)
      path[#path] = nil
    else
      if chunk.size + cost > self.max_chunk_size and chunk.size > 2 then
        chunk = new_chunk(chunks)
      end
      put(chunk, path, key, member)
    end
  end
end

---The parts of a JSON value, which is a table or a text. `convert_lists` makes objects of lists, so
---that these are taken apart, too.
---@param value table|string
---@param convert_lists boolean?
---@return table[]
function Json:split_json(value, convert_lists)
  if type(value) == "string" then value = json.decode(value) end
  if convert_lists then value = without_lists(value) end
  if not is_object(value) then
    errors.usage(("split_json takes an object, got %s%s"):format(errors.shape(value),
      is_list(value) and "; convert_lists makes one of a list" or ""))
  end
  local chunks, out = {}, {}
  new_chunk(chunks)
  walk(self, value, {}, chunks)
  for _, chunk in ipairs(chunks) do
    if next(chunk.value) ~= nil then out[#out + 1] = chunk.value end
  end
  return out
end

---The same as JSON texts.
---@param value table|string
---@param convert_lists boolean?
---@return string[]
function Json:split_text(value, convert_lists)
  local out = {}
  for i, part in ipairs(self:split_json(value, convert_lists)) do out[i] = json.encode(part) end
  return out
end

local function documents_of(self, value, metadata, convert_lists, out)
  for _, text in ipairs(self:split_text(value, convert_lists)) do
    local own = {}
    for key, member in pairs(metadata or {}) do own[key] = member end
    out[#out + 1] = document.Document(text, own)
  end
end

---Documents of the parts of values; each has its value's metadata.
---@param values (table|string)[]
---@param convert_lists boolean?
---@param metadatas table[]?
---@return moonpipe.Document[]
function Json:create_documents(values, convert_lists, metadatas)
  errors.list(values, "create_documents")
  base.check_metadatas(metadatas, #values)
  local out = {}
  for i, value in ipairs(values) do
    documents_of(self, value, metadatas and metadatas[i], convert_lists, out)
  end
  return out
end

---The same for documents, whose texts are JSON.
---@param documents moonpipe.Document[]
---@param convert_lists boolean?
---@return moonpipe.Document[]
function Json:split_documents(documents, convert_lists)
  errors.list(documents, "split_documents")
  local out = {}
  for i, doc in ipairs(documents) do
    if not document.is(doc) then
      errors.usage(("item %d of split_documents is %s; it must be a Document"):format(i,
        errors.shape(doc)))
    end
    documents_of(self, doc.page_content, doc.metadata, convert_lists, out)
  end
  return out
end

---`RecursiveJsonSplitter{ max_chunk_size = 2000, min_chunk_size = }`: sizes are bytes of JSON. A
---chunk that has the least size, by default 200 less, is closed rather than an object taken apart.
---A value that is no object is never cut, so it may be larger.
---@overload fun(opts: table?): moonpipe.RecursiveJsonSplitter
splitter.RecursiveJsonSplitter = base.class("RecursiveJsonSplitter", function(_, opts)
  local what = "RecursiveJsonSplitter"
  opts = errors.options(opts, { "max_chunk_size", "min_chunk_size" }, what)
  local max = opts.max_chunk_size or 2000
  base.check_size(max, 1, "max_chunk_size", what)
  local min = opts.min_chunk_size or math.max(max - 200, 50)
  base.check_size(min, 0, "min_chunk_size", what)
  return setmetatable({ max_chunk_size = max, min_chunk_size = min }, JSON)
end)

return splitter
