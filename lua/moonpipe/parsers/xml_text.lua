--- Cuts XML that arrives in pieces into tags and texts.
--
-- What stands before the first tag (words, a code fence, a declaration) is skipped.
-- Nothing is looked at twice but the rest of a tag that is not there yet, and a tag
-- may not be long.
local xml = {}

local MAX_TAG = 8192 -- bytes
local ENTITIES = { lt = "<", gt = ">", amp = "&", quot = '"', apos = "'" }
local NAME = "[%a_:\128-\255][%w_:.\128-\255-]*"

local failure_mt = {}

---Raises what is wrong with the text.
function xml.fail(text)
  error(setmetatable({ text = text }, failure_mt), 0)
end

---@return boolean
function xml.is_failure(value)
  return getmetatable(value) == failure_mt
end

-- ---- texts -------------------------------------------------------------------------------

local function character(point)
  if not point or point > 0x10FFFF or point >= 0xD800 and point < 0xE000 or point == 0 then
    return nil
  end
  if point < 0x80 then return string.char(point) end
  local bytes = {}
  local most = 0x40
  repeat
    table.insert(bytes, 1, 0x80 + point % 0x40)
    point, most = math.floor(point / 0x40), most / 2
  until point < most
  table.insert(bytes, 1, 256 - 2 * most + point)
  return string.char(unpack(bytes))
end

-- What is no entity of XML stays as it is written.
local function expand(text)
  return (text:gsub("&(#?[xX]?%w+);", function(name)
    local digits = name:match("^#[xX](%x+)$")
    if digits then return character(tonumber(digits, 16)) end
    digits = name:match("^#(%d+)$")
    if digits then return character(tonumber(digits)) end
    return ENTITIES[name]
  end))
end

-- ---- tags --------------------------------------------------------------------------------

local function read_attributes(text, tag)
  local attributes, at = {}, 1
  while true do
    at = text:find("%S", at)
    if not at then return attributes end
    local name, quote, from = text:match("^(" .. NAME .. ")%s*=%s*([\"'])()", at)
    local stop = name and text:find(quote, from, true)
    if not stop then xml.fail(("the attributes of <%s> cannot be read"):format(tag)) end
    if attributes["@" .. name] then
      xml.fail(("<%s> has two attributes %s"):format(tag, name))
    end
    attributes["@" .. name] = expand(text:sub(from, stop - 1))
    at = stop + 1
  end
end

local function read_tag(text)
  local name = text:match("^</(" .. NAME .. ")%s*>$")
  if name then return { kind = "end", name = name } end
  local rest, slash
  name, rest, slash = text:match("^<(" .. NAME .. ")(.-)(/?)>$")
  if not name or rest ~= "" and not rest:find("^%s") then
    xml.fail(("%s is no tag"):format(#text > 40 and text:sub(1, 40) .. "…" or text))
  end
  return {
    kind = "begin", name = name, attributes = read_attributes(rest, name), closed = slash == "/",
  }
end

-- The end of the tag that begins at [at]: a > in a quoted value is none.
local function tag_end(text, at)
  local quote
  at = at + 1
  while true do
    local found = text:find(quote or "[>\"']", at, quote ~= nil)
    if not found then return nil end
    local char = text:sub(found, found)
    if char == ">" and not quote then return found end
    quote = not quote and char or nil
    at = found + 1
  end
end

-- ---- the scanner -------------------------------------------------------------------------

---@class moonpipe.XmlScanner
---@field rest string   that is not read yet
---@field inside boolean  behind the first tag
---@field until_ string?  in a comment, a section or an instruction: what ends it
local Scanner = {}
Scanner.__index = Scanner

---@return moonpipe.XmlScanner
function xml.scanner()
  return setmetatable({ rest = "", at = 1, inside = false }, Scanner)
end

---@param text string
function Scanner:add(text)
  self.rest = self.rest:sub(self.at) .. text
  self.at = 1
end

-- Text up to the next tag; of an entity that may go on, and of a word outside, nothing is kept.
local function take_text(self)
  local stop = self.rest:find("<", self.at, true)
  local last = stop and stop - 1 or #self.rest
  if not stop and self.inside then
    local ampersand = self.rest:match("()&[#%w]*$", math.max(self.at, last - 12))
    last = ampersand and ampersand - 1 or last
  end
  if last < self.at then return nil end
  local text = self.rest:sub(self.at, last)
  self.at = last + 1
  return text
end

local SPECIAL = {
  { "<!--", "-->" }, { "<![CDATA[", "]]>" }, { "<?", "?>" },
}

local DOCTYPE = "<!DOCTYPE"

-- Begins what is no tag. True while it is not known what this is.
local function begin_special(self)
  local rest = self.rest
  for _, one in ipairs(SPECIAL) do
    local head = rest:sub(self.at, self.at + #one[1] - 1)
    if head == one[1] then
      self.until_, self.at = one[2], self.at + #one[1]
      return false
    elseif one[1]:sub(1, #head) == head then
      return true
    end
  end
  local head = rest:sub(self.at, self.at + #DOCTYPE - 1)
  if head == DOCTYPE or self.inside and head:find("^<!") then
    xml.fail("declarations such as <!DOCTYPE are refused")
  end
  return DOCTYPE:sub(1, #head) == head
end

-- Inside of a comment or a section: text of the latter.
local function take_special(self)
  local ending, stop = self.until_, self.rest:find(self.until_, self.at, true)
  local last = stop and stop - 1 or math.max(0, #self.rest - #ending + 1)
  local text = self.rest:sub(self.at, last)
  self.at = math.max(self.at, last + 1)
  if stop then self.at, self.until_ = stop + #ending, nil end
  if ending == "]]>" and text ~= "" then return { kind = "text", text = text } end
  if not stop then return nil end
  return self:next()
end

-- Before the first tag a < may be anything.
local function is_tag(self)
  return self.inside or self.rest:find("^<" .. NAME, self.at) ~= nil
end

---The next tag or piece of text; nil where more is needed.
---@return { kind: "begin"|"end"|"text", name: string?, text: string? }?
function Scanner:next()
  while self.at <= #self.rest do
    if self.until_ then return take_special(self) end
    if self.rest:byte(self.at) ~= 60 then
      local text = take_text(self)
      if not text then return nil end
      if self.inside then return { kind = "text", text = expand(text) } end
    elseif self.at == #self.rest or begin_special(self) then
      return nil
    elseif not self.until_ then
      if is_tag(self) then return self:take_tag() end
      self.at = self.at + 1
    end
  end
end

function Scanner:take_tag()
  local stop = tag_end(self.rest, self.at)
  if (stop or #self.rest) - self.at >= MAX_TAG then
    xml.fail(("a tag is longer than %d bytes"):format(MAX_TAG))
  end
  if not stop then return nil end
  local token = read_tag(self.rest:sub(self.at, stop))
  self.at, self.inside = stop + 1, true
  return token
end

return xml
