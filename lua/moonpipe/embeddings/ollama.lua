--- OllamaEmbeddings: vectors of models on one's own machine.
local embedding_api = require "moonpipe.embeddings.api"
local native = require "moonpipe.native"
local ollama = require "moonpipe.models.ollama"

local c, check = native.c, native.check

local embedding = {}

--- The model that is asked where a script names none.
embedding.DEFAULT_MODEL = "nomic-embed-text"

local function body(self, texts)
  local opts = self.opts
  local members = {
    model = self.model, dimensions = opts.dimensions, keep_alive = opts.keep_alive,
    truncate = opts.truncate, options = opts.num_ctx and { num_ctx = opts.num_ctx },
    input = texts,
  }
  for name, value in pairs(opts.extra_body or {}) do members[name] = value end
  return check(c.json_encode(members))
end

---`OllamaEmbeddings{ model =, num_ctx =, truncate =, base_url =, … }`. The server is that of
---OLLAMA_HOST, else the one on this machine.
---@overload fun(opts: table?): moonpipe.ApiEmbeddings
embedding.OllamaEmbeddings = embedding_api.define {
  spec = setmetatable({ class = "OllamaEmbeddings" }, { __index = ollama.SPEC }),
  default_model = embedding.DEFAULT_MODEL,
  chunk_size = 256,
  chunk_max = 2048,
  options = { keep_alive = "string", num_ctx = "number", truncate = "boolean" },
  path = function() return "/api/embed" end,
  body = body,
}

return embedding
