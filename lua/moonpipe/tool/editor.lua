--- What tells lua-language-server of the language: the settings of a project.
local editor = {}

-- Beside the program as it is installed, and as it is built.
local FOLDERS = { "/../share/moonpipe/meta", "/../lua/moonpipe/meta/mp" }

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The folder of the running program, without links.
local function own_folder()
  local pipe = io.popen "readlink -f /proc/$PPID/exe"
  local path = pipe and pipe:read()
  if pipe then pipe:close() end
  return path and path:match("^(.*)/[^/]*$")
end

local function shortened(path)
  return (path:gsub("/[^/]+/%.%./", "/", 1))
end

---The folder with the definitions for editors; nil where they are not installed.
---@return string?
function editor.definitions()
  local own = own_folder()
  for _, folder in ipairs(own and FOLDERS or {}) do
    local path = shortened(own .. folder)
    if exists(path .. "/moonpipe.lua") then return path end
  end
end

---The text of a `.luarc.json`. It takes no setting for `|`: the server reads it in any version
---of Lua, and knows what it gives by `@operator bor`.
---@return string
function editor.settings()
  local json = require "moonpipe.json"
  local folder = editor.definitions()
  return json.encode({
    ["runtime.version"] = "LuaJIT",
    ["workspace.checkThirdParty"] = false,
    ["workspace.library"] = json.array(folder and { folder } or {}),
  }, { indent = 2 }) .. "\n"
end

return editor
