--- What is kept and what is watched: histories, databases, ingesting, tracers, cassettes.
---@meta

---@class moonpipe
---@field db mp.db  SQLite, on a thread of its own
local mp = {}

---The messages of one conversation.
---@class mp.ChatMessageHistory
local ChatMessageHistory = {}

---@async
---@return mp.Message[]
function ChatMessageHistory:messages() end

---@async
---@param list any[]
function ChatMessageHistory:add_messages(list) end

---@async
---@param value any
function ChatMessageHistory:add_message(value) end

---@async
---@param value string|mp.Message
function ChatMessageHistory:add_user_message(value) end

---@async
---@param value string|mp.Message
function ChatMessageHistory:add_ai_message(value) end

---@async
function ChatMessageHistory:clear() end

---@class mp.MemoryHistoryOptions
---@field messages any[]?

---@param opts mp.MemoryHistoryOptions?
---@return mp.ChatMessageHistory
function mp.InMemoryChatMessageHistory(opts) end

---@class mp.SQLiteHistoryOptions
---@field path string
---@field busy_timeout number?  seconds to wait for other processes; 5
---@field synchronous "full"|"normal"|nil  normal: a power cut may lose the last

---@param session_id string
---@param opts mp.SQLiteHistoryOptions
---@return mp.ChatMessageHistory
function mp.SQLiteChatMessageHistory(session_id, opts) end

---@class mp.RunnableWithMessageHistory: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local RunnableWithMessageHistory = {}

---@class mp.HistoryOptions
---@field input_messages_key string?
---@field output_messages_key string?
---@field history_messages_key string?
---@field history_factory_config table[]?  keys of config.configurable; default: session_id
---@field trim (mp.TrimOptions|fun(list: mp.Message[]): mp.Message[])?

---A chain that knows what was said before; the history by `config.configurable.session_id`.
---@param chain any
---@param get_session_history fun(...): mp.ChatMessageHistory
---@param opts mp.HistoryOptions?
---@return mp.RunnableWithMessageHistory
function mp.RunnableWithMessageHistory(chain, get_session_history, opts) end

-- ---- databases ---------------------------------------------------------------------------------

---@class mp.db
local db = {}

---@class mp.DatabaseOptions
---@field schema string[]?  text i makes format i out of format i - 1
---@field application_id integer?
---@field busy_timeout number?  seconds; 5
---@field max_result integer?  bytes of one answer; 64 MiB
---@field synchronous "full"|"normal"|nil

---@async
---@param path string  ":memory:" is one that nobody shares
---@param opts mp.DatabaseOptions?
---@return mp.Database
function db.open(path, opts) end

---Bytes to be stored as a blob.
---@param bytes string
---@return any
function db.blob(bytes) end

---@class mp.Database
---@field path string
local Database = {}

---@async
---@param sql string
---@param ... any  its values
---@return { changes: integer, last_id: integer }
function Database:run(sql, ...) end

---@async
---@param sql string
---@param ... any
---@return table[]
function Database:rows(sql, ...) end

---Runs all statements or none.
---@async
---@param list (string|table)[]
---@return { changes: integer, last_id: integer, rows: table[] }[]
function Database:transaction(list) end

function Database:close() end

---@class mp.FileOptions
---@field busy_timeout number?  seconds; 5
---@field synchronous "full"|"normal"|nil

---Documents of a FAISS store, in a file.
---@class mp.SQLiteDocstore
---@field path string
local SQLiteDocstore = {}

---@async
---@return integer
function SQLiteDocstore:count() end

function SQLiteDocstore:close() end

---@param path string
---@param opts mp.FileOptions?
---@return mp.SQLiteDocstore
function mp.SQLiteDocstore(path, opts) end

-- ---- ingesting ---------------------------------------------------------------------------------

---@class mp.RecordManagerOptions: mp.FileOptions
---@field path string

---@class mp.SQLiteRecordManager
---@field namespace string
---@field path string
local SQLiteRecordManager = {}

function SQLiteRecordManager:close() end

---What was ingested, and when.
---@param namespace string
---@param opts mp.RecordManagerOptions
---@return mp.SQLiteRecordManager
function mp.SQLiteRecordManager(namespace, opts) end

---@class mp.IngestOptions
---@field documents (mp.Document[]|fun(): mp.Document?)?  or `loader`, or `paths`
---@field loader mp.Loader?
---@field paths string[]?  files, and folders with all that is in them
---@field splitter mp.TextSplitter?
---@field store mp.VectorStore|mp.BM25Retriever|nil  or `embedding` and `save_to`
---@field embedding mp.Embeddings?
---@field save_to string?  where the store is saved, now and then and at the end
---@field save_every number?  seconds between two saves, at least; 5
---@field record_manager mp.SQLiteRecordManager?
---@field cleanup "incremental"|"full"|"scoped_full"|nil
---@field source_id_key (string|fun(doc: mp.Document): string?)?  "source"
---@field batch_size integer?  pieces that are embedded at once; 100
---@field concurrency integer?  batches at once; 4
---@field force_update boolean?
---@field on_error ("raise"|"collect"|fun(err: mp.Error, source: string?): boolean?)?
---@field on_progress (fun(progress: table))?
---@field progress boolean?  a line on the terminal
---@field total integer?  documents, where that is known

---@class mp.IngestResult
---@field added integer
---@field updated integer
---@field skipped integer
---@field deleted integer
---@field failed integer
---@field errors { source: string?, error: mp.Error }[]
---@field store mp.VectorStore
---Reads, splits, embeds and adds documents, all at once; what is in the store is skipped.
---@async
---@param opts mp.IngestOptions
---@return mp.IngestResult
function mp.ingest(opts) end

-- ---- watching ----------------------------------------------------------------------------------

---@class mp.TracerOptions
---@field contents boolean?  inputs and outputs too

---Writes each call as a tree with bars: `{ callbacks = { mp.TimelineTracer() } }`.
---@param target string|file*|nil  standard error
---@param opts mp.TracerOptions?
---@return table
function mp.TimelineTracer(target, opts) end

---Writes a Chrome trace.
---@param path string
---@param opts mp.TracerOptions?
---@return table
function mp.ChromeTracer(path, opts) end

---Appends each run to a file, a line of JSON each.
---@param target string|file*
---@param opts mp.TracerOptions?
---@return table
function mp.RunLog(target, opts) end

---@class mp.OTLPOptions: mp.TracerOptions
---@field endpoint string?  OTEL_EXPORTER_OTLP_ENDPOINT, else http://127.0.0.1:4318
---@field headers table<string, string>?

---Exports each call as OpenTelemetry spans.
---@param opts mp.OTLPOptions?
---@return table
function mp.OTLPTracer(opts) end

---@class mp.UsageOptions
---@field prices table<string, { input: number, output: number }>?  US dollars a million tokens

---@class mp.Usage
---@field calls integer
---@field cached_calls integer
---@field input_tokens integer
---@field output_tokens integer
---@field total_tokens integer
---@field cost number  US dollars
---@class mp.UsageTotals
---@field total mp.Usage
---@field by_model table<string, mp.Usage>
---@field by_branch table<string, mp.Usage>
---@field unpriced table<string, true>
local UsageTotals = {}

---Begins anew.
function UsageTotals:reset() end

---Adds up tokens and cost: `{ callbacks = { usage } }`.
---@param opts mp.UsageOptions?
---@return mp.UsageTotals
function mp.UsageTotals(opts) end

---@class mp.CassetteOptions
---@field mode "auto"|"replay"|"record"|"add"|nil  MOONPIPE_CASSETTE_MODE, else "auto"
---@field ignore string[]?  paths of a request's body that do not count
---@field redact (fun(text: string): string)?  what is written and compared
---@field timing boolean?  as long as it took

---@class mp.Cassette
---@field path string
---@field mode "replay"|"record"|"add"
---@field played integer  exchanges so far
---@field missed integer  requests that had no answer
local Cassette = {}

---What is on it and was not asked for.
---@return table[]
function Cassette:unplayed() end

---@return integer
function Cassette:recorded() end

function Cassette:close() end

---Records what chains say to servers in a file, or plays it.
---@overload fun(path: string, fn: fun(tape: mp.Cassette): any): any
---@param path string
---@param opts mp.CassetteOptions?
---@param fn (fun(tape: mp.Cassette): any)?
---@return mp.Cassette
function mp.cassette(path, opts, fn) end
