--- Cuts Markdown at its headers; each piece knows under which ones it stands.
local base = require "moonpipe.splitters.base"
local cut = require "moonpipe.splitters.cut"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"

local markdown = {}

local DEFAULT = { { "#", "Header 1" }, { "##", "Header 2" }, { "###", "Header 3" },
  { "####", "Header 4" } }

---@class moonpipe.MarkdownHeaderTextSplitter: moonpipe.TextSplitter
---@field headers_to_split_on string[][]  pairs of the mark and the key in the metadata
---@field strip_headers boolean
local Header = {}
local HEADER = base.metatable("MarkdownHeaderTextSplitter", Header)

-- The mark that a line opens or closes a block of code with.
local function fence_of(line)
  return line:match("^ ? ? ?(```+)[^`]*$") or line:match("^ ? ? ?(~~~+)")
end

local function closes(line, open)
  local mark = line:match("^ ? ? ?([`~]+)%s*$")
  return mark and mark:sub(1, 1) == open:sub(1, 1) and #mark >= #open
    and mark == mark:sub(1, 1):rep(#mark)
end

-- The level and the words of a header that a section begins with.
local function header_of(self, line)
  local mark, text = line:match("^ ? ? ?(#+)[ \t]+(.-)%s*$")
  if not mark then
    mark, text = line:match("^ ? ? ?(#+)%s*$"), ""
  end
  local name = mark and self.names[mark]
  if not name then return nil end
  text = text:gsub("^#+$", ""):gsub("[ \t]+#+$", "")
  return #mark, name, text
end

-- Calls fn(line, first, last, after) for each line; [after] is where the next one begins.
local function each_line(text, fn)
  local at = 1
  while at <= #text do
    local stop = text:find("\n", at, true)
    fn((text:sub(at, (stop or #text + 1) - 1):gsub("\r$", "")), at, (stop or #text) + 1)
    at = (stop or #text) + 1
  end
end

-- The headers above, without those that the new one ends.
local function below(above, level, name, text)
  local list = {}
  for _, header in ipairs(above) do
    if header.level < level then list[#list + 1] = header end
  end
  list[#list + 1] = { level = level, name = name, text = text }
  return list
end

local function metadata_of(headers)
  local metadata = {}
  for _, header in ipairs(headers) do metadata[header.name] = header.text end
  return metadata
end

function Header:spans(text, take)
  local headers, from, open = {}, 1, nil
  local function flush(upto)
    local first, last = cut.strip(text, from, upto)
    if first then take(first, last, metadata_of(headers)) end
  end
  each_line(text, function(line, at, after)
    if open then
      if closes(line, open) then open = nil end
      return
    end
    open = fence_of(line)
    local level, name, words = header_of(self, line)
    if not level then return end
    flush(at - 1)
    headers = below(headers, level, name, words)
    from = self.strip_headers and after or at
  end)
  flush(#text)
end

---The pieces of a text as documents, with the headers above them as metadata.
---@param text string
---@return moonpipe.Document[]
function Header:split_text(text)
  if type(text) ~= "string" then
    errors.usage("split_text takes a string, got " .. errors.shape(text))
  end
  local out = {}
  base.documents_of(self, text, nil, out)
  return out
end

local function check_header(pair, i)
  local mark = type(pair) == "table" and not document.is(pair) and pair[1]
  if type(mark) ~= "string" or not mark:find("^#+$") or type(pair[2]) ~= "string" then
    errors.usage(("header %d of MarkdownHeaderTextSplitter is %s; it must be a pair such as"
      .. " { \"##\", \"Header 2\" }"):format(i, errors.shape(pair)))
  end
end

local OPTIONS = { "add_start_index", "headers_to_split_on", "strip_headers" }

---`MarkdownHeaderTextSplitter{ headers_to_split_on = { { "#", "Header 1" }, … }, strip_headers =
---true, add_start_index = }`: cuts where one of the headers stands, not in blocks of code. The
---pieces are documents, their metadata the headers above them. Sections may be long: give the
---documents to another splitter.
---@overload fun(opts: table?): moonpipe.MarkdownHeaderTextSplitter
markdown.MarkdownHeaderTextSplitter = base.class("MarkdownHeaderTextSplitter", function(_, opts)
  opts = errors.options(opts, OPTIONS, "MarkdownHeaderTextSplitter")
  local headers, names = opts.headers_to_split_on or DEFAULT, {}
  errors.list(headers, "headers_to_split_on of MarkdownHeaderTextSplitter")
  for i, pair in ipairs(headers) do
    check_header(pair, i)
    names[pair[1]] = pair[2]
  end
  return setmetatable({
    headers_to_split_on = headers,
    names = names,
    strip_headers = opts.strip_headers ~= false,
    add_start_index = opts.add_start_index == true,
  }, HEADER)
end)

return markdown
