--- FAISS.load_local and FAISS.from_docstore: stores out of what was kept: see faiss_file.lua.
local errors = require "moonpipe.error"
local scheduler = require "moonpipe.scheduler"
local store_base = require "moonpipe.stores.base"

local store_local = {}

--- Checks the path of a file.
function store_local.check_path(path, what)
  if type(path) ~= "string" or path == "" or path:find("\0", 1, true) then
    errors.usage(("%s takes the path of a file, got %s"):format(what,
      type(path) == "string" and "an empty one or one with a zero byte" or errors.shape(path)))
  end
end

--- Checks what is given as a docstore.
function store_local.check_docstore(given, what)
  if type(given) ~= "table" or type(given.matching) ~= "function" then
    errors.usage(("docstore of %s is %s; it must be one, such as mp.SQLiteDocstore(\"docs.db\")")
      :format(what, errors.shape(given)))
  end
  return given
end

--- Gives a class of stores, called [name], what makes them of files.
---@param Class table
---@param name string
---@param shape_of fun(self: moonpipe.FAISS, dim: integer): table  of its index
function store_local.add(Class, name, shape_of)
  --- A store out of a file that save_local wrote: `load_local("docs.mp", { embedding = })`. The
  --- embeddings must be those that it was saved with; without them they are made by the name that
  --- the file has, where they are of ours. Kind `io` where the file is damaged or none of a store.
  ---@async
  ---@param path string
  ---@param opts { embedding: table?, docstore: moonpipe.Docstore? }?
  ---@return moonpipe.FAISS
  function Class.load_local(path, opts)
    local what = name .. ".load_local"
    store_local.check_path(path, what)
    opts = errors.options(opts, { "docstore", "embedding" }, what)
    if opts.embedding ~= nil then store_base.check_embedding(opts.embedding, what) end
    return scheduler.call(require("moonpipe.stores.faiss_file").load, path, opts, Class, shape_of)
  end

  --- A store of the documents that a docstore has, which are all embedded: options as of an empty
  --- one. Where save_local has written a file, load_local embeds only what that lacks.
  ---@async
  ---@param docs moonpipe.SQLiteDocstore
  ---@param opts { embedding: table }
  ---@return moonpipe.FAISS
  function Class.from_docstore(docs, opts)
    local what = name .. ".from_docstore"
    opts = errors.options(opts, { "distance_strategy", "embedding", "index" }, what)
    store_base.check_embedding(opts.embedding, what)
    local self = Class {
      docstore = store_local.check_docstore(docs, what), distance_strategy = opts.distance_strategy,
      embedding = opts.embedding, index = opts.index,
    }
    return scheduler.call(require("moonpipe.stores.faiss_file").catch_up, self, 0)
  end
end

return store_local
