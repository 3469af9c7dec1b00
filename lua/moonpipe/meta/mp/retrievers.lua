--- Retrievers, and what makes less of what they find.
---@meta

---@class moonpipe
---@field BM25Retriever mp.BM25RetrieverClass
---@field MultiQueryRetriever mp.MultiQueryRetrieverClass
---@field SelfQueryRetriever mp.SelfQueryRetrieverClass
local mp = {}

---@class mp.BaseRetriever: mp.Runnable
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local BaseRetriever = {}

---The documents for a question.
---@async
---@param query string
---@param config mp.Config?
---@return mp.Document[]
function BaseRetriever:invoke(query, config) end

---@class mp.VectorStoreRetriever: mp.BaseRetriever
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
---@field vectorstore mp.VectorStore
local VectorStoreRetriever = {}

---@class mp.BM25Retriever: mp.BaseRetriever
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local BM25Retriever = {}

---@async
---@param texts string[]
---@param opts mp.AddOptions?
---@return string[] ids
function BM25Retriever:add_texts(texts, opts) end

---@async
---@param documents mp.Document[]
---@param opts mp.AddOptions?
---@return string[] ids
function BM25Retriever:add_documents(documents, opts) end

---@async
---@param ids string[]
---@param opts { missing_ok: boolean? }?
function BM25Retriever:delete(ids, opts) end

---@param ids string[]
---@return mp.Document[]
function BM25Retriever:get_by_ids(ids) end

---@class mp.BM25Options
---@field k integer?  4
---@field k1 number?  1.2
---@field b number?  0.75
---@field filter mp.Filter?
---@field preprocess (fun(text: string): string[])?  the terms of a text; its words in lower case

---@class mp.BM25TextsOptions: mp.BM25Options, mp.AddOptions

---Ranks by shared words.
---@class mp.BM25RetrieverClass
---@overload fun(opts: mp.BM25Options?): mp.BM25Retriever
local BM25RetrieverClass = {}

---@async
---@param texts string[]
---@param opts mp.BM25TextsOptions?
---@return mp.BM25Retriever
function BM25RetrieverClass.from_texts(texts, opts) end

---@async
---@param documents mp.Document[]
---@param opts mp.BM25TextsOptions?
---@return mp.BM25Retriever
function BM25RetrieverClass.from_documents(documents, opts) end

---@class mp.EnsembleRetriever: mp.BaseRetriever
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local EnsembleRetriever = {}

---@class mp.EnsembleOptions
---@field retrievers any[]
---@field weights number[]?  all the same
---@field c number?  60
---@field id_key string?  documents are the same that have the same value there; default: the text

---Asks retrievers at once and fuses their lists by rank.
---@param opts mp.EnsembleOptions
---@return mp.EnsembleRetriever
function mp.EnsembleRetriever(opts) end

---@class mp.MultiQueryRetriever: mp.BaseRetriever
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local MultiQueryRetriever = {}

---@class mp.MultiQueryOptions
---@field retriever any
---@field model any
---@field prompt any?  is given `question`
---@field include_original boolean?  false

---Asks what a model makes of the question, all at once.
---@class mp.MultiQueryRetrieverClass
---@overload fun(opts: mp.MultiQueryOptions): mp.MultiQueryRetriever
local MultiQueryRetrieverClass = {}

---@param opts table  `retriever`, `llm`, `prompt`, `include_original`
---@return mp.MultiQueryRetriever
function MultiQueryRetrieverClass.from_llm(opts) end

---@class mp.ParentDocumentRetriever: mp.BaseRetriever
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local ParentDocumentRetriever = {}

---@async
---@param documents mp.Document[]
---@return string[] ids
function ParentDocumentRetriever:add_documents(documents) end

---@class mp.ParentOptions
---@field vectorstore mp.VectorStore
---@field child_splitter mp.TextSplitter
---@field parent_splitter mp.TextSplitter?
---@field docstore mp.InMemoryDocstore?
---@field search_type "similarity"|"similarity_score_threshold"|"mmr"|nil
---@field search_kwargs mp.SearchOptions|mp.MarginalOptions|nil  they count pieces
---@field id_key string?  "doc_id"

---Searches small pieces and gives the documents that they are of.
---@param opts mp.ParentOptions
---@return mp.ParentDocumentRetriever
function mp.ParentDocumentRetriever(opts) end

---@class mp.InMemoryDocstore
local InMemoryDocstore = {}

---@param ids string[]
---@return table<string, mp.Document>
function InMemoryDocstore:mget(ids) end

---@param documents table<string, mp.Document>
function InMemoryDocstore:mset(documents) end

---@param ids string[]
function InMemoryDocstore:mdelete(ids) end

---@return mp.InMemoryDocstore
function mp.InMemoryDocstore() end

---@class mp.SelfQueryRetriever: mp.BaseRetriever
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local SelfQueryRetriever = {}

---@class mp.SelfQueryOptions
---@field model any
---@field vectorstore mp.VectorStore
---@field document_contents string  what the documents are
---@field metadata_field_info { name: string, description: string, type: string }[]
---@field enable_limit boolean?  the question may say how many
---@field use_original_query boolean?
---@field max_retries integer?  1
---@field prompt any?
---@field search_type "similarity"|"similarity_score_threshold"|"mmr"|nil
---@field search_kwargs mp.SearchOptions|mp.MarginalOptions|nil

---Has a model make a text to look for and a filter of the question.
---@class mp.SelfQueryRetrieverClass
---@overload fun(opts: mp.SelfQueryOptions): mp.SelfQueryRetriever
local SelfQueryRetrieverClass = {}

---@param opts table  `llm`, `vectorstore`, `document_contents`, …
---@return mp.SelfQueryRetriever
function SelfQueryRetrieverClass.from_llm(opts) end

---@class mp.ContextualCompressionRetriever: mp.BaseRetriever
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local ContextualCompressionRetriever = {}

---@class mp.CompressionOptions
---@field base_retriever any
---@field base_compressor any

---@param opts mp.CompressionOptions
---@return mp.ContextualCompressionRetriever
function mp.ContextualCompressionRetriever(opts) end
