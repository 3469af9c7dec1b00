--- Rerankers of providers and of servers of one's own.
--
-- Requests and answers: <https://docs.cohere.com/v2/reference/rerank>, <https://api.jina.ai/redoc>,
-- <https://docs.voyageai.com/reference/reranker-api>, llama.cpp's tools/server/README.md (which
-- does as Jina), <https://huggingface.github.io/text-embeddings-inference> (a bare list).
local reranker_api = require "moonpipe.compressors.reranker_api"

local MANY = 1000 -- Voyage's limit; Cohere takes 10,000

local function spec(fields)
  fields.key_header, fields.key_prefix = "Authorization", "Bearer "
  return fields
end

local reranker = {}

---`Reranker{ base_url =, model =, top_n =, api_key =, … }`: any server with `POST base_url/rerank`
---in the common form, such as llama-server, vLLM, LocalAI; without a URL that of RERANK_BASE_URL,
---else llama-server's. Gives the documents best first, with the server's `score`.
---@overload fun(opts: table?): moonpipe.ApiReranker
reranker.Reranker = reranker_api.define {
  spec = spec {
    class = "Reranker", name = "rerank", base_url = "http://127.0.0.1:8080/v1",
    base_env = { "RERANK_BASE_URL" }, key_env = "RERANK_API_KEY", key_optional = true,
  },
  chunk_size = MANY, path = "/rerank", texts = "documents", top_n = "top_n",
}

---`CohereRerank{ model =, top_n =, … }`; the key is that of COHERE_API_KEY or CO_API_KEY.
---@overload fun(opts: table?): moonpipe.ApiReranker
reranker.CohereRerank = reranker_api.define {
  spec = spec {
    class = "CohereRerank", name = "cohere", base_url = "https://api.cohere.com/v2",
    base_env = { "COHERE_BASE_URL" }, key_env = "COHERE_API_KEY", key_env_also = "CO_API_KEY",
  },
  default_model = "rerank-v4.0-fast",
  chunk_size = MANY, path = "/rerank", texts = "documents", top_n = "top_n",
}

---`JinaRerank{ model =, top_n =, api_key =, … }`; the key is that of JINA_API_KEY.
---@overload fun(opts: table?): moonpipe.ApiReranker
reranker.JinaRerank = reranker_api.define {
  spec = spec {
    class = "JinaRerank", name = "jina", base_url = "https://api.jina.ai/v1",
    base_env = { "JINA_BASE_URL" }, key_env = "JINA_API_KEY",
  },
  default_model = "jina-reranker-v3",
  chunk_size = MANY, path = "/rerank", texts = "documents", top_n = "top_n",
  members = { return_documents = false }, -- else they all come back
}

---`VoyageAIRerank{ model =, top_n =, api_key =, … }`; the key is that of VOYAGE_API_KEY.
---@overload fun(opts: table?): moonpipe.ApiReranker
reranker.VoyageAIRerank = reranker_api.define {
  spec = spec {
    class = "VoyageAIRerank", name = "voyageai", base_url = "https://api.voyageai.com/v1",
    base_env = { "VOYAGE_BASE_URL" }, key_env = "VOYAGE_API_KEY",
  },
  default_model = "rerank-2.5-lite",
  chunk_size = MANY, path = "/rerank", texts = "documents", top_n = "top_k",
}

---`TEIRerank{ base_url =, top_n =, … }`: Hugging Face's text-embeddings-inference, which takes 32
---texts at once unless told otherwise (`chunk_size`).
---@overload fun(opts: table?): moonpipe.ApiReranker
reranker.TEIRerank = reranker_api.define {
  spec = spec {
    class = "TEIRerank", name = "tei", base_url = "http://127.0.0.1:8080",
    base_env = { "TEI_BASE_URL" }, key_env = "TEI_API_KEY", key_optional = true,
  },
  chunk_size = 32, path = "/rerank", texts = "texts", members = { truncate = true },
}

return reranker
