--- PDF, read by poppler's `pdftotext` as a program beside ours: what a hostile file does to a
--- parser stays there. It gets the bytes that we read, so it opens no file.
local Child = require "moonpipe.child"
local base = require "moonpipe.loaders.base"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local pdf = {}

---@class moonpipe.PDFLoader: moonpipe.Loader
---@field mode "page"|"single"
---@field program string
local PDF = {}

local function start(self, fields)
  local command = { self.program, "-q", "-enc", "UTF-8", "-eol", "unix", "-", "-" }
  return Child.start(command, { raw = true }, fields)
end

-- Why there is no text; [said] is what the program wrote last.
local function fail(self, ended, said)
  if ended.kind == "io" then
    errors.raise("unsupported", ("'%s' was not read: %s; PDF needs pdftotext, of poppler-utils")
      :format(self.path, ended.message))
  end
  errors.raise("decode", ("'%s' was not read by %s: %s"):format(self.path, self.program,
    said or ended.message))
end

-- Gives the program [bytes] and waits for what it makes of them.
local function convert(self, bytes)
  local task, parts, said = scheduler.current(), {}, nil
  local child = start(self, {
    on_line = function(_, piece) parts[#parts + 1] = piece end,
    on_error_line = function(_, line) said = line end,
    on_end = function() scheduler.unpark(task) end,
  })
  local ok, err = pcall(function()
    child:write(bytes, true)
    while not child.ended do scheduler.park() end
  end)
  if not ok and errors.is(err) and err.kind == "closed" then -- it took no input: see how it ended
    ok, err = pcall(function() while not child.ended do scheduler.park() end end)
  end
  if not ok then
    child:close()
    error(err, 0)
  end
  if not child.ended.message:find("(exit code 0)", 1, true) then fail(self, child.ended, said) end
  return (native.c.utf8_repair(table.concat(parts)))
end

-- A form feed ends each page.
local function pages_of(text)
  local pages = {}
  for page in text:gmatch("([^\f]*)\f") do pages[#pages + 1] = (page:gsub("%s+$", "")) end
  return pages
end

function PDF:documents()
  local pages, at
  return function()
    if not pages then
      pages, at = pages_of(convert(self, base.all_bytes(self))), 0
      if self.mode == "single" then
        at = 1
        return base.document(self, table.concat(pages, "\n\n"), { total_pages = #pages })
      end
    end
    at = at + 1
    if self.mode == "single" or not pages[at] then return nil end
    return base.document(self, pages[at], { page = at, total_pages = #pages })
  end
end

local function setup(self, opts, name)
  if opts.mode ~= nil and opts.mode ~= "page" and opts.mode ~= "single" then
    errors.usage(("mode of %s is %s; it must be \"page\" or \"single\""):format(name,
      errors.shape(opts.mode)))
  end
  base.check_type(opts.program, "string", "program", name)
  self.mode, self.program = opts.mode or "page", opts.program or "pdftotext"
end

---`PDFLoader("paper.pdf", { mode = "page", program = "pdftotext" })`: a document for each page,
---counted from 1 as `page`, or a single one. Scanned pages have no text. Needs poppler-utils.
---@overload fun(path: string, opts: table?): moonpipe.PDFLoader
pdf.PDFLoader = base.class("PDFLoader", PDF, { "mode", "program" }, setup)

return pdf
