--- The file of a cassette: a line of JSON for each exchange, behind one that names the format.
--
--     {"moonpipe_cassette":1}
--     {"request":{"body":{…},"method":"POST","url":"https://…"},"response":{…}}
--
-- An exchange has what came of its request:
--   response   { status, headers, body } or, of a stream, { status, headers, stream = pieces }
--   failure    { kind, message } of the transport: no answer came, or its stream broke there
--   cancelled  true where the caller ended the call
--   times      seconds until the head, then before each piece; only if they were asked for
-- Members that are not known are left alone. What is secret never gets here: of a request's
-- headers none is kept, of an answer's those below, and texts are cleaned by `clean`.
local cassette_stream = require "moonpipe.cassettes.stream"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local redact = require "moonpipe.redact"

local file = {}

local FORMAT = 1
local NO_SUCH_FILE = 2 -- errno

-- ---- reading -------------------------------------------------------------------------

local function refuse(path, number, problem)
  errors.raise("decode", ("line %d of the cassette '%s': %s"):format(number, path, problem))
end

local function decode(path, number, line)
  local ok, value = pcall(json.decode, line)
  if not ok then refuse(path, number, value.message) end
  if type(value) ~= "table" then refuse(path, number, "it is no object") end
  return value
end

local function check_format(path, number, line)
  local format = decode(path, number, line).moonpipe_cassette
  if format == nil then refuse(path, number, "this is no cassette: it must name its format") end
  if format ~= FORMAT then
    errors.raise("unsupported", ("the cassette '%s' has format %s; this program reads %d"):format(
      path, errors.text(format), FORMAT))
  end
end

local function is_text(value)
  return type(value) == "string" or type(value) == "table" and type(value.bytes) == "string"
end

local function are_texts(list)
  if type(list) ~= "table" then return false end
  for _, piece in ipairs(list) do
    if not is_text(piece) then return false end
  end
  return true
end

-- What is wrong with an exchange, nil where nothing is.
local function problem_of(exchange)
  local request, response, failure = exchange.request, exchange.response, exchange.failure
  if type(request) ~= "table" or type(request.url) ~= "string" then
    return "it has no request.url"
  elseif response ~= nil then
    if type(response) ~= "table" or type(response.status) ~= "number" then
      return "it has no response.status"
    end
    if response.stream ~= nil and not are_texts(response.stream)
      or response.body ~= nil and not is_text(response.body) then
      return "response.stream is a list of texts, response.body a text"
    end
  end
  if failure ~= nil and (type(failure) ~= "table" or not errors.KINDS[failure.kind]) then
    return "failure.kind is no kind of an error"
  end
  if not (response or failure or exchange.cancelled) then return "it says nothing of an answer" end
end

local function read_line(path, number, line, list)
  if not line:find("%S") then return end
  if not list.format then
    list.format = true
    return check_format(path, number, line)
  end
  local exchange = decode(path, number, line)
  local problem = problem_of(exchange)
  if problem then refuse(path, number, problem) end
  exchange.line = number
  list[#list + 1] = exchange
end

---The exchanges of a file, nil where there is none. Raises kind `io`, or `decode` with the
---line that is wrong.
---@param path string
---@return table[]?
function file.read(path)
  local handle, problem, code = io.open(path, "rb")
  if not handle and code == NO_SUCH_FILE then return nil end
  local text = handle and handle:read("*a")
  if handle then handle:close() end
  if not text then
    errors.raise("io", ("cannot read the cassette '%s': %s"):format(path,
      problem or "it is no file"))
  end
  local list, number = {}, 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    read_line(path, number, line, list)
  end
  if not list.format then refuse(path, 1, "the file is empty") end
  list.format = nil
  return list
end

-- ---- writing -------------------------------------------------------------------------

local function line_of(exchange)
  local line = {}
  for name, value in pairs(exchange) do line[name] = value end
  line.line = nil -- it may be another one now
  return json.encode(line)
end

---Writes a file of exchanges in place of the old one, which is there whole until then.
---Raises kind `io`.
---@param path string
---@param exchanges table[]
function file.write(path, exchanges)
  local lines = { json.encode({ moonpipe_cassette = FORMAT }) }
  for i, exchange in ipairs(exchanges) do lines[i + 1] = line_of(exchange) end
  local ok, problem, kind = native.c.write_file(path, table.concat(lines, "\n") .. "\n")
  if not ok then
    errors.raise(kind, ("cannot write the cassette '%s': %s"):format(path, problem))
  end
end

-- ---- what is kept --------------------------------------------------------------------

-- Headers of answers that our code reads, or people ask for: patterns.
local KEPT = {
  "^content%-type$", "^retry%-after", "^x%-should%-retry$", "^x%-ratelimit%-",
  "^anthropic%-ratelimit%-", "^x%-request%-id$", "^request%-id$", "^x%-generation%-id$",
  "^openai%-processing%-ms$", "^openai%-version$",
}

local function is_kept(name)
  for _, pattern in ipairs(KEPT) do
    if name:find(pattern) then return true end
  end
  return false
end

---The headers of an answer that go on a cassette. Of two with one name the first counts.
---@param head string          the status and `name: value` lines
---@param clean fun(text: string): string
---@return table<string, string>
function file.headers(head, clean)
  local headers = {}
  for name, value in head:gmatch("\n([^:\n]+): ([^\n]*)") do
    if name == "location" then
      headers[name] = clean(value:gsub("[?#].*$", ""):gsub("//[^/]*@", "//"))
    elseif is_kept(name) then
      headers[name] = headers[name] or clean(value)
    end
  end
  -- without it a date to come again at would say nothing
  if (headers["retry-after"] or ""):find("%a") then
    headers.date = head:match("\ndate: ([^\n]*)")
  end
  return headers
end

---What texts go through before they are kept or compared: keys are masked, then the user's
---own function is asked.
---@param own (fun(text: string): string)?
---@return fun(text: string): string
function file.cleaner(own)
  return function(text)
    text = redact.text(text)
    if not own then return text end
    local cleaned = own(text)
    if type(cleaned) == "string" then return cleaned end
    errors.raise("config", "redact of a cassette must return a text, got " .. errors.shape(cleaned))
  end
end

---Pieces of a stream as they are kept. A key may lie across two of them: where there is one,
---they become one piece.
---@param pieces string[]
---@param clean fun(text: string): string
---@return table
function file.pieces(pieces, clean)
  local whole, list = table.concat(pieces), json.array {}
  local cleaned = clean(whole)
  for i, piece in ipairs(cleaned == whole and pieces or { cleaned }) do
    list[i] = cassette_stream.text_of(piece)
  end
  return list
end

return file
