--- `require` that understands `|` in a guest's own modules.
local errors = require "moonpipe.error"
local loader = require "moonpipe.loader"

local guest = {}

local owned = {}

local function search_owned(name)
  for prefix in pairs(owned) do
    if name == prefix or name:sub(1, #prefix + 1) == prefix .. "." then
      return loader.search_file(name)
    end
  end
end

---Makes LuaJIT's own `require` understand `|` in modules that one owns: each
---name, and all that begins with it and a dot. While such a module loads, a
---chain cannot yield through LuaJIT's require; it runs the loop instead.
---@param prefixes string[]
function guest.install_loader(prefixes)
  if type(prefixes) ~= "table" or #prefixes == 0 then
    errors.usage("install_loader takes a list of module names, got " .. errors.shape(prefixes))
  end
  for _, prefix in ipairs(prefixes) do
    if type(prefix) ~= "string" then
      errors.usage("install_loader takes a list of module names; one is " .. errors.shape(prefix))
    end
  end
  if not next(owned) then table.insert(package.loaders, 2, search_owned) end
  for _, prefix in ipairs(prefixes) do owned[prefix] = true end
end

return guest
