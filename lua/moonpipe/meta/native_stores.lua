---@meta

-- The functions that C gives for files, vectors and databases; see native.lua here.

---@class moonpipe.c
local c = {}

-- ---- files -----------------------------------------------------------------------

---@param path string
---@param root string?  the folder that it is relative to, and may not lead out of
---@return userdata? file
---@return string? message
---@return string? kind
function c.file_open(path, root) end

---@param file userdata
---@param at integer   bytes from its beginning
---@param max integer  bytes
---@return integer? id  of a job that gives them; fewer at the end
---@return string? message
---@return string? kind
function c.file_read(file, at, max) end

---@param max integer  bytes
---@return integer? id  of a job that gives what comes from the standard input; nothing at its end
---@return string? message
---@return string? kind
function c.input_read(max) end

---@param file userdata
function c.file_close(file) end

---@param path string
---@param root string?
---@return integer? id  of a job that gives its entries: kind, one of "dflo", name, NUL
---@return string? message
---@return string? kind
function c.folder(path, root) end

---@param page string  UTF-8
---@return integer? id  of a job that gives its text; its head: a line for the title, and each link
---@return string? message
---@return string? kind
function c.html(page) end

-- ---- vectors ---------------------------------------------------------------------

---@param list table  of numbers, of lists or of vectors
---@return moonpipe.Floats?
---@return string? message
---@return string? kind
function c.floats(list) end

---@param bytes string  what `v:bytes()` gave on this machine
---@return moonpipe.Floats?  a vector
---@return string? message
---@return string? kind
function c.floats_of_bytes(bytes) end

---@return boolean
function c.is_floats(value) end

---@param body string     an answer with embeddings
---@param texts integer   how many it must hold
---@return moonpipe.Floats?
---@return string? usage  as JSON; or the message
---@return string? kind
function c.embed_decode(body, texts) end

---@param body string
---@param texts integer
---@return integer? id  of a job that gives the same
---@return string? message
---@return string? kind
function c.embed(body, texts) end

---@param text string
---@return moonpipe.Floats?  one row
---@return string? message
---@return string? kind
function c.hash_vector(text) end

---@param texts string[]  one at least
---@return integer? id  of a job that gives a row for each
---@return string? message
---@return string? kind
function c.hash(texts) end

---@param given string  for lane_main.lua, as steps/lane.lua writes it
---@param jit boolean
---@return integer? id  of a job that gives its answer
---@return string? message
---@return string? kind
function c.lane(given, jit) end

---@param vector moonpipe.Floats
---@return number  the square of its length
function c.vector_square(vector) end

---@class moonpipe.VectorIndex: userdata

---@alias moonpipe.VectorShape {
---  kind: "flat"|"hnsw"|"ivf"|"sq"|nil,  -- flat by default; see engine/work/vector.h
---  metric: "l2"|"ip"|"cosine"|nil,      -- squared distance by default; inner product; cosine:
---                                       -- the one of vectors made 1 long, 0 of zeros
---  dim: integer,
---  m: integer?, ef_construction: integer?, ef_search: integer?,  -- hnsw: 32, 40, 64
---  nlist: integer?, nprobe: integer?,  -- ivf: the root of how many there are; 16
--- }

---@param shape moonpipe.VectorShape
---@return moonpipe.VectorIndex?
---@return string? message
---@return string? kind
function c.index_new(shape) end

---@param index moonpipe.VectorIndex
---@param rows moonpipe.Floats
---@return integer? id  of a job that gives the number of the first row, from 0, as text
---@return string? message
---@return string? kind
function c.index_add(index, rows) end

---@param index moonpipe.VectorIndex
---@param query moonpipe.Floats  a vector
---@param k integer
---@param allowed integer[]?    numbers, in any order: only these vectors count
---@return integer? id  of a job that gives a row of scores, best first, and as its head the
---                     numbers of these vectors with blanks between; nothing where there are none
---@return string? message
---@return string? kind
function c.index_search(index, query, k, allowed) end

---@param index moonpipe.VectorIndex
---@param numbers integer[]
---@return integer? id  of a job that deletes those that are there; no number is given twice
---@return string? message
---@return string? kind
function c.index_delete(index, numbers) end

---@param index moonpipe.VectorIndex
---@param numbers integer[]
---@return integer? id  of a job that gives a row for each, of length 1 with metric `cosine`;
---                     `input` where one is not there
---@return string? message
---@return string? kind
function c.index_rows(index, numbers) end

---@param shape table                  as of index_new
---@param reader moonpipe.StoreReader  that was opened
---@param next integer                 numbers are given from here on at least
---@return integer? id  of a job that makes an index of the file, for index_take
---@return string? message
---@return string? kind
function c.index_make(shape, reader, next) end

---@param reader moonpipe.StoreReader
---@return moonpipe.VectorIndex
function c.index_take(reader) end

---@param index moonpipe.VectorIndex
---@return integer
function c.index_count(index) end

---@param index moonpipe.VectorIndex
---@return { kind: string, metric: string, dim: integer }
function c.index_info(index) end

-- ---- the files of stores -------------------------------------------------------------

---@class moonpipe.StoreWriter: userdata
---@class moonpipe.StoreReader: userdata

---@param path string
---@return moonpipe.StoreWriter?
---@return string? message
---@return string? kind
function c.store_create(path) end

---@param writer moonpipe.StoreWriter
---@param section string  1 to 15 characters; another than before begins a new one
---@param part moonpipe.Floats|string|string[]|integer[]  a section of texts is of texts alone
---@return integer? id  of a job that appends it; one that fails is the writer's end
---@return string? message
---@return string? kind
function c.store_put(writer, section, part) end

---@param writer moonpipe.StoreWriter
---@param index moonpipe.VectorIndex
---@return integer? id  of a job that appends its state
---@return string? message
---@return string? kind
function c.store_put_index(writer, index) end

---@param writer moonpipe.StoreWriter
function c.store_drop(writer) end

---@param writer moonpipe.StoreWriter
---@return integer? id  of a job that puts the file in the place of the old one
---@return string? message
---@return string? kind
function c.store_finish(writer) end

---@param path string
---@return moonpipe.StoreReader? reader  to be used when the job has ended well
---@return integer|string id  of the job that opens the file and checks it; or the message
---@return string? kind
function c.store_open(path) end

---@param reader moonpipe.StoreReader
---@return { kind: string, metric: string, dim: integer, count: integer, next: integer,
---         sections: table<string, integer> }
function c.store_head(reader) end

---@param reader moonpipe.StoreReader
---@param section string
---@return string
function c.store_bytes(reader, section) end

---@param reader moonpipe.StoreReader
---@param section string
---@return integer[]
function c.store_numbers(reader, section) end

---@param reader moonpipe.StoreReader
---@param section string  of texts
---@param first integer   from 1
---@param last integer    or the end
---@return string[]? texts
---@return integer|string count  of the section's texts; or the message
---@return string? kind
function c.store_texts(reader, section, first, last) end

-- ---- words ---------------------------------------------------------------------------

---@class moonpipe.LexicalIndex: userdata

---@param k1 number
---@param b number
---@return moonpipe.LexicalIndex?
---@return string? message
---@return string? kind
function c.lexical_new(k1, b) end

---@param index moonpipe.LexicalIndex
---@param texts string[]  one at least
---@param cut boolean     NULs stand between their terms; else these are the words
---@return integer? id  of a job
---@return integer|string first  the number of the first document, from 0; or the message
---@return string? kind
function c.lexical_add(index, texts, cut) end

---@param index moonpipe.LexicalIndex
---@param numbers integer[]
---@return integer? id  of a job that deletes those that are there
---@return string? message
---@return string? kind
function c.lexical_delete(index, numbers) end

---@param index moonpipe.LexicalIndex
---@param query string
---@param cut boolean
---@param k integer
---@return integer? id  of a job that gives what one of index_search does, of documents
---@return string? message
---@return string? kind
function c.lexical_search(index, query, cut, k) end

---@param index moonpipe.LexicalIndex
---@return integer
function c.lexical_count(index) end

-- ---- databases --------------------------------------------------------------------

---@class moonpipe.Db: userdata  a hold of a file

---@param path string
---@param normal boolean        synchronous = NORMAL
---@param busy_seconds number   how long to wait for other processes
---@param max_bytes integer     of one answer
---@param application_id integer  of the file; 0: whatever it has
---@param steps string[]        step i makes format i out of i - 1
---@return moonpipe.Db?
---@return string? message
---@return string? kind
function c.db_open(path, normal, busy_seconds, max_bytes, application_id, steps) end

---@param db moonpipe.Db
function c.db_close(db) end

---@param db moonpipe.Db
---@return string
function c.db_path(db) end

---@param db moonpipe.Db
---@param statements table[]  {text, values…, n = places}; a blob is {bytes}
---@param atomic boolean
---@return integer? id  of a job that gives the answers as bytes
---@return string? message
---@return string? kind
function c.db_do(db, statements, atomic) end

---@param bytes string
---@return { changes: integer|string, last_id: integer|string, rows: table[] }[]
function c.db_answers(bytes) end

---@class moonpipe.Pg: userdata

---The server that a connection string names; the first job connects. Holds of equal strings share
---their connections, with the limits of the first.
---@param connection moonpipe.Secret
---@param connections integer  at once
---@param connect_seconds number
---@param seconds number       that one job may run
---@param max_bytes number     of one answer
---@return moonpipe.Pg?
---@return string? message
---@return string? kind
function c.pg_open(connection, connections, connect_seconds, seconds, max_bytes) end

---@param pg moonpipe.Pg
function c.pg_close(pg) end

---@param pg moonpipe.Pg
---@param statements table[]  as of db_do; {floats, i} is row i of an mp.Floats, a real[]
---@param atomic boolean
---@return integer? id  of a job that gives the answers as bytes, for db_answers; a real[] is there
---                      a string of floats of this machine
---@return string? message
---@return string? kind
function c.pg_do(pg, statements, atomic) end

return c
