--- moonpipe: chains of model calls.
--
-- Names load their module at first use, so that a script pays for what it
-- names. A name that is not there raises with the nearest one.
local errors = require "moonpipe.error"

---@class moonpipe
local mp = {}

-- module -> the names that it gives, each `name` or `name=field`
local MODULES = {
  agent = "create_agent",
  assign = "RunnableAssign",
  binding = "RunnableBinding",
  branch = "RunnableBranch",
  cache = "InMemoryCache SQLiteCache set_llm_cache",
  cassette = "cassette",
  compose = "pipe",
  compressor_embeddings = "EmbeddingsFilter EmbeddingsRedundantFilter",
  compressor_llm = "LLMChainExtractor LLMChainFilter",
  compressor_pipeline = "DocumentCompressorPipeline LongContextReorder",
  configurable = "ConfigurableField",
  context = "current",
  coroutines = "wrap_coroutines=install",
  db = "db=",
  docstore_sqlite = "SQLiteDocstore",
  document = "Document",
  each = "RunnableEach",
  embedding_examples = "SemanticSimilarityExampleSelector MaxMarginalRelevanceExampleSelector",
  embedding_hash = "HashEmbeddings",
  embedding_cached = "CacheBackedEmbeddings",
  embedding_google = "GoogleGenerativeAIEmbeddings",
  embedding_ollama = "OllamaEmbeddings",
  embedding_openai = "OpenAIEmbeddings",
  error_words = "Error",
  fallbacks = "RunnableWithFallbacks",
  floats = "Floats",
  generator = "RunnableGenerator",
  hedge = "RunnableHedge",
  history = "InMemoryChatMessageHistory",
  history_runnable = "RunnableWithMessageHistory",
  history_sqlite = "SQLiteChatMessageHistory",
  history_trim = "trim_messages",
  ingest = "ingest",
  inspect = "inspect=",
  json = "null array",
  lambda = "RunnableLambda chain",
  lane = "lane",
  loop_until = "loop",
  loader = "load loadfile dofile",
  loader_guest = "install_loader",
  ["loaders.csv"] = "CSVLoader",
  ["loaders.directory"] = "DirectoryLoader",
  ["loaders.html"] = "HTMLLoader",
  ["loaders.json"] = "JSONLoader JSONLinesLoader",
  ["loaders.pdf"] = "PDFLoader",
  ["loaders.text"] = "TextLoader MarkdownLoader",
  map_chunks = "map_chunks",
  mcp = "mcp=",
  message = [[SystemMessage HumanMessage AIMessage ToolMessage ChatMessage SystemMessageChunk
    HumanMessageChunk AIMessageChunk ToolMessageChunk ChatMessageChunk get_buffer_string
    convert_to_messages=coerce_list]],
  message_tools = "filter_messages merge_message_runs count_tokens_approximately",
  model_messages = "convert_to_openai_messages",
  model_choice = "init_chat_model init_embeddings",
  ["models.anthropic"] = "ChatAnthropic",
  ["models.compatible"] = [[ChatDeepSeek ChatGroq ChatLlamaCpp ChatMistralAI ChatOpenRouter
    ChatTogether ChatVLLM ChatXAI]],
  ["models.extractive"] = "ExtractiveChatModel",
  ["models.fake"] = "FakeListChatModel",
  ["models.fake_generic"] = "GenericFakeChatModel",
  ["models.google"] = "ChatGoogleGenerativeAI",
  ["models.ollama"] = "ChatOllama",
  ["models.openai"] = "ChatOpenAI",
  parallel = "RunnableParallel RunnableMap=RunnableParallel finished",
  parser = "StrOutputParser",
  parser_fixing = "OutputFixingParser",
  parser_json = "JsonOutputParser",
  parser_lines = "NumberedListOutputParser MarkdownListOutputParser",
  parser_list = "CommaSeparatedListOutputParser",
  parser_retry = "RetryOutputParser RetryWithErrorOutputParser=RetryOutputParser",
  parser_schema = "SchemaOutputParser StructuredOutputParser=SchemaOutputParser",
  parser_tools = "JsonOutputToolsParser JsonOutputKeyToolsParser ToolsOutputParser",
  parser_xml = "XMLOutputParser",
  passthrough = "RunnablePassthrough",
  pick = "RunnablePick itemgetter const",
  prompt = "ChatPromptTemplate",
  prompt_examples = "LengthBasedExampleSelector",
  prompt_fence = "fence prompts",
  prompt_few_shot = "FewShotPromptTemplate FewShotChatMessagePromptTemplate",
  prompt_file = "load_prompt",
  prompt_message = [[SystemMessagePromptTemplate HumanMessagePromptTemplate
    AIMessagePromptTemplate]],
  prompt_placeholder = "MessagesPlaceholder",
  prompt_text = "PromptTemplate",
  router = "RouterRunnable",
  rate_limiter = "RateLimiter",
  record_manager = "SQLiteRecordManager",
  reranker = "Reranker CohereRerank JinaRerank TEIRerank VoyageAIRerank",
  reranker_bm25 = "BM25Reranker",
  reranker_llm = "LLMListwiseRerank",
  retriever_bm25 = "BM25Retriever",
  retriever_compression = "ContextualCompressionRetriever",
  retriever_ensemble = "EnsembleRetriever",
  retriever_multi_query = "MultiQueryRetriever",
  retriever_parent = "ParentDocumentRetriever InMemoryDocstore",
  retriever_self_query = "SelfQueryRetriever",
  retrying = "RunnableRetry",
  scheduler = "fd now sleep update",
  schema = "schema=",
  sandbox = "sandbox",
  secret = "getpass secret=of secret_cmd=command secret_file=file",
  run = "dispatch_custom_event",
  sequence = "RunnableSequence",
  splitter = [[CharacterTextSplitter RecursiveCharacterTextSplitter MarkdownTextSplitter
    TokenTextSplitter]],
  splitter_json = "RecursiveJsonSplitter",
  splitter_markdown = "MarkdownHeaderTextSplitter",
  store = "FAISS InMemoryVectorStore",
  store_pg = "PGVector",
  store_qdrant = "QdrantVectorStore",
  terminal = "printable",
  ["tracers.chrome"] = "ChromeTracer",
  ["tracers.otlp"] = "OTLPTracer",
  ["tracers.runlog"] = "RunLog",
  ["tracers.timeline"] = "TimelineTracer",
  timeout = "RunnableTimeout",
  usage = "UsageTotals",
  tools = "tool",
  ["tool.steps"] = "host host_step",
}

mp.version = require("moonpipe.native").c.version

-- Each `name`, `=` or nothing, `field` or nothing.
local function entries(list)
  return list:gmatch("([%w_]+)(=?)([%w_]*)")
end

---The names of the language, sorted.
---@return string[]
function mp.names()
  local names = { "version" }
  for _, list in pairs(MODULES) do
    for name in entries(list) do names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- A script asks for few names: they are searched for, as a table of all of them would
-- be made at each start.
local function home_of(wanted)
  for module, list in pairs(MODULES) do
    if list:find(wanted, 1, true) then
      for name, equals, field in entries(list) do
        if name == wanted then return module, equals == "" and name or field end
      end
    end
  end
end

setmetatable(mp, {
  __name = "moonpipe",
  __index = function(_, name)
    local home, field
    if type(name) == "string" then home, field = home_of(name) end
    if not home then
      errors.usage(("mp has no '%s'%s"):format(errors.text(name), errors.hint(name, mp.names())))
    end
    if home:find("^loader") then require "moonpipe.operator" end -- it sets itself
    local value = require("moonpipe." .. home)
    if field ~= "" then value = value[field] end
    mp[name] = value
    return value
  end,
})

return mp
