--- Values out of files in JSON, one a file or one a line.
local base = require "moonpipe.loaders.base"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

local loaders = {}

-- Paths -------------------------------------------------------------------------------------------

-- One part of a path at [at]: a key, { index }, or true for all members; and where the next begins.
local function part_of(path, at)
  local key, after = path:match("^%.?([%a_][%w_]*)()", at)
  if key then return key, after end
  key, after = path:match('^%.?%["([^"]*)"%]()', at)
  if key then return key, after end
  local index
  index, after = path:match("^%.?%[(%d+)%]()", at)
  if index then return { tonumber(index) + 1 }, after end
  after = path:match("^%.?%[%*?%]()", at)
  if after then return true, after end
end

-- The parts of a path such as `.messages[].text`.
local function compile(path, name)
  base.check_type(path, "string", "jq_schema", name)
  local parts, at = {}, path:match("^%$()") or 1
  if path:sub(at) == "." then return parts end
  while at <= #path do
    local part, after = part_of(path, at)
    if part == nil then
      errors.usage(("jq_schema of %s is '%s'; at character %d it is none of .key, [\"key\"], [0],"
        .. " []"):format(name, path, at))
    end
    parts[#parts + 1] = part
    at = after
  end
  return parts
end

local function members(value)
  if json.is_array(value) then return value end
  local keys, out = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do out[i] = value[key] end
  return out
end

-- Appends the values that the parts from the i-th on lead to. What is not there is left out.
local function collect(value, parts, i, out)
  local part = parts[i]
  if part == nil then
    out[#out + 1] = value
  elseif type(value) == "table" then
    if part == true then
      for _, member in ipairs(members(value)) do collect(member, parts, i + 1, out) end
    else
      local is_list = json.is_array(value)
      local key = part
      if type(part) == "table" then key = part[1] end
      if is_list == (type(part) == "table") and value[key] ~= nil then
        collect(value[key], parts, i + 1, out)
      end
    end
  end
  return out
end

-- Documents ---------------------------------------------------------------------------------------

---@class moonpipe.JSONLoader: moonpipe.Loader
---@field content_key string?
---@field metadata_func fun(record: table, metadata: table): table?
---@field text_content boolean
local JSON = {}

local function fail(self, err, line)
  line = (line or 1) + (err.line or 1) - 1
  errors.raise("decode", ("%s:%d: %s"):format(self.path, line, err.message),
    { line = line, column = err.column, cause = err })
end

-- Calls fn, saying of a JSON error in which file and line it is.
local function placed(self, line, fn, ...)
  local ok, value = pcall(fn, ...)
  if ok then return value end
  if errors.is(value) and value.kind == "decode" then fail(self, value, line) end
  error(value, 0)
end

local function content_of(self, value, number)
  if self.content_key then
    if type(value) ~= "table" or json.is_array(value) or value[self.content_key] == nil then
      errors.raise("input", ("%s: value %d is %s, without a key '%s' (content_key)"):format(
        self.path, number, errors.shape(value), self.content_key))
    end
    value = value[self.content_key]
  end
  if type(value) == "string" then return value end
  if value == json.null then return "" end
  if self.text_content then
    errors.raise("input", ("%s: value %d is %s, no text; text_content = false takes it as JSON")
      :format(self.path, number, errors.shape(value)))
  end
  return json.encode(value)
end

local function value_document(self, value, number)
  local metadata = { source = self.source or self.path, seq_num = number }
  local content = content_of(self, value, number)
  if self.metadata_func then
    metadata = self.metadata_func(value, metadata)
    if type(metadata) ~= "table" then
      errors.raise("input", ("metadata_func gave %s; it must give a table"):format(
        errors.shape(metadata)))
    end
  end
  return base.document(self, content, metadata)
end

-- The value of the whole file.
local function read_value(self)
  local decoder, size = json.decoder(), 0
  for piece in base.pieces(self) do
    size = size + #piece
    if size > self.max_bytes then
      errors.raise("too_large", ("the file '%s' has more than %d bytes (max_bytes)"):format(
        self.path, self.max_bytes))
    end
    placed(self, 1, decoder.feed, decoder, piece)
  end
  return placed(self, 1, decoder.finish, decoder)
end

-- A function that gives the values of the file's lines.
local function line_values(self)
  local next_line = base.lines(self)
  return function()
    for text, number in next_line do
      if text:find("%S") then return placed(self, number, json.decode, text) end
    end
  end
end

function JSON:documents()
  local next_value = self.json_lines and line_values(self)
    or base.once(function() return read_value(self) end)
  local found, at, number = {}, 0, 0
  return function()
    while at >= #found do
      local value = next_value()
      if value == nil then return nil end
      found, at = collect(value, self.parts, 1, {}), 0
    end
    at, number = at + 1, number + 1
    return value_document(self, found[at], number)
  end
end

local function setup(self, opts, name)
  self.parts = compile(opts.jq_schema or ".", name)
  base.check_type(opts.content_key, "string", "content_key", name)
  base.check_type(opts.metadata_func, "function", "metadata_func", name)
  base.check_type(opts.text_content, "boolean", "text_content", name)
  base.check_type(opts.json_lines, "boolean", "json_lines", name)
  self.content_key, self.metadata_func = opts.content_key, opts.metadata_func
  self.text_content, self.json_lines = opts.text_content ~= false, opts.json_lines == true
end

local OPTIONS = { "content_key", "json_lines", "jq_schema", "metadata_func", "text_content" }

---`JSONLoader("chat.json", { jq_schema = ".messages[]", content_key = "text", metadata_func =,
---text_content = true, json_lines = false })`: a document for each value that the path leads to:
---`.key`, `["key"]`, `[0]`, `[]` for all members. `text_content = false` takes what is no text as
---JSON. metadata_func(value, metadata) gives the metadata.
---@overload fun(path: string, opts: table?): moonpipe.JSONLoader
loaders.JSONLoader = base.class("JSONLoader", JSON, OPTIONS, setup)

---`JSONLinesLoader(path, …)`: the same for a value a line, read a line at a time; `max_bytes` is of
---one.
---@overload fun(path: string, opts: table?): moonpipe.JSONLoader
loaders.JSONLinesLoader = base.class("JSONLinesLoader", JSON,
  { "content_key", "jq_schema", "metadata_func", "text_content" }, function(self, opts, name)
    setup(self, opts, name)
    self.json_lines = true
  end)

return loaders
