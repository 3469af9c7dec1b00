--- moonpipe: chains of model calls.
--
-- Names load their module at first use, so that a script pays for what it
-- names. A name that is not there raises with the nearest one.
local errors = require "moonpipe.error"

---@class moonpipe
local mp = {}

-- module -> the names that it gives, each `name` or `name=field`
local MODULES = {
  ["agents.agent"] = "create_agent",
  ["steps.assign"] = "RunnableAssign",
  ["steps.binding"] = "RunnableBinding",
  ["steps.branch"] = "RunnableBranch",
  ["models.cache"] = "InMemoryCache SQLiteCache set_llm_cache",
  ["cassettes.cassette"] = "cassette",
  compose = "pipe",
  ["compressors.embeddings"] = "EmbeddingsFilter EmbeddingsRedundantFilter",
  ["compressors.llm"] = "LLMChainExtractor LLMChainFilter",
  ["compressors.pipeline"] = "DocumentCompressorPipeline LongContextReorder",
  ["steps.configurable"] = "ConfigurableField",
  context = "current",
  coroutines = "wrap_coroutines=install",
  db = "db=",
  ["stores.docstore_sqlite"] = "SQLiteDocstore",
  document = "Document",
  ["steps.each"] = "RunnableEach",
  ["embeddings.examples"] = "SemanticSimilarityExampleSelector MaxMarginalRelevanceExampleSelector",
  ["embeddings.hash"] = "HashEmbeddings",
  ["embeddings.cached"] = "CacheBackedEmbeddings",
  ["embeddings.google"] = "GoogleGenerativeAIEmbeddings",
  ["embeddings.ollama"] = "OllamaEmbeddings",
  ["embeddings.openai"] = "OpenAIEmbeddings",
  error_words = "Error",
  ["steps.fallbacks"] = "RunnableWithFallbacks",
  floats = "Floats",
  ["steps.generator"] = "RunnableGenerator",
  ["steps.hedge"] = "RunnableHedge",
  ["histories.history"] = "InMemoryChatMessageHistory",
  ["histories.runnable"] = "RunnableWithMessageHistory",
  ["histories.sqlite"] = "SQLiteChatMessageHistory",
  ["histories.trim"] = "trim_messages",
  ["ingest.ingest"] = "ingest",
  inspect = "inspect=",
  json = "null array",
  ["steps.lambda"] = "RunnableLambda chain",
  ["steps.lane"] = "lane",
  ["steps.loop_until"] = "loop",
  loader = "load loadfile dofile",
  loader_guest = "install_loader",
  ["loaders.csv"] = "CSVLoader",
  ["loaders.directory"] = "DirectoryLoader",
  ["loaders.html"] = "HTMLLoader",
  ["loaders.json"] = "JSONLoader JSONLinesLoader",
  ["loaders.pdf"] = "PDFLoader",
  ["loaders.text"] = "TextLoader MarkdownLoader",
  ["steps.map_chunks"] = "map_chunks",
  ["mcp.mcp"] = "mcp=",
  ["messages.message"] = [[SystemMessage HumanMessage AIMessage ToolMessage ChatMessage
    SystemMessageChunk HumanMessageChunk AIMessageChunk ToolMessageChunk ChatMessageChunk
    get_buffer_string convert_to_messages=coerce_list]],
  ["messages.tools"] = "filter_messages merge_message_runs count_tokens_approximately",
  ["models.messages"] = "convert_to_openai_messages",
  ["models.choice"] = "init_chat_model init_embeddings",
  ["models.anthropic"] = "ChatAnthropic",
  ["models.compatible"] = [[ChatDeepSeek ChatGroq ChatLlamaCpp ChatMistralAI ChatOpenRouter
    ChatTogether ChatVLLM ChatXAI]],
  ["models.extractive"] = "ExtractiveChatModel",
  ["models.fake"] = "FakeListChatModel",
  ["models.fake_generic"] = "GenericFakeChatModel",
  ["models.google"] = "ChatGoogleGenerativeAI",
  ["models.ollama"] = "ChatOllama",
  ["models.openai"] = "ChatOpenAI",
  ["steps.parallel"] = "RunnableParallel RunnableMap=RunnableParallel finished",
  ["parsers.parser"] = "StrOutputParser",
  ["parsers.fixing"] = "OutputFixingParser",
  ["parsers.json"] = "JsonOutputParser",
  ["parsers.lines"] = "NumberedListOutputParser MarkdownListOutputParser",
  ["parsers.list"] = "CommaSeparatedListOutputParser",
  ["parsers.retry"] = "RetryOutputParser RetryWithErrorOutputParser=RetryOutputParser",
  ["parsers.schema"] = "SchemaOutputParser StructuredOutputParser=SchemaOutputParser",
  ["parsers.tools"] = "JsonOutputToolsParser JsonOutputKeyToolsParser ToolsOutputParser",
  ["parsers.xml"] = "XMLOutputParser",
  ["steps.passthrough"] = "RunnablePassthrough",
  ["steps.pick"] = "RunnablePick itemgetter const",
  ["prompts.prompt"] = "ChatPromptTemplate",
  ["prompts.examples"] = "LengthBasedExampleSelector",
  ["prompts.fence"] = "fence prompts",
  ["prompts.few_shot"] = "FewShotPromptTemplate FewShotChatMessagePromptTemplate",
  ["prompts.file"] = "load_prompt",
  ["prompts.message"] = [[SystemMessagePromptTemplate HumanMessagePromptTemplate
    AIMessagePromptTemplate]],
  ["prompts.placeholder"] = "MessagesPlaceholder",
  ["prompts.text"] = "PromptTemplate",
  ["steps.router"] = "RouterRunnable",
  rate_limiter = "RateLimiter",
  ["ingest.record_manager"] = "SQLiteRecordManager",
  ["compressors.reranker"] = "Reranker CohereRerank JinaRerank TEIRerank VoyageAIRerank",
  ["compressors.reranker_bm25"] = "BM25Reranker",
  ["compressors.reranker_llm"] = "LLMListwiseRerank",
  ["retrievers.bm25"] = "BM25Retriever",
  ["retrievers.compression"] = "ContextualCompressionRetriever",
  ["retrievers.ensemble"] = "EnsembleRetriever",
  ["retrievers.multi_query"] = "MultiQueryRetriever",
  ["retrievers.parent"] = "ParentDocumentRetriever InMemoryDocstore",
  ["retrievers.self_query"] = "SelfQueryRetriever",
  ["steps.retrying"] = "RunnableRetry",
  scheduler = "fd now sleep update",
  ["schema.schema"] = "schema=",
  ["sandbox.sandbox"] = "sandbox",
  secret = "getpass secret=of secret_cmd=command secret_file=file",
  run = "dispatch_custom_event",
  ["steps.sequence"] = "RunnableSequence",
  ["splitters.splitter"] = [[CharacterTextSplitter RecursiveCharacterTextSplitter
    MarkdownTextSplitter TokenTextSplitter]],
  ["splitters.json"] = "RecursiveJsonSplitter",
  ["splitters.markdown"] = "MarkdownHeaderTextSplitter",
  ["stores.faiss"] = "FAISS InMemoryVectorStore",
  ["stores.pg"] = "PGVector",
  ["stores.qdrant"] = "QdrantVectorStore",
  terminal = "printable",
  ["tracers.chrome"] = "ChromeTracer",
  ["tracers.otlp"] = "OTLPTracer",
  ["tracers.runlog"] = "RunLog",
  ["tracers.timeline"] = "TimelineTracer",
  ["steps.timeout"] = "RunnableTimeout",
  ["models.usage"] = "UsageTotals",
  ["agents.tools"] = "tool",
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
