--- Prompts: templates that become texts or messages.
---@meta

---@class moonpipe
---@field PromptTemplate mp.PromptTemplateClass
---@field ChatPromptTemplate mp.ChatPromptTemplateClass
---@field SystemMessagePromptTemplate mp.MessagePromptTemplateClass
---@field HumanMessagePromptTemplate mp.MessagePromptTemplateClass
---@field AIMessagePromptTemplate mp.MessagePromptTemplateClass
---@field SemanticSimilarityExampleSelector mp.SemanticSimilarityExampleSelectorClass
---@field MaxMarginalRelevanceExampleSelector mp.MaxMarginalRelevanceExampleSelectorClass
---@field prompts { rag: mp.ChatPromptTemplate }  ready ones
local mp = {}

---@class mp.PromptOptions
---@field partial_variables table<string, any>?  values, or functions that are called at each use
---@field input_variables string[]?  what a call must give; only checked
---@field template_format "f-string"|"mustache"|nil  "f-string"
---@field mustache_partials table<string, string>?  texts that `{{>name}}` puts in

---@class mp.BasePromptTemplate: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@field input_variables string[]  sorted; those that a call must give
---@field optional_variables string[]
---@field partial_variables table
local BasePromptTemplate = {}

---@class mp.PromptTemplate: mp.BasePromptTemplate
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@operator add(any): mp.PromptTemplate
local PromptTemplate = {}

---The text for these values.
---@param values table|string|nil
---@return string
function PromptTemplate:format(values) end

---A prompt with some variables given.
---@param more table<string, any>
---@return mp.PromptTemplate
function PromptTemplate:partial(more) end

---`PromptTemplate "text"` or `PromptTemplate{ template = "text", … }`.
---@class mp.PromptTemplateClass
---@overload fun(text: string|table, opts: mp.PromptOptions?): mp.PromptTemplate
local PromptTemplateClass = {}

---A prompt that gives one text.
---@param text string
---@param opts mp.PromptOptions?
---@return mp.PromptTemplate
function PromptTemplateClass.from_template(text, opts) end

---A prompt whose text stands in a file; `root` is a folder that the path may not lead out of.
---@param path string
---@param opts mp.PromptOptions|{ root: string? }|nil
---@return mp.PromptTemplate
function PromptTemplateClass.from_file(path, opts) end

---@class mp.ChatPromptTemplate: mp.BasePromptTemplate
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@operator add(any): mp.ChatPromptTemplate
---@operator len: integer
---@field messages table[]
local ChatPromptTemplate = {}

---@param values table|string|nil
---@return mp.Message[]
function ChatPromptTemplate:format_messages(values) end

---The messages as one text.
---@param values table|string|nil
---@return string
function ChatPromptTemplate:format(values) end

---@param more table<string, any>
---@return mp.ChatPromptTemplate
function ChatPromptTemplate:partial(more) end

---A prompt with one more message at its end.
---@param value any
---@return mp.ChatPromptTemplate
function ChatPromptTemplate:append(value) end

---A prompt with the messages of a list, or of another prompt, at its end.
---@param list any[]|mp.ChatPromptTemplate
---@return mp.ChatPromptTemplate
function ChatPromptTemplate:extend(list) end

---@return integer
function ChatPromptTemplate:len() end

---@param first integer?
---@param last integer?
---@return mp.ChatPromptTemplate
function ChatPromptTemplate:slice(first, last) end

---`ChatPromptTemplate{ messages… }` or `ChatPromptTemplate "text"`.
---@class mp.ChatPromptTemplateClass
---@overload fun(messages: any[]|string, opts: mp.PromptOptions?): mp.ChatPromptTemplate
local ChatPromptTemplateClass = {}

---Of messages, `{ role, template }`, strings for people, placeholders, other prompts.
---@param list any[]
---@param opts mp.PromptOptions?
---@return mp.ChatPromptTemplate
function ChatPromptTemplateClass.from_messages(list, opts) end

---A prompt of one human message.
---@param text string
---@param opts mp.PromptOptions?
---@return mp.ChatPromptTemplate
function ChatPromptTemplateClass.from_template(text, opts) end

---@class mp.MessagePromptOptions
---@field mustache_partials table<string, string>?
---@field template_format "f-string"|"mustache"|nil

---@class mp.MessagePromptTemplateClass
---@overload fun(text: string|table[], opts: mp.MessagePromptOptions?): table
local MessagePromptTemplateClass = {}

---A template of one message: a text, or a list of content blocks.
---@param text string|table[]
---@param opts mp.MessagePromptOptions?
---@return table
function MessagePromptTemplateClass.from_template(text, opts) end

---@class mp.PlaceholderOptions
---@field variable_name string?
---@field optional boolean?  without a value it is no message
---@field n_messages integer?  the last so many

---`MessagesPlaceholder("history", { optional = true })`: a list of messages, in a chat prompt.
---@param name string|mp.PlaceholderOptions
---@param opts mp.PlaceholderOptions?
---@return table
function mp.MessagesPlaceholder(name, opts) end

---@class mp.ExampleSelector
---@field select_examples fun(self, values: table): table[]
---@field add_example fun(self, example: table)

---@class mp.FewShotPromptTemplate: mp.BasePromptTemplate
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local FewShotPromptTemplate = {}

---@async
---@param values table|string|nil
---@return string
function FewShotPromptTemplate:format(values) end

---@param more table<string, any>
---@return mp.FewShotPromptTemplate
function FewShotPromptTemplate:partial(more) end

---@class mp.FewShotOptions: mp.PromptOptions
---@field examples table[]?  tables of values for example_prompt
---@field example_selector mp.ExampleSelector?  instead of examples
---@field example_prompt mp.PromptTemplate  what one example becomes
---@field prefix string?  template of the text before the examples
---@field suffix string?  template of the text behind them
---@field example_separator string?  a blank line

---@param opts mp.FewShotOptions
---@return mp.FewShotPromptTemplate
function mp.FewShotPromptTemplate(opts) end

---@class mp.FewShotChatMessagePromptTemplate: mp.BasePromptTemplate
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local FewShotChatMessagePromptTemplate = {}

---@async
---@param values table|string|nil
---@return mp.Message[]
function FewShotChatMessagePromptTemplate:format_messages(values) end

---@async
---@param values table|string|nil
---@return string
function FewShotChatMessagePromptTemplate:format(values) end

---@class mp.FewShotChatOptions
---@field examples table[]?
---@field example_selector mp.ExampleSelector?
---@field example_prompt mp.ChatPromptTemplate|any[]
---@field input_variables string[]?  what the selector needs of an input

---@param opts mp.FewShotChatOptions
---@return mp.FewShotChatMessagePromptTemplate
function mp.FewShotChatMessagePromptTemplate(opts) end

---@class mp.LengthSelectorOptions
---@field examples table[]?
---@field example_prompt mp.PromptTemplate
---@field max_length number?  of all examples, as get_text_length measures; 2048
---@field get_text_length (fun(text: string): number)?  default: words

---@param opts mp.LengthSelectorOptions
---@return mp.ExampleSelector
function mp.LengthBasedExampleSelector(opts) end

---@class mp.SimilaritySelectorOptions
---@field embedding mp.Embeddings
---@field k integer?  4
---@field input_keys string[]?  what of an input counts; all
---@field example_keys string[]?  what a prompt is given of an example; all

---@class mp.SemanticSimilarityExampleSelectorClass
local SemanticSimilarityExampleSelectorClass = {}

---Chooses the examples nearest to the input.
---@async
---@param examples table[]
---@param opts mp.SimilaritySelectorOptions
---@return mp.ExampleSelector
function SemanticSimilarityExampleSelectorClass.from_examples(examples, opts) end

---@class mp.MarginalSelectorOptions: mp.SimilaritySelectorOptions
---@field fetch_k integer?  how many of the nearest are looked at; 20
---@field lambda_mult number?  1: by nearness alone, 0: by difference alone; 0.5

---@class mp.MaxMarginalRelevanceExampleSelectorClass
local MaxMarginalRelevanceExampleSelectorClass = {}

---Of the nearest examples those that are least like one another.
---@async
---@param examples table[]
---@param opts mp.MarginalSelectorOptions
---@return mp.ExampleSelector
function MaxMarginalRelevanceExampleSelectorClass.from_examples(examples, opts) end

---@class mp.LoadPromptOptions
---@field root string?  a folder that the path is relative to, and may not lead out of

---The prompt that a file in JSON describes.
---@param path string
---@param opts mp.LoadPromptOptions?
---@return mp.BasePromptTemplate
function mp.load_prompt(path, opts) end

---What text must be given to a model as data: `{ context = retriever | mp.fence } | prompt`.
---@param value any
---@return string
function mp.fence(value) end
