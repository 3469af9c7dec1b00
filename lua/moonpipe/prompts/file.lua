--- Prompts out of files: a template's text, or a description in JSON as LangChain's load_prompt
--- reads it. What is in a file is data; nothing in it is run.
--
-- A file that a description names lies beside it or below, or below the root that was given.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local prompt_base = require "moonpipe.prompts.base"

local files = {}

local MAX = 1048576 -- bytes; a prompt is no longer

local function check_path(path, what)
  if type(path) ~= "string" or path == "" then
    errors.usage(("%s takes the path of a file, got %s"):format(what, errors.shape(path)))
  end
end

local function check_root(root, what)
  if root ~= nil and (type(root) ~= "string" or root == "") then
    errors.usage(("root of %s is %s; it must be the path of a folder"):format(what,
      errors.shape(root)))
  end
end

-- `shown` is how the caller writes the path.
local function read(path, root, shown)
  local text, message, kind = native.c.read_file(path, root, MAX)
  local why = shown and message and message:match("^cannot read '.*'(.-)$")
  return native.check(text, why and ("cannot read '%s'%s"):format(shown, why) or message, kind)
end

--- The text of a file, and the options besides `root`.
---@param path string
---@param opts table?
---@param what string
---@return string text
---@return table opts
function files.text_of(path, opts, what)
  local rest = prompt_base.merged(opts)
  local root = rest.root
  rest.root = nil
  check_path(path, what)
  check_root(root, what)
  return errors.placed(read, path, root), rest
end

-- Descriptions ------------------------------------------------------------------------------------

-- Where one lies: `folder` is that of the file, and no name in it leads out of `root`.
local function place_of(path, root)
  local folder, name = path:match("^(.*/)([^/]*)$")
  if root then
    return { root = root, folder = folder or "", path = path }
  end
  return { root = folder or ".", folder = "", path = name or path }
end

-- JSON's arrays as the lists that users write.
local function plain(value)
  if type(value) ~= "table" then
    return value
  end
  for _, member in pairs(value) do
    plain(member)
  end
  return setmetatable(value, nil)
end

local function decode(text, path)
  local ok, value = pcall(json.decode, text)
  if not ok then
    errors.raise("decode", ("%s: %s"):format(path, errors.is(value) and value.message or value))
  end
  return plain(value)
end

local function read_beside(name, place)
  if type(name) ~= "string" then
    errors.raise("input", ("%s: a path is a string, not %s"):format(place.path,
      errors.shape(name)))
  end
  return read(place.folder .. name, place.root)
end

-- The value of [key], or what stands in the file that `<key>_path` names.
local function take(fields, key, place)
  local value, path = fields[key], fields[key .. "_path"]
  fields[key], fields[key .. "_path"] = nil, nil
  if path == nil then
    return value
  elseif value ~= nil then
    errors.raise("input", ("%s: both %s and %s_path"):format(place.path, key, key))
  end
  return read_beside(path, place)
end

local make

local MAKERS = {}

function MAKERS.prompt(fields, place)
  local text = take(fields, "template", place)
  return require("moonpipe.prompts.text").PromptTemplate.from_template(text, fields)
end

local function example_prompt_of(fields, place)
  local text = fields.example_prompt_path and take(fields, "example_prompt", place)
  local value = text and decode(text, place.path) or fields.example_prompt
  if type(value) ~= "table" then
    errors.raise("input", ("%s: example_prompt is %s; it must describe a prompt"):format(place.path,
      errors.shape(value)))
  end
  return make(value, place)
end

function MAKERS.few_shot(fields, place)
  fields.prefix, fields.suffix = take(fields, "prefix", place), take(fields, "suffix", place)
  fields.example_prompt = example_prompt_of(fields, place)
  if type(fields.examples) == "string" then
    fields.examples = decode(read_beside(fields.examples, place), fields.examples)
  end
  return require("moonpipe.prompts.few_shot").FewShotPromptTemplate(fields)
end

function MAKERS.chat(fields)
  local list = fields.messages
  fields.messages = nil
  return require("moonpipe.prompts.prompt").ChatPromptTemplate.from_messages(list, fields)
end

-- Fields that LangChain writes and that mean nothing here.
local IDLE = { _type = true, validate_template = true }

local function fields_of(value, place)
  local fields = {}
  for key, member in pairs(value) do
    if member ~= json.null and not IDLE[key] then
      fields[key] = member
    end
  end
  if fields.output_parser ~= nil then
    errors.raise("unsupported", place.path .. ": a prompt here has no output_parser; put one behind"
      .. " it in the chain")
  end
  return fields
end

-- Says which file it was of.
local function naming(path, fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then
    return result
  elseif errors.is(result) then
    error(result, 0)
  end
  errors.raise("input", ("%s: %s"):format(path, (tostring(result):gsub("^[^:]*:%d+: ", ""))))
end

function make(value, place)
  local kind = value._type or "prompt"
  local maker = MAKERS[kind]
  if not maker then
    errors.raise("unsupported", ("%s: a prompt of the type %s is not known; use 'prompt',"
      .. " 'few_shot' or 'chat'"):format(place.path,
        type(kind) == "string" and "'" .. kind .. "'" or errors.shape(kind)))
  end
  return naming(place.path, maker, fields_of(value, place), place)
end

local function load(path, root)
  local place = place_of(path, root)
  local value = decode(read(place.path, place.root, path), path)
  if type(value) ~= "table" or value[1] ~= nil then
    errors.raise("input", ("%s: %s describes no prompt"):format(path, errors.shape(value)))
  end
  return make(value, place)
end

--- The prompt that a file in JSON describes: `{ "_type": "prompt", "template": "…" }`, `few_shot`,
--- or `{ "_type": "chat", "messages": [["human", "…"]] }`. Raises kinds `io`, `decode`, `input`.
---@param path string
---@param opts { root: string? }?  a folder that the path is relative to, and may not lead out of
---@return moonpipe.BasePromptTemplate
function files.load_prompt(path, opts)
  local root = errors.options(opts, { "root" }, "load_prompt").root
  check_path(path, "load_prompt")
  check_root(root, "load_prompt")
  if not path:find("%.json$") then
    errors.usage(("load_prompt reads files in JSON, and '%s' does not end in .json"):format(path))
  end
  return errors.placed(load, path, root)
end

return files
