---@meta

-- Calls over HTTP, of the functions that C gives to lua/moonpipe/native.lua.

---@class moonpipe.c
local c = {}

---@class moonpipe.Inbox  chunks of a stream that wait for their reader
local Inbox = {}

---@return string? data  nil: nothing is there now
---@return string? name
function Inbox:read() end

---@param before string
---@param behind string
---@param list string[]  the texts that stand between the two, in records that are there; of one
---  alone nothing is written
---@return integer count
---@return string? first
function Inbox:texts(before, behind, list) end

---@return string? head  status and headers, before the first read
function Inbox:head() end

---@param bytes integer  how far the transfer may be ahead
function Inbox:window(bytes) end

---@param bytes string?  nil: no more come. Only of an inbox that c.inbox made
---@return true?
---@return string? message
---@return string? kind
function Inbox:feed(bytes) end

---@param spec moonpipe.HttpSpec
---@return moonpipe.HttpPlan?
---@return string? message
---@return string? kind
function c.http_plan(spec) end

---@param plan moonpipe.HttpPlan
---@param body string?
---@param framing "sse"|"ndjson"|nil
---@param total_at number?  of c.now(), when it must have ended
---@param uncut boolean?  records are the pieces of the stream, as the network brought them
---@return integer? id
---@return moonpipe.Inbox|string|nil inbox  of a stream; or the message
---@return string? kind
function c.http(plan, body, framing, total_at, uncut) end

---@param framing "sse"|"ndjson"
---@return moonpipe.Inbox?  that is fed
---@return string? message
---@return string? kind
function c.inbox(framing) end

---@param name string
---@param slots integer?    0: no limit
---@param seconds number?   nothing starts before
---@return integer? id
---@return string? message
---@return string? kind
function c.gate(name, slots, seconds) end

---@class moonpipe.ChildHandle: userdata  a program that runs beside ours

---@param argv string[]
---@param env string[]  NAME=value: all that it gets
---@param cwd string?
---@param raw boolean?  what comes at once instead of lines
---@param worthless boolean?  it is killed where others are asked to end
---@return integer? id  of a job that lasts as long as the program
---@return moonpipe.Inbox|string|nil lines  those of its standard error are named "stderr"
---@return moonpipe.ChildHandle|string|nil handle
---@param familiar boolean?  it has our environment and our standard error
function c.child(argv, env, cwd, raw, worthless, familiar) end

---@param handle moonpipe.ChildHandle
---@return number? seconds  of CPU time that it has used; nil where it does not run
function c.child_cpu(handle) end

---@param last boolean?  its input ends with them
---@return integer? id  of a job that is done when the bytes were taken over
function c.child_write(handle, bytes, last) end

---@class moonpipe.CellHandle: userdata  a locked-in VM

---@param limits { memory: number, seconds: number, instructions: number? }
---@return moonpipe.CellHandle?
---@return string? message
---@return string? kind
function c.sandbox_open(limits) end

---@param cell moonpipe.CellHandle
---@param ... string|number|boolean|nil  what is said to it
---@return (string|number|boolean)[]? records  six values each: op, id, call, kind, name, text
---@return string? message
---@return string? kind  after `limit`, `memory` and `lua` the VM is closed
function c.sandbox_turn(cell, ...) end

---@param cell moonpipe.CellHandle
function c.sandbox_close(cell) end

---@param cell moonpipe.CellHandle
---@return number used  bytes
---@return number peak
function c.sandbox_memory(cell) end

---@return string? program  the path of moonpipe-cell
---@return integer|string own  the number of this process, or a message
---@return integer|string processors  that there are, or a kind
function c.sandbox_program() end

---Values as bytes for a VM in another process: nil, booleans, numbers, strings, lists of these.
---@return string? bytes
---@return string? message
---@return string? kind
function c.frame(...) end

---@param bytes string
---@return integer? bytes  of the frame that begins them; nil as long as that is not known
function c.frame_len(bytes) end

---@param bytes string  one frame
---@return boolean good
---@return any ...  its values
function c.unframe(bytes) end

return c
