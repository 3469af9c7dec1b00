--- The files of a folder, each by the loader for its kind.
local base = require "moonpipe.loaders.base"
local errors = require "moonpipe.error"
local glob = require "moonpipe.loaders.glob"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local directory = {}

-- Endings, and who reads such files; all others are text.
local KINDS = {
  csv = { "csv", "CSVLoader" },
  htm = { "html", "HTMLLoader" },
  html = { "html", "HTMLLoader" },
  json = { "json", "JSONLoader", { text_content = false } },
  jsonl = { "json", "JSONLinesLoader", { text_content = false } },
  markdown = { "text", "MarkdownLoader" },
  md = { "text", "MarkdownLoader" },
  ndjson = { "json", "JSONLinesLoader", { text_content = false } },
  pdf = { "pdf", "PDFLoader" },
}

---@class moonpipe.DirectoryLoader: moonpipe.Loader
---@field errors { source: string, error: moonpipe.Error }[]  of the last reading, if collected
local Directory = {}

-- Folders -----------------------------------------------------------------------------------------

-- What is in a folder below ours, sorted by name.
local function entries(self, folder)
  local path = folder == "" and "." or folder
  local id
  if self.root then
    path = folder == "" and self.path or self.path .. "/" .. folder
    id = native.check(native.c.folder(path, self.root))
  elseif folder == "" then
    id = native.check(native.c.folder(self.path))
  else
    id = native.check(native.c.folder(path, self.path))
  end
  local list = {}
  for kind, name in (scheduler.await(id) or ""):gmatch("(.)(%Z+)%z") do
    list[#list + 1] = { kind = kind, path = folder == "" and name or folder .. "/" .. name,
      hidden = name:sub(1, 1) == "." }
  end
  table.sort(list, function(a, b) return a.path < b.path end)
  return list
end

-- Calls fn; what it raises is noted where errors are collected, unless a cancel ends it all.
local function guarded(self, path, fn, ...)
  if not self.collects then return fn(...) end
  local ok, value = pcall(fn, ...)
  if ok then return value end
  if errors.is(value) and value.kind == "cancelled" then error(value, 0) end
  self.errors[#self.errors + 1] = { source = path, error = errors.wrap(value) }
end

local function is_wanted(self, entry)
  if entry.hidden and not self.load_hidden then return false end
  return not (self.excludes and self.excludes(entry.path))
end

-- A function that gives the path of the next file. Symbolic links are not followed.
local function walk(self)
  local stack = { { list = entries(self, ""), at = 0 } }
  return function()
    while #stack > 0 do
      local top = stack[#stack]
      top.at = top.at + 1
      local entry = top.list[top.at]
      if not entry then
        stack[#stack] = nil
      elseif is_wanted(self, entry) then
        if entry.kind == "f" and self.matches(entry.path) then return entry.path end
        if entry.kind == "d" and self.recursive then
          local list = guarded(self, entry.path, entries, self, entry.path)
          stack[#stack + 1] = list and { list = list, at = 0 }
        end
      end
    end
  end
end

-- Files -------------------------------------------------------------------------------------------

local function merged(...)
  local out = {}
  for _, t in ipairs { ... } do
    for key, value in pairs(t) do out[key] = value end
  end
  return out
end

local function loader_for(self, path, opts)
  local ending = (path:match("%.([^./]+)$") or ""):lower()
  local given = self.loaders and self.loaders[ending] or self.loader_cls
  local more = self.loader_kwargs or {}
  if given then return given(path, merged(opts, more)) end
  local kind = KINDS[ending] or { "text", "TextLoader" }
  return require("moonpipe.loaders." .. kind[1])[kind[2]](path, merged(opts, kind[3] or {}, more))
end

--- The loader for the kind of a file.
---@param path string
---@param opts table?
---@return moonpipe.Loader
function directory.loader(path, opts)
  return loader_for({}, path, opts or {})
end

-- A function that gives the documents of one file.
local function open(self, file)
  local source = self.path .. "/" .. file
  local path, root = file, self.path
  if self.root then path, root = source, self.root end
  local loader = loader_for(self, path, { root = root, max_bytes = self.max_bytes })
  if type(loader) ~= "table" or type(loader.lazy_load) ~= "function" then
    errors.raise("input", ("the loader for '%s' is %s; it must have lazy_load"):format(source,
      errors.shape(loader)))
  end
  loader.source = source
  return loader:lazy_load()
end

function Directory:documents()
  self.errors = {}
  local next_file, file, next_doc
  return function()
    next_file = next_file or walk(self)
    while true do
      local doc = next_doc and guarded(self, file, next_doc)
      if doc then return doc end
      file = next_file()
      if not file then return nil end
      next_doc = guarded(self, file, open, self, file)
    end
  end
end

-- Options -----------------------------------------------------------------------------------------

local function is_callable(value)
  local mt = getmetatable(value)
  return type(value) == "function" or type(mt) == "table" and mt.__call ~= nil
end

local function check_loaders(opts, name)
  if opts.loader_cls ~= nil and not is_callable(opts.loader_cls) then
    errors.usage(("loader_cls of %s is %s; it must be a loader such as mp.TextLoader"):format(name,
      errors.shape(opts.loader_cls)))
  end
  base.check_type(opts.loaders, "table", "loaders", name)
  for ending, loader in pairs(opts.loaders or {}) do
    if type(ending) ~= "string" or not is_callable(loader) then
      errors.usage(("loaders of %s has %s for '%s'; it must be a loader such as mp.TextLoader")
        :format(name, errors.shape(loader), errors.text(ending)))
    end
  end
end

local function setup(self, opts, name)
  check_loaders(opts, name)
  for key, kind in pairs { load_hidden = "boolean", loader_kwargs = "table",
    recursive = "boolean" } do
    base.check_type(opts[key], kind, key, name)
  end
  if opts.on_error ~= nil and opts.on_error ~= "raise" and opts.on_error ~= "collect" then
    errors.usage(("on_error of %s is %s; it must be \"raise\" or \"collect\""):format(name,
      errors.shape(opts.on_error)))
  end
  self.matches = glob.matcher(opts.glob or "**/*", "glob of " .. name)
  self.excludes = opts.exclude and glob.matcher(opts.exclude, "exclude of " .. name)
  self.recursive, self.load_hidden = opts.recursive ~= false, opts.load_hidden == true
  self.collects, self.errors = opts.on_error == "collect", {}
  self.loader_cls, self.loaders = opts.loader_cls, opts.loaders
  self.loader_kwargs = opts.loader_kwargs
  self.path = self.path:gsub("(.)/+$", "%1")
end

---`DirectoryLoader("docs", { glob = "**/*.md", exclude = { "drafts" }, recursive = true,
---load_hidden = false, on_error = "raise", loader_cls =, loaders = { txt = mp.TextLoader },
---loader_kwargs = })`: the documents of the files, in the order of their names. Links are not
---followed. With `on_error = "collect"` files that cannot be read are left out, and listed in
---`loader.errors`.
---@overload fun(path: string, opts: table?): moonpipe.DirectoryLoader
directory.DirectoryLoader = base.class("DirectoryLoader", Directory, { "exclude", "glob",
  "load_hidden", "loader_cls", "loader_kwargs", "loaders", "on_error", "recursive" }, setup)

return directory
