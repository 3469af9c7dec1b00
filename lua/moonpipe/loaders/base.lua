--- What all loaders share: `load`, `lazy_load`, the options that each has, files read in pieces.
--
-- A loader has `documents(self)`, which gives a function that gives the next document each time, or
-- nil. It may wait: the pool reads, and other tasks run meanwhile.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local c = native.c

local base = {}

local PIECE = 262144     -- bytes read at a time
local MAX = 67108864     -- of a file, or of one record of it
local BOM = "\239\187\191"

---@class moonpipe.Loader
---@field path string
---@field root string?      a folder that the path is relative to, and may not lead out of
---@field max_bytes integer
---@field read_bytes (fun(): string?)?  gives the bytes piece by piece, instead of the file
---@field documents fun(self): fun(): moonpipe.Document?
local Loader = {}

---The documents one after the other: `for document in loader:lazy_load() do … end`. Nothing is read
---before it is asked for.
---@async
---@return fun(): moonpipe.Document?
function Loader:lazy_load()
  local next_one, ended
  return function()
    if ended then return nil end
    ended = true -- also where it raises
    if not next_one then next_one = self:documents() end
    local doc = scheduler.call(next_one)
    ended = doc == nil
    return doc
  end
end

---All documents.
---@async
---@return moonpipe.Document[]
function Loader:load()
  local out = {}
  for doc in self:lazy_load() do out[#out + 1] = doc end
  return out
end

---All documents, cut by a splitter: by default a RecursiveCharacterTextSplitter.
---@async
---@param splitter moonpipe.TextSplitter?
---@return moonpipe.Document[]
function Loader:load_and_split(splitter)
  if splitter ~= nil and (type(splitter) ~= "table" or splitter.split_documents == nil) then
    errors.usage("load_and_split takes a splitter, got " .. errors.shape(splitter))
  end
  splitter = splitter or require("moonpipe.splitters.splitter").RecursiveCharacterTextSplitter()
  return splitter:split_documents(self:load())
end

local function check_path(path, name)
  if type(path) ~= "string" or path == "" or path:find("\0", 1, true) then
    errors.usage(("%s takes a path, got %s"):format(name, errors.shape(path)))
  end
end

-- The fields that all loaders have.
local function construct(name, mt, own, path, opts)
  local allowed = { "max_bytes", "root" }
  for _, key in ipairs(own) do allowed[#allowed + 1] = key end
  table.sort(allowed)
  check_path(path, name)
  opts = errors.options(opts, allowed, name)
  if opts.root ~= nil then check_path(opts.root, "root of " .. name) end
  local max = opts.max_bytes or MAX
  if type(max) ~= "number" or max < 1 or max % 1 ~= 0 then
    errors.usage(("max_bytes of %s is %s; it must be an integer from 1 on"):format(name,
      errors.shape(max)))
  end
  return setmetatable({ path = path, root = opts.root, max_bytes = max }, mt), opts
end

---A class of loaders, which is called with a path and options; [own] are those that it has besides
---`root` and `max_bytes`, [setup] checks them and puts them into the object.
---@param name string
---@param methods table
---@param own string[]
---@param setup fun(self: moonpipe.Loader, opts: table, name: string)?
function base.class(name, methods, own, setup)
  setmetatable(methods, { __index = Loader })
  local mt = { __name = "moonpipe." .. name, __index = methods }
  function mt.__tostring(self) return ("%s(%q)"):format(name, self.path) end
  return setmetatable({}, {
    __name = "moonpipe.class",
    __tostring = function() return name end,
    __call = function(_, path, opts)
      local self, given = construct(name, mt, own, path, opts)
      if setup then setup(self, given, name) end
      return self
    end,
  })
end

---Raises where an option is there and not of [kind].
function base.check_type(value, kind, name, what)
  if value ~= nil and type(value) ~= kind then
    errors.usage(("%s of %s is %s; it must be a %s"):format(name, what, errors.shape(value), kind))
  end
end

---A document of a file, whose `source` is its path, or what the loader of a folder calls it.
---@param self moonpipe.Loader
---@param text string
---@param metadata table?  taken
---@return moonpipe.Document
function base.document(self, text, metadata)
  metadata = metadata or {}
  if metadata.source == nil then metadata.source = self.source or self.path end
  return document.Document(text, metadata)
end

---A function that gives one document, made by [make], and then nil.
---@param make fun(): moonpipe.Document
---@return fun(): moonpipe.Document?
function base.once(make)
  local done = false
  return function()
    if done then return nil end
    done = true
    return make()
  end
end

-- Files -------------------------------------------------------------------------------------------

local function too_large(self, what)
  errors.raise("too_large", ("%s '%s' has more than %d bytes (max_bytes)"):format(what, self.path,
    self.max_bytes))
end

---A function that gives the bytes of the file piece by piece, then nil.
---@param self moonpipe.Loader
---@return fun(): string?
function base.bytes(self)
  if self.read_bytes then return self.read_bytes end
  local file = native.check(c.file_open(self.path, self.root))
  local at, ended = 0, false
  return function()
    if ended then return nil end
    local bytes = scheduler.await(native.check(c.file_read(file, at, PIECE))) or ""
    at = at + #bytes
    ended = #bytes < PIECE
    if ended then c.file_close(file) end
    return bytes ~= "" and bytes or nil
  end
end

-- What begins as no UTF-8 text does is told; what is merely wrong in one is repaired.
local function check_start(bytes, path)
  if bytes:find("^\255\254") or bytes:find("^\254\255") then
    errors.raise("decode", ("'%s' is UTF-16; it must be UTF-8"):format(path))
  elseif bytes:sub(1, 4096):find("\0", 1, true) then
    errors.raise("decode", ("'%s' is no text: it has bytes 0"):format(path))
  end
  return bytes:sub(1, 3) == BOM and bytes:sub(4) or bytes
end

---The same as text: without a byte order mark, bad UTF-8 replaced by U+FFFD.
---@param self moonpipe.Loader
---@return fun(): string?
function base.pieces(self)
  local read, held, first, ended = base.bytes(self), "", true, false
  return function()
    if ended then return nil end
    local bytes = read()
    ended = bytes == nil
    if ended and held == "" then return nil end
    if first and bytes then bytes = check_start(bytes, self.path) end
    first = false
    local text
    text, held = c.utf8_repair(held .. (bytes or ""), not ended)
    return text
  end
end

local function whole(self, read)
  local parts, size = {}, 0
  for piece in read(self) do
    size = size + #piece
    if size > self.max_bytes then too_large(self, "the file") end
    parts[#parts + 1] = piece
  end
  return table.concat(parts)
end

---The text of the file. Raises `io`, `fds`, `input` (it would leave its root), `too_large`,
---`decode`.
---@async
---@param self moonpipe.Loader
---@return string
function base.text(self)
  return whole(self, base.pieces)
end

---The bytes of the file, as they are.
---@async
---@param self moonpipe.Loader
---@return string
function base.all_bytes(self)
  return whole(self, base.bytes)
end

---A function that gives the records of the file, and beside each how many bytes of text there were
---until its end: cut(buffer, at, ended) gives the next one and where the one behind it begins, nil
---where it needs more. Holds little more than one record.
---@param self moonpipe.Loader
---@param cut fun(buffer: string, at: integer, ended: boolean): any, integer?
---@return fun(): any, integer?
function base.records(self, cut)
  local read, buffer, at, ended, before = base.pieces(self), "", 1, false, 0
  return function()
    while true do
      local record, after = cut(buffer, at, ended)
      if record ~= nil then
        at = after
        return record, before + at - 1
      elseif ended then
        return nil
      end
      if #buffer - at + 1 > self.max_bytes then too_large(self, "a record of") end
      local piece = read()
      ended = piece == nil
      before = before + at - 1
      buffer, at = buffer:sub(at) .. (piece or ""), 1
    end
  end
end

-- The rest of a line that begins at [at] of [buffer] and does not end there; what follows it, and
-- where; and how many bytes were passed until there.
local function long_line(self, read, buffer, at)
  local parts, size, passed, stop = {}, 0, 0, nil
  while buffer do
    stop = buffer:find("\n", at, true)
    local part = buffer:sub(at, (stop or #buffer + 1) - 1)
    parts[#parts + 1], size = part, size + #part
    if size > self.max_bytes then too_large(self, "a line of") end
    if stop then break end
    passed, buffer, at = passed + #buffer, read(), 1
  end
  if not buffer and size == 0 then return nil end
  return table.concat(parts), buffer or "", stop and stop + 1 or 1, passed
end

---A function that gives the lines of the file, without their ends: the text, its number, and the
---bytes until its end.
---@param self moonpipe.Loader
---@return fun(): string?, integer?, integer?
function base.lines(self)
  local read, buffer, at, before, number = base.pieces(self), "", 1, 0, 0
  return function()
    local stop = buffer:find("\n", at, true)
    local text
    if stop then
      text, at = buffer:sub(at, stop - 1), stop + 1
      if #text > self.max_bytes then too_large(self, "a line of") end
    else
      local passed
      text, buffer, at, passed = long_line(self, read, buffer, at)
      if not text then
        buffer, at = "", 1
        return nil
      end
      before = before + passed
    end
    number = number + 1
    return text, number, before + at - 1
  end
end

return base
