--- Vector stores, what keeps documents, and ingesting.
---@meta

---@class moonpipe
---@field FAISS mp.FAISSClass
---@field InMemoryVectorStore mp.FAISSClass  by the cosine
---@field PGVector mp.PGVectorClass
---@field QdrantVectorStore mp.QdrantVectorStoreClass
local mp = {}

---`{ year = { ["$gte"] = 2020 }, ["$or"] = { … } }`, or a function of a document.
---@alias mp.Filter table|fun(metadata: table, document: mp.Document): any

---@class mp.SearchOptions
---@field k integer?  4
---@field filter mp.Filter?
---@field score_threshold number?  the least similarity, from 0 to 1

---@class mp.MarginalOptions
---@field k integer?  4
---@field fetch_k integer?  how many of the nearest are looked at; 20
---@field lambda_mult number?  1: by nearness alone, 0: by difference alone; 0.5
---@field filter mp.Filter?

---@class mp.RetrieverOptions
---@field search_type "similarity"|"similarity_score_threshold"|"mmr"|nil
---@field search_kwargs mp.SearchOptions|mp.MarginalOptions|nil

---@class mp.AddOptions
---@field ids string[]?
---@field metadatas table[]?  of texts
---@field upsert boolean?  a document takes the place of the one that has its id

---@class mp.VectorStore
---@field embedding mp.Embeddings?
---@field distance_strategy "l2"|"cosine"|"inner_product"
local VectorStore = {}

---A step that gives the documents for a question.
---@param opts mp.RetrieverOptions?
---@return mp.VectorStoreRetriever
function VectorStore:as_retriever(opts) end

---@async
---@param texts string[]
---@param opts mp.AddOptions?
---@return string[] ids
function VectorStore:add_texts(texts, opts) end

---@async
---@param documents mp.Document[]
---@param opts mp.AddOptions?
---@return string[] ids
function VectorStore:add_documents(documents, opts) end

---@async
---@param texts string[]|mp.Document[]
---@param vectors mp.Floats|number[][]
---@param opts mp.AddOptions?
---@return string[] ids
function VectorStore:add_embeddings(texts, vectors, opts) end

---@async
---@param ids string[]
---@param opts { missing_ok: boolean? }?
function VectorStore:delete(ids, opts) end

---@async
---@param ids string[]
---@return mp.Document[]
function VectorStore:get_by_ids(ids) end

---The k nearest documents, nearest first, each with its similarity as `score`.
---@async
---@param query string
---@param opts mp.SearchOptions?
---@return mp.Document[]
function VectorStore:similarity_search(query, opts) end

---@async
---@param vector mp.Floats|number[]
---@param opts mp.SearchOptions?
---@return mp.Document[]
function VectorStore:similarity_search_by_vector(vector, opts) end

---Each as `{ document, similarity, measured }`.
---@async
---@param query string
---@param opts mp.SearchOptions?
---@return { [1]: mp.Document, [2]: number, [3]: number }[]
function VectorStore:similarity_search_with_score(query, opts) end

---Of the nearest those that are least like one another.
---@async
---@param query string
---@param opts mp.MarginalOptions?
---@return mp.Document[]
function VectorStore:max_marginal_relevance_search(query, opts) end

---@async
---@param vector mp.Floats|number[]
---@param opts mp.MarginalOptions?
---@return mp.Document[]
function VectorStore:max_marginal_relevance_search_by_vector(vector, opts) end

---How many documents there are.
---@async
---@return integer
function VectorStore:count() end

---@class mp.FAISS: mp.VectorStore
---@field index { kind: string }
local FAISS = {}

---All documents, in the order in which they were added.
---@async
---@return mp.Document[]
function FAISS:documents() end

---Adds all that is in another store, whose vectors are not made anew.
---@async
---@param other mp.FAISS
---@param opts { upsert: boolean? }?
---@return string[] ids
function FAISS:merge_from(other, opts) end

---Saves the store, with its documents, in one file.
---@async
---@param path string
function FAISS:save_local(path) end

---@class mp.FAISSOptions
---@field embedding mp.Embeddings?
---@field distance_strategy "l2"|"cosine"|"inner_product"|nil  "l2"
---@field index "flat"|"hnsw"|"ivf"|"sq"|table|nil  "flat", or `{ kind = "hnsw", m = 32 }`
---@field docstore mp.SQLiteDocstore?

---@class mp.FAISSTextsOptions: mp.FAISSOptions, mp.AddOptions

---@class mp.FAISSClass
---@overload fun(opts: mp.FAISSOptions|mp.Embeddings): mp.FAISS
local FAISSClass = {}

---@async
---@param texts string[]
---@param opts mp.FAISSTextsOptions
---@return mp.FAISS
function FAISSClass.from_texts(texts, opts) end

---@async
---@param documents mp.Document[]
---@param opts mp.FAISSTextsOptions
---@return mp.FAISS
function FAISSClass.from_documents(documents, opts) end

---@async
---@param texts string[]|mp.Document[]
---@param vectors mp.Floats|number[][]
---@param opts mp.FAISSTextsOptions
---@return mp.FAISS
function FAISSClass.from_embeddings(texts, vectors, opts) end

---The store in a file.
---@async
---@param path string
---@param opts mp.FAISSOptions?
---@return mp.FAISS
function FAISSClass.load_local(path, opts) end

---A store of the documents that a docstore has.
---@async
---@param docstore mp.SQLiteDocstore
---@param opts mp.FAISSOptions
---@return mp.FAISS
function FAISSClass.from_docstore(docstore, opts) end

---@class mp.PGVector: mp.VectorStore
---@field collection_name string
local PGVector = {}

---@async
function PGVector:delete_collection() end

function PGVector:close() end

---@class mp.PGVectorOptions
---@field connection string|mp.Secret|nil  "postgresql://user:password@host:5432/database"
---@field embedding mp.Embeddings?
---@field collection_name string?  "langchain"
---@field schema string?  where tables and functions are; "moonpipe"
---@field distance_strategy "cosine"|"l2"|"inner_product"|nil  "cosine"
---@field index "hnsw"|table|nil  needs pgvector
---@field pool_size integer?  connections at once; 8
---@field timeout number|{ connect: number?, total: number? }|nil  seconds; 5 and 600

---@class mp.PGVectorTextsOptions: mp.PGVectorOptions, mp.AddOptions

---@class mp.PGVectorClass
---@overload fun(opts: mp.PGVectorOptions): mp.PGVector
local PGVectorClass = {}

---@async
---@param texts string[]
---@param opts mp.PGVectorTextsOptions
---@return mp.PGVector
function PGVectorClass.from_texts(texts, opts) end

---@async
---@param documents mp.Document[]
---@param opts mp.PGVectorTextsOptions
---@return mp.PGVector
function PGVectorClass.from_documents(documents, opts) end

---@async
---@param texts string[]|mp.Document[]
---@param vectors mp.Floats|number[][]
---@param opts mp.PGVectorTextsOptions
---@return mp.PGVector
function PGVectorClass.from_embeddings(texts, vectors, opts) end

---@class mp.QdrantVectorStore: mp.VectorStore
---@field collection_name string
local QdrantVectorStore = {}

---@async
function QdrantVectorStore:delete_collection() end

---@class mp.QdrantOptions
---@field url string?  QDRANT_URL, or http://localhost:6333
---@field api_key string|mp.Secret|nil  QDRANT_API_KEY
---@field collection_name string?
---@field embedding mp.Embeddings?
---@field distance_strategy "cosine"|"l2"|"inner_product"|nil  "cosine"
---@field batch_size integer?  points of a request; 64
---@field timeout number|mp.TimeoutTimes|nil  seconds
---@field max_retries integer?  2
---@field rate_limiter mp.RateLimiter?
---@field proxy string?
---@field ca_file string?
---@field insecure boolean?
---@field allow_http boolean?
---@field ip "v4"|"v6"|nil
---@field default_headers table<string, string|mp.Secret>|nil
---@field default_query table<string, string>?

---@class mp.QdrantTextsOptions: mp.QdrantOptions, mp.AddOptions

---@class mp.QdrantVectorStoreClass
---@overload fun(opts: mp.QdrantOptions): mp.QdrantVectorStore
local QdrantVectorStoreClass = {}

---@async
---@param texts string[]
---@param opts mp.QdrantTextsOptions
---@return mp.QdrantVectorStore
function QdrantVectorStoreClass.from_texts(texts, opts) end

---@async
---@param documents mp.Document[]
---@param opts mp.QdrantTextsOptions
---@return mp.QdrantVectorStore
function QdrantVectorStoreClass.from_documents(documents, opts) end

---@async
---@param texts string[]|mp.Document[]
---@param vectors mp.Floats|number[][]
---@param opts mp.QdrantTextsOptions
---@return mp.QdrantVectorStore
function QdrantVectorStoreClass.from_embeddings(texts, vectors, opts) end
