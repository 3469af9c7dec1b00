--- Messages, and what is done with lists of them.
---@meta

---@class moonpipe
local mp = {}

---What people and models say; `tostring(message)` is its text.
---@class mp.Message
---@field type "system"|"human"|"ai"|"tool"|"chat"
---@field content string|table[]  a text, or a list of strings and content blocks
---@field name string?
---@field id string?
---@field additional_kwargs table?
---@field response_metadata table?
local Message = {}

---@return string
function Message:text() end

---Its content in blocks of one form, whoever made it.
---@return table[]
function Message:content_blocks() end

---@return string
function Message:pretty_repr() end

function Message:pretty_print() end

---@class mp.SystemMessage: mp.Message
local SystemMessage = {}

---@class mp.HumanMessage: mp.Message
local HumanMessage = {}

---@class mp.AIMessage: mp.Message
---@field tool_calls mp.ToolCall[]
---@field invalid_tool_calls table[]  calls whose arguments are no JSON
---@field usage_metadata { input_tokens: integer, output_tokens: integer, total_tokens: integer }?
local AIMessage = {}

---@class mp.ToolMessage: mp.Message
---@field tool_call_id string
---@field artifact any
---@field status "success"|"error"
local ToolMessage = {}

---@class mp.ChatMessage: mp.Message
---@field role string
local ChatMessage = {}

---@class mp.SystemMessageChunk: mp.SystemMessage
---@operator add(any): mp.SystemMessageChunk
---@class mp.HumanMessageChunk: mp.HumanMessage
---@operator add(any): mp.HumanMessageChunk
---@class mp.AIMessageChunk: mp.AIMessage
---@operator add(any): mp.AIMessageChunk
---@field tool_call_chunks table[]?
---@field chunk_position "last"|nil
---@class mp.ToolMessageChunk: mp.ToolMessage
---@operator add(any): mp.ToolMessageChunk
---@class mp.ChatMessageChunk: mp.ChatMessage
---@operator add(any): mp.ChatMessageChunk

---@class mp.ToolCall
---@field name string
---@field args table
---@field id string?
---@field type "tool_call"

---@class mp.MessageOptions
---@field content string|table[]|nil
---@field name string?
---@field id string?
---@field additional_kwargs table?
---@field response_metadata table?

---@class mp.AIMessageOptions: mp.MessageOptions
---@field tool_calls mp.ToolCall[]?
---@field invalid_tool_calls table[]?
---@field usage_metadata table?

---@class mp.AIMessageChunkOptions: mp.AIMessageOptions
---@field tool_call_chunks table[]?
---@field chunk_position "last"?

---@class mp.ToolMessageOptions: mp.MessageOptions
---@field tool_call_id string?
---@field artifact any?  for the program; no model sees it
---@field status "success"|"error"|nil

---@class mp.ChatMessageOptions: mp.MessageOptions
---@field role string?

---@param content string|table[]|mp.MessageOptions
---@param opts mp.MessageOptions?
---@return mp.SystemMessage
function mp.SystemMessage(content, opts) end

---@param content string|table[]|mp.MessageOptions
---@param opts mp.MessageOptions?
---@return mp.SystemMessageChunk
function mp.SystemMessageChunk(content, opts) end

---@param content string|table[]|mp.MessageOptions
---@param opts mp.MessageOptions?
---@return mp.HumanMessage
function mp.HumanMessage(content, opts) end

---@param content string|table[]|mp.MessageOptions
---@param opts mp.MessageOptions?
---@return mp.HumanMessageChunk
function mp.HumanMessageChunk(content, opts) end

---@param content string|table[]|mp.AIMessageOptions
---@param opts mp.AIMessageOptions?
---@return mp.AIMessage
function mp.AIMessage(content, opts) end

---@param content string|table[]|mp.AIMessageChunkOptions
---@param opts mp.AIMessageChunkOptions?
---@return mp.AIMessageChunk
function mp.AIMessageChunk(content, opts) end

---@param content string|table[]|mp.ToolMessageOptions
---@param opts mp.ToolMessageOptions?
---@return mp.ToolMessage
function mp.ToolMessage(content, opts) end

---@param content string|table[]|mp.ToolMessageOptions
---@param opts mp.ToolMessageOptions?
---@return mp.ToolMessageChunk
function mp.ToolMessageChunk(content, opts) end

---@param content string|table[]|mp.ChatMessageOptions
---@param opts mp.ChatMessageOptions?
---@return mp.ChatMessage
function mp.ChatMessage(content, opts) end

---@param content string|table[]|mp.ChatMessageOptions
---@param opts mp.ChatMessageOptions?
---@return mp.ChatMessageChunk
function mp.ChatMessageChunk(content, opts) end

---@class mp.FilterOptions
---@field include_names string[]?  one of the includes is enough
---@field include_types ((string|table)[])?  "human", "ai", …, or classes
---@field include_ids string[]?
---@field exclude_names string[]?  each of the excludes is enough
---@field exclude_types ((string|table)[])?
---@field exclude_ids string[]?
---@field exclude_tool_calls boolean|string[]|nil  all calls of tools and their answers, or those
---  with these ids

---Those of the messages that the options name. With options alone it gives a step.
---@overload fun(opts: mp.FilterOptions): mp.RunnableLambda
---@param list mp.Message[]
---@param opts mp.FilterOptions?
---@return mp.Message[]
function mp.filter_messages(list, opts) end

---@class mp.MergeOptions
---@field chunk_separator string?  between two texts; "\n"

---The messages with those that follow one another of one speaker as one. Without messages: a step.
---@overload fun(opts: mp.MergeOptions?): mp.RunnableLambda
---@param list mp.Message[]
---@param opts mp.MergeOptions?
---@return mp.Message[]
function mp.merge_message_runs(list, opts) end

---@class mp.TrimOptions
---@field max_messages integer?
---@field max_tokens integer?
---@field strategy "last"|"first"|nil  which end is kept; "last"
---@field token_counter ((fun(one: mp.Message): number)|"approximate")?  default: approximate
---@field include_system boolean?  keeps a system message at the beginning; true
---@field start_on string|string[]|nil  the role of the first that is kept
---@field end_on string|string[]|nil  the role of the last that is kept
---@field allow_partial boolean?  of a message that does not fit, the lines that do
---@field text_splitter (fun(text: string): string[])?  default: lines

---The end of a list that fits (or its beginning). With options alone it gives a step.
---@overload fun(opts: mp.TrimOptions): mp.RunnableLambda
---@param list mp.Message[]
---@param opts mp.TrimOptions?
---@return mp.Message[]
function mp.trim_messages(list, opts) end

---@class mp.CountOptions
---@field chars_per_token number?  bytes; 4
---@field extra_tokens_per_message number?  3
---@field tokens_per_image number?  85

---About how many tokens messages are, or a text is.
---@param list mp.Message[]|mp.Message|string
---@param opts mp.CountOptions?
---@return number
function mp.count_tokens_approximately(list, opts) end

---Messages of what stands for them: texts, `{ role, text }`, tables in OpenAI's form, prompts.
---@param value any
---@return mp.Message[]
function mp.convert_to_messages(value) end

---@class mp.ConvertOptions
---@field text_format "string"|"block"|nil

---The messages as `{ role =, content =, … }`; a single message gives a single table.
---@param messages mp.Message[]|mp.Message|string
---@param opts mp.ConvertOptions?
---@return table[]|table
function mp.convert_to_openai_messages(messages, opts) end

---@class mp.BufferOptions
---@field human_prefix string?  "Human"
---@field ai_prefix string?  "AI"

---A transcript of messages, one a line: `Human: hi`.
---@param messages mp.Message[]
---@param human_prefix string|mp.BufferOptions|nil
---@param ai_prefix string?
---@return string
function mp.get_buffer_string(messages, human_prefix, ai_prefix) end
