--- What makes less of what retrievers find: filters, extractors, rerankers.
---@meta

---@class moonpipe
---@field LLMChainExtractor mp.LLMChainExtractorClass
---@field LLMChainFilter mp.LLMChainFilterClass
---@field LLMListwiseRerank mp.LLMListwiseRerankClass
local mp = {}

---@class mp.BaseDocumentCompressor: mp.Runnable
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local BaseDocumentCompressor = {}

---@async
---@param documents mp.Document[]
---@param query string
---@return mp.Document[]
function BaseDocumentCompressor:compress_documents(documents, query) end

---@async
---@param documents mp.Document[]
---@return mp.Document[]
function BaseDocumentCompressor:transform_documents(documents) end

---@class mp.DocumentCompressorPipeline: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local DocumentCompressorPipeline = {}

---@class mp.PipelineOptions
---@field transformers any[]  splitters, compressors, steps

---@param opts mp.PipelineOptions
---@return mp.DocumentCompressorPipeline
function mp.DocumentCompressorPipeline(opts) end

---@class mp.EmbeddingsFilter: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local EmbeddingsFilter = {}

---@class mp.EmbeddingsFilterOptions
---@field embeddings mp.Embeddings
---@field k integer?  20
---@field similarity_threshold number?  0 to 1

---@param opts mp.EmbeddingsFilterOptions
---@return mp.EmbeddingsFilter
function mp.EmbeddingsFilter(opts) end

---@class mp.EmbeddingsRedundantFilter: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local EmbeddingsRedundantFilter = {}

---@class mp.RedundantFilterOptions
---@field embeddings mp.Embeddings
---@field similarity_threshold number?  0.95

---@param opts mp.RedundantFilterOptions
---@return mp.EmbeddingsRedundantFilter
function mp.EmbeddingsRedundantFilter(opts) end

---@class mp.LongContextReorder: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local LongContextReorder = {}

---The best documents at the beginning and at the end.
---@return mp.LongContextReorder
function mp.LongContextReorder() end

---@class mp.LLMCompressorOptions
---@field model any
---@field prompt any?

---@class mp.LLMChainExtractor: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local LLMChainExtractor = {}

---@class mp.LLMChainExtractorClass
---@overload fun(opts: mp.LLMCompressorOptions): mp.LLMChainExtractor
local LLMChainExtractorClass = {}

---@param model any
---@return mp.LLMChainExtractor
function LLMChainExtractorClass.from_llm(model) end

---@class mp.LLMChainFilter: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local LLMChainFilter = {}

---@class mp.LLMChainFilterClass
---@overload fun(opts: mp.LLMCompressorOptions): mp.LLMChainFilter
local LLMChainFilterClass = {}

---@param model any
---@return mp.LLMChainFilter
function LLMChainFilterClass.from_llm(model) end

---@class mp.LLMListwiseRerank: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local LLMListwiseRerank = {}

---@class mp.ListwiseOptions: mp.LLMCompressorOptions
---@field top_n integer?  3
---@field max_retries integer?  1

---@class mp.LLMListwiseRerankClass
---@overload fun(opts: mp.ListwiseOptions): mp.LLMListwiseRerank
local LLMListwiseRerankClass = {}

---@param model any
---@return mp.LLMListwiseRerank
function LLMListwiseRerankClass.from_llm(model) end

---@class mp.BM25Reranker: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local BM25Reranker = {}

---@class mp.BM25RerankerOptions
---@field top_n integer?  all
---@field k1 number?  1.2
---@field b number?  0.75
---@field preprocess (fun(text: string): string[])?

---@param opts mp.BM25RerankerOptions?
---@return mp.BM25Reranker
function mp.BM25Reranker(opts) end

---@class mp.RerankOptions: mp.EndpointOptions
---@field model string?
---@field top_n integer?  all
---@field chunk_size integer?  documents a request
---@field extra_body table?

---@class mp.Reranker: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local Reranker = {}

---@param opts mp.RerankOptions?
---@return mp.Reranker
function mp.Reranker(opts) end

---@class mp.CohereRerank: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local CohereRerank = {}

---@param opts mp.RerankOptions?
---@return mp.CohereRerank
function mp.CohereRerank(opts) end

---@class mp.JinaRerank: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local JinaRerank = {}

---@param opts mp.RerankOptions?
---@return mp.JinaRerank
function mp.JinaRerank(opts) end

---@class mp.TEIRerank: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local TEIRerank = {}

---@param opts mp.RerankOptions?
---@return mp.TEIRerank
function mp.TEIRerank(opts) end

---@class mp.VoyageAIRerank: mp.BaseDocumentCompressor
---@operator call(any): mp.Document[]
---@operator bor(any): mp.RunnableSequence
local VoyageAIRerank = {}

---@param opts mp.RerankOptions?
---@return mp.VoyageAIRerank
function mp.VoyageAIRerank(opts) end
