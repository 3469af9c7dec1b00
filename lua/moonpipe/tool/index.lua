--- `moonpipe index`: files into a store that `moonpipe ask` and `FAISS.load_local` read.
local host = require "moonpipe.tool.host"
local languages = require "moonpipe.splitters.languages"
local mp = require "moonpipe"

local index = {
  name = "index",
  usage = "PATHS... -o FILE",
  summary = "Makes an index of files and folders, or brings one up to date.",
  about = "What has not changed is not embedded again; texts of files that are gone are removed.\n"
    .. "Beside FILE stands FILE.records: what was read, when. Interrupted, it goes on\n"
    .. "where it was when it is called again. Without a key it works offline.",
  example = "moonpipe index README.md docs -o docs.mp",
  options = {
    { name = "output", short = "o", value = "FILE", help = "the index" },
    { name = "embeddings", value = "NAME",
      help = "default: those of the index, or what the environment\noffers, else hash" },
    { name = "chunk-size", value = "N", is = "integer",
      help = "bytes of a text at most; default: 1000" },
    { name = "overlap", value = "N", is = "integer",
      help = "bytes that neighbours share; default: 100" },
    { name = "index", value = "KIND", among = { "flat", "hnsw", "ivf", "sq" },
      help = "flat, hnsw, ivf or sq; default: flat" },
    { name = "keep-going", help = "tell of files that cannot be read, and go on" },
    { name = "quiet", short = "q", help = "no progress, no summary" },
  },
}

local FAILED = 1

-- ---- texts -------------------------------------------------------------------------------

-- Endings of files that are not their language's name.
local ENDINGS = {
  cc = "cpp", cs = "csharp", cxx = "cpp", h = "c", hpp = "cpp", htm = "html", kt = "kotlin",
  pl = "perl", py = "python", rb = "ruby", rs = "rust", tex = "latex",
}

-- Cuts each document where its language is best cut.
local function splitter_of(opts)
  local made = {}
  local function for_ending(ending)
    local language = ENDINGS[ending] or ending
    if not languages[language] then language = "" end
    if not made[language] then
      made[language] = language == "" and mp.RecursiveCharacterTextSplitter(opts)
        or mp.RecursiveCharacterTextSplitter.from_language(language, opts)
    end
    return made[language]
  end
  return { split_documents = function(_, documents)
    local out = {}
    for _, doc in ipairs(documents) do
      local ending = tostring(doc.metadata.source or ""):match("%.([%w]+)$") or ""
      for _, piece in ipairs(for_ending(ending:lower()):split_documents { doc }) do
        out[#out + 1] = piece
      end
    end
    return out
  end }
end

-- ---- the store ---------------------------------------------------------------------------

local function open_store(given)
  local named = given.embeddings and mp.init_embeddings(given.embeddings) or nil
  if host.exists(given.output) then
    return mp.FAISS.load_local(given.output, { embedding = named })
  end
  return mp.FAISS {
    embedding = named or mp.init_embeddings(), index = given.index, distance_strategy = "cosine",
  }
end

-- The ids of texts whose file is no more.
local function orphans(store)
  local ids, gone = {}, {}
  for _, doc in ipairs(store:documents()) do
    local source = doc.metadata.source
    if type(source) == "string" then
      if gone[source] == nil then gone[source] = not host.exists(source) end
      if gone[source] then ids[#ids + 1] = doc.id end
    end
  end
  return ids
end

local function remove_orphans(store, records, path)
  local ids = orphans(store)
  if #ids == 0 then return 0 end
  store:delete(ids)
  store:save_local(path)
  records:delete_keys(ids)
  return #ids
end

-- ---- the command -------------------------------------------------------------------------

local function tell(result)
  for _, one in ipairs(result.errors) do
    io.stderr:write("moonpipe: ", mp.printable(tostring(one.error)), "\n")
  end
end

local function summary(path, store, result, removed)
  print(("%s: %d texts (%d added, %d unchanged, %d removed%s)"):format(path, store:count(),
    result.added + result.updated, result.skipped, result.deleted + removed,
    result.failed > 0 and (", %d failed"):format(result.failed) or ""))
end

function index.run(given, words)
  if #words == 0 then return "index takes files or folders" end
  if not given.output then return "index takes -o FILE, where the index goes" end
  local splitter = splitter_of { chunk_size = given.chunk_size or 1000,
    chunk_overlap = given.overlap or 100 }
  local store = open_store(given)
  local records = mp.SQLiteRecordManager("index", { path = given.output .. ".records" })
  local result = mp.ingest {
    paths = words, splitter = splitter, store = store, record_manager = records,
    cleanup = "incremental", source_id_key = "source", save_to = given.output,
    on_error = given.keep_going and "collect" or nil, progress = not given.quiet,
  }
  local removed = remove_orphans(store, records, given.output)
  tell(result)
  if not given.quiet then summary(given.output, store, result, removed) end
  return result.failed > 0 and FAILED or nil
end

return index
