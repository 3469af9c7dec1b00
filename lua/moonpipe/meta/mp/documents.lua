--- Documents: loaders, splitters, embeddings, ingesting.
---@meta

---@class moonpipe
---@field RecursiveCharacterTextSplitter mp.RecursiveCharacterTextSplitterClass
local mp = {}

---@class mp.Document
---@field page_content string
---@field metadata table
---@field id string?
---@field score number?  of documents that were found: more is better
local Document = {}

---@class mp.DocumentOptions
---@field page_content string?
---@field metadata table?
---@field id string?

---`mp.Document("text", { source = "a.txt" })`.
---@param content string|mp.DocumentOptions
---@param metadata table?
---@return mp.Document
function mp.Document(content, metadata) end

-- ---- loaders -----------------------------------------------------------------------------------

---@class mp.Loader
---@field path string
local Loader = {}

---@async
---@return mp.Document[]
function Loader:load() end

---`for document in loader:lazy_load()` holds one at a time.
---@return fun(): mp.Document?
function Loader:lazy_load() end

---@async
---@param splitter mp.TextSplitter?
---@return mp.Document[]
function Loader:load_and_split(splitter) end

---@class mp.LoaderOptions
---@field root string?  a folder that the path is relative to, and may not lead out of
---@field max_bytes integer?  of the file, or of one record

---One document, the text of the file.
---@param path string
---@param opts mp.LoaderOptions?
---@return mp.Loader
function mp.TextLoader(path, opts) end

---The same; its first header is the `title`.
---@param path string
---@param opts mp.LoaderOptions?
---@return mp.Loader
function mp.MarkdownLoader(path, opts) end

---The text that a reader sees; `title` and `links` in the metadata.
---@param path string
---@param opts mp.LoaderOptions?
---@return mp.Loader
function mp.HTMLLoader(path, opts) end

---@class mp.PDFOptions: mp.LoaderOptions
---@field mode "page"|"single"|nil  "page"
---@field program string?  "pdftotext"

---A document for each page.
---@param path string
---@param opts mp.PDFOptions?
---@return mp.Loader
function mp.PDFLoader(path, opts) end

---@class mp.CSVOptions: mp.LoaderOptions
---@field delimiter string?  ","
---@field quote string?  '"'
---@field fieldnames string[]?  default: the first row
---@field source_column string?
---@field content_columns string[]?  default: all
---@field metadata_columns string[]?

---A document for each row.
---@param path string
---@param opts mp.CSVOptions?
---@return mp.Loader
function mp.CSVLoader(path, opts) end

---@class mp.JSONLinesOptions: mp.LoaderOptions
---@field jq_schema string?  a path such as ".messages[].text"
---@field content_key string?
---@field metadata_func (fun(record: table, metadata: table): table?)?
---@field text_content boolean?  a value must be a text; true

---@class mp.JSONOptions: mp.JSONLinesOptions
---@field json_lines boolean?

---A document for each value that the path leads to.
---@param path string
---@param opts mp.JSONOptions?
---@return mp.Loader
function mp.JSONLoader(path, opts) end

---The same for a value a line.
---@param path string
---@param opts mp.JSONLinesOptions?
---@return mp.Loader
function mp.JSONLinesLoader(path, opts) end

---@class mp.DirectoryOptions: mp.LoaderOptions
---@field glob string|string[]|nil  such as "**/*.md"
---@field exclude string|string[]|nil
---@field recursive boolean?  true
---@field load_hidden boolean?  false
---@field on_error "raise"|"collect"|nil  "raise"; collected ones are in loader.errors
---@field loader_cls any?  for all files
---@field loader_kwargs table?  its options
---@field loaders table<string, any>?  by the ending of a name

---The files of a folder, each by the loader for its kind.
---@param path string
---@param opts mp.DirectoryOptions?
---@return mp.Loader
function mp.DirectoryLoader(path, opts) end

-- ---- splitters ---------------------------------------------------------------------------------

---@class mp.TextSplitter
local TextSplitter = {}

---@param text string
---@return string[]
function TextSplitter:split_text(text) end

---@param texts string[]
---@param metadatas table[]?
---@return mp.Document[]
function TextSplitter:create_documents(texts, metadatas) end

---@param documents mp.Document[]
---@return mp.Document[]
function TextSplitter:split_documents(documents) end

---@class mp.SplitterOptions
---@field chunk_size integer?  as length_function measures, bytes; 4000
---@field chunk_overlap integer?  200
---@field add_start_index boolean?  where a piece begins, in its metadata
---@field strip_whitespace boolean?  true

---@class mp.CharacterSplitterOptions: mp.SplitterOptions
---@field separator string?  a blank line
---@field keep_separator "start"|"end"|boolean|nil
---@field length_function (fun(text: string): number)?

---Cuts at one separator.
---@param opts mp.CharacterSplitterOptions?
---@return mp.TextSplitter
function mp.CharacterTextSplitter(opts) end

---@class mp.RecursiveSplitterOptions: mp.SplitterOptions
---@field separators string[]?  blank lines, lines, words, characters
---@field keep_separator "start"|"end"|boolean|nil
---@field length_function (fun(text: string): number)?

---Cuts at the first separator that makes pieces small enough.
---@class mp.RecursiveCharacterTextSplitterClass
---@overload fun(opts: mp.RecursiveSplitterOptions?): mp.TextSplitter
local RecursiveCharacterTextSplitterClass = {}

---@param language string  "lua", "python", "markdown", …
---@param opts mp.RecursiveSplitterOptions?
---@return mp.TextSplitter
function RecursiveCharacterTextSplitterClass.from_language(language, opts) end

---@param language string
---@return string[]
function RecursiveCharacterTextSplitterClass.get_separators_for_language(language) end

---@param opts mp.RecursiveSplitterOptions?
---@return mp.TextSplitter
function mp.MarkdownTextSplitter(opts) end

---@class mp.TokenSplitterOptions: mp.SplitterOptions
---@field token_counter (fun(text: string): number)?  default: four bytes are one

---Sizes are tokens.
---@param opts mp.TokenSplitterOptions?
---@return mp.TextSplitter
function mp.TokenTextSplitter(opts) end

---@class mp.HeaderSplitterOptions
---@field headers_to_split_on string[][]?  `{ { "#", "Header 1" }, … }`
---@field strip_headers boolean?  true
---@field add_start_index boolean?

---Cuts where a header stands; the pieces are documents that know their headers.
---@param opts mp.HeaderSplitterOptions?
---@return mp.TextSplitter
function mp.MarkdownHeaderTextSplitter(opts) end

---@class mp.JsonSplitterOptions
---@field max_chunk_size integer?  bytes of JSON; 2000
---@field min_chunk_size integer?  200 less

---@class mp.RecursiveJsonSplitter
local RecursiveJsonSplitter = {}

---@param value table|string
---@param convert_lists boolean?
---@return table[]
function RecursiveJsonSplitter:split_json(value, convert_lists) end

---@param value table|string
---@param convert_lists boolean?
---@return string[]
function RecursiveJsonSplitter:split_text(value, convert_lists) end

---@param values (table|string)[]
---@param convert_lists boolean?
---@param metadatas table[]?
---@return mp.Document[]
function RecursiveJsonSplitter:create_documents(values, convert_lists, metadatas) end

---@param documents mp.Document[]
---@param convert_lists boolean?
---@return mp.Document[]
function RecursiveJsonSplitter:split_documents(documents, convert_lists) end

---Takes values in JSON apart.
---@param opts mp.JsonSplitterOptions?
---@return mp.RecursiveJsonSplitter
function mp.RecursiveJsonSplitter(opts) end

-- ---- embeddings --------------------------------------------------------------------------------

---@class mp.Embeddings
local Embeddings = {}

---A row for each text.
---@async
---@param texts string[]
---@return mp.Floats
function Embeddings:embed_documents(texts) end

---@async
---@param text string
---@return mp.Floats
function Embeddings:embed_query(text) end

---@class mp.EmbeddingsOptions: mp.EndpointOptions
---@field model string?
---@field dimensions integer?
---@field chunk_size integer?  texts a request
---@field extra_body table?

---@class mp.OpenAIEmbeddingsOptions: mp.EmbeddingsOptions
---@field organization string?
---@field project string?
---@field user string?

---@class mp.GoogleEmbeddingsOptions: mp.EmbeddingsOptions
---@field task_type string?

---@class mp.OllamaEmbeddingsOptions: mp.EmbeddingsOptions
---@field keep_alive string|number|nil
---@field num_ctx integer?  tokens
---@field truncate boolean?

---@param opts mp.OpenAIEmbeddingsOptions?
---@return mp.Embeddings
function mp.OpenAIEmbeddings(opts) end

---@param opts mp.GoogleEmbeddingsOptions?
---@return mp.Embeddings
function mp.GoogleGenerativeAIEmbeddings(opts) end

---@param opts mp.OllamaEmbeddingsOptions?
---@return mp.Embeddings
function mp.OllamaEmbeddings(opts) end

---Vectors of words, without a network: they know words and not meanings.
---@return mp.Embeddings
function mp.HashEmbeddings() end

---@class mp.CachedEmbeddingsOptions
---@field path string?  of the file; without one they are kept in memory
---@field namespace string?  default: the model
---@field batch_size integer?  texts that are embedded at once
---@field cache_queries boolean?  false

---Has each text embedded once.
---@param embeddings mp.Embeddings
---@param opts mp.CachedEmbeddingsOptions?
---@return mp.Embeddings
function mp.CacheBackedEmbeddings(embeddings, opts) end

---The embeddings `provider:model`, or what this machine has.
---@param name string?
---@param opts mp.OpenAIEmbeddingsOptions?
---@return mp.Embeddings
function mp.init_embeddings(name, opts) end
