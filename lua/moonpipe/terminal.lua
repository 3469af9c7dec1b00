--- Text of others as a terminal may be given it: nothing in it moves the cursor, sets a title,
--- fills the clipboard or hides what was printed before.
local terminal = {}

-- Whole sequences go with all that they carry: ESC [ …, ESC ] … and their like, as ESC or as the
-- single control that means the same (U+0080 to U+009F).
local SEQUENCES = {
  "\27%[[0-?]*[ -/]*[@-~]", "\194\155[0-?]*[ -/]*[@-~]",
  "\27[%]PX^_][^\7\27\194]*\7", "\27[%]PX^_][^\27]*\27\\",
  "\194[\144\152\157\158\159][^\7\27\194]*\7", "\194[\144\152\157\158\159][^\194]*\194\156",
  "\27[ -/]+[0-~]", "\27[0-Z\\^-~]",
}

--- The text without control characters, but for ends of lines and tabs, and without the sequences
--- that they begin. Of a sequence that is cut in two by the ends of chunks, the harmless rest is
--- left as text.
---@param text string
---@return string
function terminal.printable(text)
  if type(text) ~= "string" then
    local errors = require "moonpipe.error"
    errors.usage("printable takes a text, got " .. errors.shape(text))
  end
  if not text:find("[%z\1-\8\11-\31\127\194]") then
    return text
  end
  for _, pattern in ipairs(SEQUENCES) do
    text = text:gsub(pattern, "")
  end
  return (text:gsub("[%z\1-\8\11-\31\127]", ""):gsub("\194[\128-\159]", ""))
end

--- The JSON with the controls escaped that JSON allows as they are, U+007F to U+009F: terminals
--- obey them.
---@param json string
---@return string
function terminal.json(json)
  return (json:gsub("\127", "\\u007f"):gsub("\194([\128-\159])", function(c)
    return ("\\u%04x"):format(c:byte())
  end))
end

---Whether a line on standard error can be drawn over.
---@return boolean
function terminal.redraws()
  return os.getenv "TERM" ~= "dumb" and require("moonpipe.native").c.isatty(2)
end

---Whether what is written to file descriptor [fd] may have colours: 1 is standard output, 2
---standard error. `--color` says always or never; else they are for terminals, where neither
---NO_COLOR (no-color.org) nor the config file is against them.
---@param fd integer
---@return boolean
function terminal.may_color(fd)
  local settings = require "moonpipe.settings"
  local said = settings.said "color"
  if said == "always" or said == "never" then return said == "always" end
  local refused = os.getenv "NO_COLOR"
  if refused and refused ~= "" or os.getenv "TERM" == "dumb" then return false end
  local ok, written = pcall(settings.written, "color") -- the file may be what is wrong
  if ok and written ~= nil and written ~= "auto" then return written == "always" end
  return require("moonpipe.native").c.isatty(fd)
end

local STYLES = { faint = "\27[2m", red = "\27[1;31m", bold = "\27[1m" }

---Gives a function that paints a text in a style: `faint`, `red`, `bold`; any other leaves it.
---@param colored boolean
---@return fun(style: string, text: string): string
function terminal.painter(colored)
  return function(style, text)
    if not colored or text == "" or not STYLES[style] then return text end
    return STYLES[style] .. text .. "\27[0m"
  end
end

return terminal
