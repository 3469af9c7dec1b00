--- Debian's nginx with its Lua module, unpacked and not installed, as a server of the tests.
local helper = require "spec.helper"

local nginx = {}

local function shell(command)
  assert(os.execute(command) == 0, command)
end

local function here()
  local pipe = assert(io.popen "pwd")
  local path = pipe:read()
  pipe:close()
  return path
end

-- What the example's file names of a machine becomes that of the test.
local function adapted(conf, root, socket, modules)
  local head = {}
  for _, name in ipairs { "ndk_http_module", "ngx_http_lua_module" } do
    head[#head + 1] = ("load_module %s/usr/lib/nginx/modules/%s.so;\n"):format(root, name)
  end
  local temps = {}
  for _, name in ipairs { "client_body", "proxy", "fastcgi", "uwsgi", "scgi" } do
    temps[#temps + 1] = name .. "_temp_path temp;"
  end
  return table.concat(head) .. conf:gsub("http {", "%0" .. table.concat(temps, " "))
    :gsub("127%.0%.0%.1:8080", "unix:" .. socket)
    :gsub('lua_package_path "', '%0' .. root .. "/usr/share/lua/5.1/?.lua;")
    :gsub('lua_package_cpath "', '%0' .. modules .. ";")
end

---@class moonpipe.spec.Nginx
---@field folder string
---@field socket string
---@field log string  path of what it said
local methods = {}
methods.__index = methods

--- Starts it with the folder of an example; gives it when it answers.
---@param folder string
---@param env table<string, string>
---@return moonpipe.spec.Nginx
function nginx.start(folder, env)
  local root = here() .. "/build/openresty"
  shell("scripts/tools/openresty " .. root .. " 2>/dev/null")
  local self = setmetatable({ folder = helper.fresh(), log = helper.temp() }, methods)
  self.socket = self.folder .. "/socket"
  shell(("cp -r %s %s && mkdir -p %s/logs"):format(folder, self.folder, self.folder))
  local modules = (helper.bin:match("^/") and "" or here() .. "/") .. helper.bin:gsub("[^/]*$", "")
  helper.write(self.folder .. "/nginx.conf", adapted(helper.read(folder .. "/nginx.conf"), root,
    self.socket, modules .. "module/?.so"))
  local words = { "LD_LIBRARY_PATH=" .. root .. "/usr/lib/x86_64-linux-gnu" }
  for name, value in pairs(env) do words[#words + 1] = ("%s='%s'"):format(name, value) end
  shell(("env %s %s/usr/sbin/nginx -p %s -c nginx.conf >%s 2>&1 & echo $! >%s/started"):format(
    table.concat(words, " "), root, self.folder, self.log, self.folder))
  shell(("for i in $(seq 100); do [ -S %s ] && exit 0; sleep 0.05; done; cat %s; exit 1"):format(
    self.socket, self.log))
  return self
end

--- What curl gets of a path.
---@param path string
---@param ... string  options of curl's
---@return string stdout, string stderr, integer code
function methods:get(path, ...)
  return helper.execute { "curl", "-sS", "--unix-socket", self.socket, "http://localhost" .. path,
    ... }
end

--- Ends it.
function methods:stop()
  local pid = helper.read(self.folder .. "/started"):match("%d+")
  os.execute(("kill %s; for i in $(seq 200); do kill -0 %s 2>/dev/null || break; sleep 0.05; done")
    :format(pid, pid))
  os.execute("rm -rf " .. self.folder)
end

return nginx
