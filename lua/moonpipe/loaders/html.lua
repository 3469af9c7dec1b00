--- Pages in HTML, read by libxml2 on the pool: the text that a reader sees.
local base = require "moonpipe.loaders.base"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local html = {}

---@class moonpipe.HTMLLoader: moonpipe.Loader
local HTML = {}

-- The lines behind the first, each once.
local function links_of(head)
  local links, seen = {}, {}
  for link in head:gsub("^[^\n]*\n", ""):gmatch("[^\n]+") do
    if not seen[link] then links[#links + 1] = link end
    seen[link] = true
  end
  return links
end

function HTML:documents()
  return base.once(function()
    local page = base.text(self)
    local text, head = scheduler.await(native.check(native.c.html(page)))
    head = head or "\n"
    local title = head:match("^[^\n]*"):gsub(" $", "")
    return base.document(self, text or "", { title = title ~= "" and title or nil,
      links = links_of(head) })
  end)
end

---`HTMLLoader("page.html")`: the text without scripts, styles and tags; metadata have the `title`
---and, each once, the `links` as they are written.
---@overload fun(path: string, opts: table?): moonpipe.HTMLLoader
html.HTMLLoader = base.class("HTMLLoader", HTML, {})

return html
