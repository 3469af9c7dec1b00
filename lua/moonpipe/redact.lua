--- Texts without keys: what goes to a log, an error or a trace passes here.
--
-- An answer does not: what a model said is the program's, and what the program keeps of it
-- (a history, a cache) is what was said.
local c = require("moonpipe.native").c

local redact = {}

-- Keys of well-known shapes, for texts that hold one we were never given.
local SHAPES = {
  "%f[%w]sk%-[%w_%-]+", -- OpenAI, Anthropic, OpenRouter, …
  "%f[%w]gsk_%w+",      -- Groq
  "%f[%w]xai%-%w+",
  "%f[%w]AIza[%w_%-]+", -- Google
}
local SHAPE_FROM = 20

local function mask_shape(text)
  if #text < SHAPE_FROM then return nil end
  return text:match("^sk%-") and "sk-…" or "…"
end

---The text with every key in it masked: those that this program holds, and what
---looks like one.
---@param text string
---@return string
function redact.text(text)
  text = c.secret_redact(text)
  for _, shape in ipairs(SHAPES) do text = text:gsub(shape, mask_shape) end
  return text
end

return redact
