--- OpenAIEmbeddings: vectors from OpenAI and from all servers that speak as it does.
--
-- Texts are sent as texts, never as token ids, which other servers refuse; vectors are
-- asked for in base64, and arrays are taken too.
local embedding_api = require "moonpipe.embeddings.api"
local native = require "moonpipe.native"
local openai = require "moonpipe.models.openai"

local c, check = native.c, native.check

local embedding = {}

--- The model that is asked where a script names none.
embedding.DEFAULT_MODEL = "text-embedding-3-small"

local function body(self, texts)
  local opts = self.opts
  local members = {
    model = self.model, dimensions = opts.dimensions, user = opts.user,
    encoding_format = "base64", input = texts,
  }
  for name, value in pairs(opts.extra_body or {}) do members[name] = value end
  return check(c.json_encode(members))
end

---`OpenAIEmbeddings{ model =, dimensions =, chunk_size =, base_url =, api_key =, … }`.
---@overload fun(opts: table?): moonpipe.ApiEmbeddings
embedding.OpenAIEmbeddings = embedding_api.define {
  spec = setmetatable({ class = "OpenAIEmbeddings" }, { __index = openai.SPEC }),
  default_model = embedding.DEFAULT_MODEL,
  chunk_size = 1000,
  chunk_max = 2048, -- OpenAI's limit
  options = { organization = "string", project = "string", user = "string" },
  headers = openai.headers,
  path = function() return "/embeddings" end,
  body = body,
}

return embedding
