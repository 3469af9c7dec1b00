--- What the user of the program has said for all of its calls: by an option, in the environment,
--- in a file. The first of these that says something counts.
local settings = {
  ---@type table<string, any>  by options of the command line
  flags = {},
  ---Gives what the file says; nil where no file is read, as in other programs.
  ---@type (async fun(): table<string, any>, string)?  and its path, where there is one
  file = nil,
}

local VARIABLES = {
  model = "MOONPIPE_MODEL", embeddings = "MOONPIPE_EMBEDDINGS", base_url = "MOONPIPE_BASE_URL",
  cassette_mode = "MOONPIPE_CASSETTE_MODE",
}

---What the environment says, and where.
---@param name string
---@return string? value
---@return string? from
function settings.variable(name)
  local variable = VARIABLES[name]
  local value = variable and os.getenv(variable)
  if value and value ~= "" then return value, variable end
end

---What is said by an option or in the environment, and where.
---@param name string
---@return any value
---@return string? from
function settings.said(name)
  local flag = settings.flags[name]
  if flag ~= nil then return flag, "--" .. name:gsub("_", "-") end
  return settings.variable(name)
end

---What the file says, and where.
---@async
---@param name string
---@return any value
---@return string? from
function settings.written(name)
  if not settings.file then return nil end
  local values, path = settings.file()
  local value = values[name]
  if value ~= nil then return value, ("%s in %s"):format(name, path) end
end

---What is said, else written.
---@async
---@param name string
---@return any value
---@return string? from
function settings.get(name)
  local value, from = settings.said(name)
  if value ~= nil then return value, from end
  return settings.written(name)
end

return settings
