--- Files of text, and of Markdown, as they are.
local base = require "moonpipe.loaders.base"

local text = {}

---@class moonpipe.TextLoader: moonpipe.Loader
local Text = {}

function Text:documents()
  return base.once(function() return base.document(self, base.text(self)) end)
end

---`TextLoader("notes.txt", { root =, max_bytes = })`: one document, the text of the file. Bad UTF-8
---becomes U+FFFD.
---@overload fun(path: string, opts: table?): moonpipe.TextLoader
text.TextLoader = base.class("TextLoader", Text, {})

---@class moonpipe.MarkdownLoader: moonpipe.Loader
local Markdown = {}

function Markdown:documents()
  return base.once(function()
    local content = base.text(self)
    local title = ("\n" .. content):match("\n#[ \t]+([^\r\n]-)[ \t#]*\r?%f[\n%z]")
    return base.document(self, content, { title = title })
  end)
end

---`MarkdownLoader("README.md")`: the same; its first header of the first level is the `title`.
---@overload fun(path: string, opts: table?): moonpipe.MarkdownLoader
text.MarkdownLoader = base.class("MarkdownLoader", Markdown, {})

return text
