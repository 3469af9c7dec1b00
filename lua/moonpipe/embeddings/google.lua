--- GoogleGenerativeAIEmbeddings: vectors from Gemini.
local embedding_api = require "moonpipe.embeddings.api"
local google = require "moonpipe.models.google"
local native = require "moonpipe.native"

local c, check = native.c, native.check

local embedding = {}

--- The model that is asked where a script names none.
embedding.DEFAULT_MODEL = "gemini-embedding-001"

-- Vectors of what is stored and of what is asked for differ, unless the script says
-- for what they are.
local function body(self, texts, is_query)
  local opts, requests = self.opts, {}
  local task = opts.task_type or (is_query and "RETRIEVAL_QUERY" or "RETRIEVAL_DOCUMENT")
  for i, text in ipairs(texts) do
    requests[i] = {
      model = "models/" .. self.model:gsub("^models/", ""),
      content = { parts = { { text = text } } },
      taskType = task,
      outputDimensionality = opts.dimensions,
    }
  end
  local members = { requests = requests }
  for name, value in pairs(opts.extra_body or {}) do members[name] = value end
  return check(c.json_encode(members))
end

---`GoogleGenerativeAIEmbeddings{ model =, dimensions =, task_type =, … }`. The key is that of
---GOOGLE_API_KEY or GEMINI_API_KEY, where none is given.
---@overload fun(opts: table?): moonpipe.ApiEmbeddings
embedding.GoogleGenerativeAIEmbeddings = embedding_api.define {
  spec = setmetatable({ class = "GoogleGenerativeAIEmbeddings" }, { __index = google.SPEC }),
  default_model = embedding.DEFAULT_MODEL,
  chunk_size = 100,
  chunk_max = 100, -- the provider's limit
  options = { task_type = "string" },
  path = function(model) return google.place(model) .. ":batchEmbedContents" end,
  body = body,
}

return embedding
