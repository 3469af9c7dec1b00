--- Chat models and their options.
---@meta

---@class moonpipe
local mp = {}

---@class mp.BaseChatModel: mp.Runnable
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
local BaseChatModel = {}

---@async
---@param input any  a text, messages, a prompt's value
---@param config mp.Config?
---@return mp.AIMessage
function BaseChatModel:invoke(input, config) end

---What all that speaks HTTP takes.
---@class mp.EndpointOptions
---@field base_url string?  default: the provider's, or what its variable says
---@field api_key (string|mp.Secret|false|fun(): string)?  default: the provider's variable; false
---  sends none
---@field timeout number|mp.TimeoutTimes|nil  seconds in all, or each by itself
---@field max_retries integer?  after the first attempt; 2
---@field rate_limiter mp.RateLimiter?  shared by all that are given it
---@field proxy string?  URL
---@field ca_file string?  an authority of one's own
---@field insecure boolean?  takes any certificate
---@field allow_http boolean?  a key may go over a network without TLS
---@field ip "v4"|"v6"|nil  that family of addresses alone
---@field default_headers table<string, string|mp.Secret>|nil
---@field default_query table<string, string>?

---@class mp.TimeoutTimes
---@field connect number?  seconds; 5
---@field first_byte number?  seconds, of streams; 120, on this machine 600
---@field idle number?  seconds between data; 60
---@field total number?  seconds, retries and pauses included; 600

---What all chat models behind HTTP take.
---@class mp.ChatOptions: mp.EndpointOptions
---@field model string?  default: a current one of the provider
---@field temperature number?
---@field top_p number?
---@field max_tokens integer?
---@field stop string|string[]|nil
---@field streaming boolean?  invoke uses a stream too
---@field cache mp.InMemoryCache|mp.SQLiteCache|false|nil  default: that of set_llm_cache
---@field extra_body table?  members of each request, as they are
---@field model_kwargs table?  the same, by LangChain's name

---What models in OpenAI's form take.
---@class mp.OpenAICompatibleOptions: mp.ChatOptions
---@field frequency_penalty number?
---@field presence_penalty number?
---@field logit_bias table<string, number>?
---@field logprobs boolean?
---@field top_logprobs integer?
---@field max_completion_tokens integer?
---@field n integer?
---@field seed integer?
---@field store boolean?
---@field user string?
---@field service_tier string?
---@field reasoning_effort string?  "minimal", "low", "medium", "high"
---@field verbosity string?  "low", "medium", "high"
---@field stream_usage boolean?  asks for the tokens of a stream; true
---@field require_finish boolean?  a stream without a finish_reason is an error

---@class mp.OpenAIOptions: mp.OpenAICompatibleOptions
---@field organization string?  default: OPENAI_ORG_ID
---@field project string?  default: OPENAI_PROJECT_ID
---@field use_responses_api boolean?
---@field reasoning table?  of the Responses API

---@class mp.AnthropicOptions: mp.ChatOptions
---@field top_k integer?
---@field thinking table?  { type = "enabled", budget_tokens = n }
---@field effort string?
---@field cache_control table?
---@field metadata table?
---@field service_tier string?

---@class mp.GoogleOptions: mp.ChatOptions
---@field top_k integer?
---@field frequency_penalty number?
---@field presence_penalty number?
---@field seed integer?
---@field thinking_config table?
---@field safety_settings table[]?
---@field cached_content string?

---@class mp.OllamaOptions: mp.ChatOptions
---@field keep_alive string|number|nil  how long the model stays in memory
---@field num_ctx integer?  tokens
---@field num_gpu integer?
---@field top_k integer?
---@field min_p number?
---@field seed integer?
---@field presence_penalty number?
---@field frequency_penalty number?
---@field repeat_penalty number?
---@field repeat_last_n integer?
---@field reasoning boolean?

---@class mp.ChatOpenAI: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatOpenAI = {}

---OpenAI, and every server that speaks as it does. Key: OPENAI_API_KEY.
---@param opts mp.OpenAIOptions?
---@return mp.ChatOpenAI
function mp.ChatOpenAI(opts) end

---@class mp.ChatAnthropic: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatAnthropic = {}

---Key: ANTHROPIC_API_KEY.
---@param opts mp.AnthropicOptions?
---@return mp.ChatAnthropic
function mp.ChatAnthropic(opts) end

---@class mp.ChatGoogleGenerativeAI: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatGoogleGenerativeAI = {}

---Key: GOOGLE_API_KEY or GEMINI_API_KEY.
---@param opts mp.GoogleOptions?
---@return mp.ChatGoogleGenerativeAI
function mp.ChatGoogleGenerativeAI(opts) end

---@class mp.ChatOllama: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatOllama = {}

---A server of Ollama: OLLAMA_HOST.
---@param opts mp.OllamaOptions?
---@return mp.ChatOllama
function mp.ChatOllama(opts) end

---@class mp.ChatDeepSeek: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatDeepSeek = {}

---Key: DEEPSEEK_API_KEY.
---@param opts mp.OpenAICompatibleOptions?
---@return mp.ChatDeepSeek
function mp.ChatDeepSeek(opts) end

---@class mp.ChatGroq: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatGroq = {}

---Key: GROQ_API_KEY.
---@param opts mp.OpenAICompatibleOptions?
---@return mp.ChatGroq
function mp.ChatGroq(opts) end

---@class mp.ChatLlamaCpp: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatLlamaCpp = {}

---A llama-server: LLAMA_SERVER_URL.
---@param opts mp.OpenAICompatibleOptions?
---@return mp.ChatLlamaCpp
function mp.ChatLlamaCpp(opts) end

---@class mp.ChatMistralAI: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatMistralAI = {}

---Key: MISTRAL_API_KEY.
---@param opts mp.OpenAICompatibleOptions?
---@return mp.ChatMistralAI
function mp.ChatMistralAI(opts) end

---@class mp.ChatOpenRouter: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatOpenRouter = {}

---Key: OPENROUTER_API_KEY.
---@param opts mp.OpenAICompatibleOptions?
---@return mp.ChatOpenRouter
function mp.ChatOpenRouter(opts) end

---@class mp.ChatTogether: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatTogether = {}

---Key: TOGETHER_API_KEY.
---@param opts mp.OpenAICompatibleOptions?
---@return mp.ChatTogether
function mp.ChatTogether(opts) end

---@class mp.ChatVLLM: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatVLLM = {}

---A server of vLLM: VLLM_BASE_URL.
---@param opts mp.OpenAICompatibleOptions?
---@return mp.ChatVLLM
function mp.ChatVLLM(opts) end

---@class mp.ChatXAI: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
---@field model string
local ChatXAI = {}

---Key: XAI_API_KEY.
---@param opts mp.OpenAICompatibleOptions?
---@return mp.ChatXAI
function mp.ChatXAI(opts) end

---@class mp.ExtractiveChatModel: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
local ExtractiveChatModel = {}

---@class mp.ExtractiveOptions
---@field max_sentences integer?  3

---No language model: answers with the best sentences of the context.
---@param opts mp.ExtractiveOptions?
---@return mp.ExtractiveChatModel
function mp.ExtractiveChatModel(opts) end

---@class mp.FakeListChatModel: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
local FakeListChatModel = {}

---@class mp.FakeListOptions
---@field responses string[]  one a call, then from the beginning
---@field sleep number?  seconds before an answer and before each chunk
---@field error_on_chunk_number integer?  the stream fails instead of giving that chunk

---For tests: gives one response a call.
---@param opts mp.FakeListOptions
---@return mp.FakeListChatModel
function mp.FakeListChatModel(opts) end

---@class mp.GenericFakeChatModel: mp.BaseChatModel
---@operator call(any): mp.AIMessage
---@operator bor(any): mp.RunnableSequence
local GenericFakeChatModel = {}

---@class mp.GenericFakeOptions
---@field messages (string|mp.Message)[]|fun(): any  each is given once
---@field sleep number?  seconds

---For tests: gives each message once.
---@param opts mp.GenericFakeOptions
---@return mp.GenericFakeChatModel
function mp.GenericFakeChatModel(opts) end

---@class mp.InitOptions: mp.OpenAIOptions
---@field model_provider string?
---@field configurable_fields "any"|string[]|nil  what each call may choose, by config.configurable
---@field config_prefix string?  before those names

---The chat model `provider:model`, or what this machine has; options of its class.
---@async
---@param name string?
---@param opts mp.InitOptions?
---@return mp.BaseChatModel
function mp.init_chat_model(name, opts) end

---@class mp.RateLimiterOptions
---@field requests_per_minute number?
---@field tokens_per_minute number?
---@field burst number?  requests that may begin at once; all of a minute

---@class mp.RateLimiter
local RateLimiter = {}

---@param opts mp.RateLimiterOptions?
---@return mp.RateLimiter
function mp.RateLimiter(opts) end

---@class mp.MemoryCacheOptions
---@field max_entries integer?  what was not used for longest goes; 1000
---@field ttl number?  seconds

---@class mp.InMemoryCache
local InMemoryCache = {}

function InMemoryCache:clear() end

---Keeps answers of models in memory.
---@param opts mp.MemoryCacheOptions?
---@return mp.InMemoryCache
function mp.InMemoryCache(opts) end

---@class mp.SQLiteCacheOptions
---@field path string
---@field ttl number?  seconds

---@class mp.SQLiteCache
local SQLiteCache = {}

---@async
function SQLiteCache:clear() end

---Keeps answers of models in a file.
---@param opts mp.SQLiteCacheOptions
---@return mp.SQLiteCache
function mp.SQLiteCache(opts) end

---The cache of all models that have none of their own; nil for none.
---@param cache mp.InMemoryCache|mp.SQLiteCache|nil
function mp.set_llm_cache(cache) end
