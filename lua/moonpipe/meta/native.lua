---@meta

-- The functions that C gives to lua/moonpipe/native.lua, and to nobody else.
-- One that can fail gives its value, or nil, message, kind. A spec compares
-- these names with the module.

---@class moonpipe.c
---@field version string
---@field json_null lightuserdata  what cjson.null is too
---@field json_array_mt table      metatable of arrays
local c = {}

-- ---- jobs ------------------------------------------------------------------------

---@param seconds number  from now
---@return integer? id
---@return string? message
---@return string? kind
function c.timer(seconds) end

---@param id integer  its terminal event still comes
function c.cancel(id) end

---@return integer? id
---@return 0|1|2|3 kind  chunk, done, failed, cancelled
---@return string|moonpipe.Floats|nil cargo  or the message of a failure
---@return string? error_kind
---@return string? head
---@return number? waited  seconds in queues, where there were some
---@return integer? together  jobs that were done as one, itself counted
function c.next_event() end

---@param seconds number?  default: for ever
---@return boolean there_is_an_event
function c.wait(seconds) end

---@return integer  a descriptor that is readable while there are events; -1: closed
function c.fd() end

---The descriptor is readable until the next event is asked for, where somebody polls it.
function c.wake() end

---@return integer  jobs not answered
function c.live() end

---@return boolean  true once after Ctrl-C
function c.interrupted() end

---@return boolean  true while the VM closes
function c.closed() end

-- ---- keys ------------------------------------------------------------------------

---@class moonpipe.Secret: userdata  opaque: its bytes stay in C

---@param text string
---@return moonpipe.Secret?
---@return string? message
---@return string? kind
function c.secret_new(text) end

---@param name string  of an environment variable
---@return moonpipe.Secret?  nil alone where it is not set, or empty
---@return string? message
---@return string? kind
function c.secret_env(name) end

---@param path string  of a file that is the user's alone
---@return moonpipe.Secret?
---@return string? message
---@return string? kind
function c.secret_file(path) end

---@param command string  for a shell
---@param seconds number
---@return integer? id  of a job
---@return userdata|string place  or a message
---@return string? kind
function c.secret_command(command, seconds) end

---@param place userdata  whose job is done
---@return moonpipe.Secret?  once
function c.secret_take(place) end

---@param prompt string  asked on the terminal, without echo
---@return moonpipe.Secret?
---@return string? message
---@return string? kind
function c.secret_ask(prompt) end

---@param secret moonpipe.Secret
---@param prefix string  such as "Bearer "
---@return moonpipe.Secret?
---@return string? message
---@return string? kind
function c.secret_prefixed(secret, prefix) end

---@return boolean
function c.secret_is(value) end

---@return string  16 hexadecimal digits, of this process only
function c.secret_id(secret) end

---@param text string
---@return string  with every key that lives replaced
function c.secret_redact(text) end

-- ---- coroutines ------------------------------------------------------------------

---@param fn function
---@return thread
function c.thread_new(fn) end

---@return boolean ok
---@return any value  what it yielded, returned or raised
function c.thread_resume(thread, value) end

---@return thread?  the running one, if a yield can work in it
function c.thread_yieldable() end

---@param seconds number  of the thread's own time without a turn
---@param tell fun(outer: string, at: string)  the function that we called; where it is
---@return boolean?  true if it is on
function c.watch(seconds, tell) end

---@param text string  the warning, should the code that was compiled just now be it
function c.watch_note(text) end

-- ---- the system ------------------------------------------------------------------

---@return number seconds  monotonic
function c.now() end

---@param path string
---@param root string?  the folder that it is relative to, and may not lead out of
---@param max integer  bytes
---@return string? text
---@return string? message
---@return string? kind
function c.read_file(path, root, max) end

---@param path string
---@param bytes string  that are in the file, whole, or the old ones are; mode 0600
---@return true?
---@return string? message
---@return string? kind
function c.write_file(path, bytes) end

---@return number seconds  since 1970
function c.wall() end

---@return number seconds  of CPU time of this thread
function c.thread_cpu() end

---Has the program told by a signal in so many seconds, and each five on; 0 takes that back.
---@param seconds number
function c.alarm(seconds) end

---@param fd integer
---@return boolean
function c.isatty(fd) end

---@param fd integer
---@return integer? columns  of the terminal; nil where it is none
function c.columns(fd) end

-- ---- texts -----------------------------------------------------------------------

---@param text string
---@param unique boolean?   refuse an object with a key twice
---@param lenient boolean?  raw control characters, text behind the value
---@param partial boolean?  complete what is cut
---@param raw boolean?      leave bad bytes and lone surrogates, for utf8_repair; a number beyond a
---  double is null
---@return any value
---@return string? message
---@return string? kind
---@return integer? offset
---@return integer? line
---@return integer? column
function c.json_decode(text, unique, lenient, partial, raw) end

---@class moonpipe.Picker: userdata

---@param wanted string[]   paths such as "choices.0.message.content"
---@param ignored string[]  paths whose values may be anything but containers
---@return moonpipe.Picker
function c.json_picker(wanted, ignored) end

---@param picker moonpipe.Picker
---@param text string
---@return true?  nil where the text is anything else, see bind_pick.h
---@return ...  the wanted values
function c.json_pick(picker, text) end

---@param unique boolean?
---@param lenient boolean?
---@return userdata  with feed, value, finish, done
function c.json_decoder(unique, lenient) end

---@param value any
---@param indent string?
---@return string? text
---@return string? message
---@return string? kind
function c.json_encode(value, indent) end

---@param text string
---@param more boolean?   more follows: hold back an incomplete character
---@return string text    with U+FFFD where it was no UTF-8
---@return string held
function c.utf8_repair(text, more) end

---@param ... string
---@return string  a UUID (version 8) that is the same for the same texts
function c.uuid_of(...) end

---@param text string
---@param name string
---@return string? text
---@return table|string|nil sites  or the message
---@return string? kind
function c.translate(text, name) end

---@param text string
---@param name string
---@return string? text    rewritten, not wrapped
---@return string? message
---@return string? kind
---@return string? span    `line:column-column` of what the message is about
function c.rewrite(text, name) end

return c
