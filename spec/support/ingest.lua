--- What specs of mp.ingest say in short: documents and contents of a store as "source:text" words.
local helper = require "spec.helper"
local mp = require "moonpipe"

local ingest = {}

function ingest.doc(text, source)
  return mp.Document(text, { source = source })
end

--- Documents of "source:text" words.
function ingest.docs(list)
  local out = {}
  for source, text in list:gmatch("(%S+):(%S+)") do out[#out + 1] = ingest.doc(text, source) end
  return out
end

--- The words of what is in a store, sorted, one for each document.
function ingest.words(store)
  local list = {}
  for i, one in ipairs((store:_all())) do
    list[i] = one.metadata.source .. ":" .. one.page_content
  end
  table.sort(list)
  return list
end

--- The same as one text.
function ingest.contents(store)
  return table.concat(ingest.words(store), " ")
end

function ingest.records()
  return mp.SQLiteRecordManager("docs", { path = helper.fresh() })
end

--- An ingest in which nothing fails, in a few words: "added updated skipped deleted".
function ingest.told(opts)
  local result = mp.ingest(opts)
  assert(result.failed == 0, result.failed)
  return ("%d %d %d %d"):format(result.added, result.updated, result.skipped, result.deleted)
end

return ingest
