-- --trace shows each call as a tree on standard error.
--: options "--trace"
local mp = require "moonpipe"

local chain = { a = mp.RunnablePassthrough() }
  | mp.PromptTemplate.from_template "{a}"

print(chain:invoke "x") --> x
--! RunnableSequence
--!   RunnableParallel<a>
--!     a: RunnablePassthrough
--!   PromptTemplate
