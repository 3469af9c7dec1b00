--- What each host runs: eight streams at once, and their texts one below the other.
local eight = {}

--- Starts them; done(text) is called when all have ended.
---@param mp table       moonpipe
---@param url string     base URL of the server
---@param done fun(text: string)
function eight.start(mp, url, done)
  local model = mp.ChatOpenAI { base_url = url, api_key = "sk-test", model = "m" }
  local chain = mp.pipe(mp.ChatPromptTemplate.from_template "guest {n} says good morning to all",
    model, mp.StrOutputParser())
  local texts, left = {}, 8
  local function ended()
    left = left - 1
    if left == 0 then done(table.concat(texts, "\n")) end
  end
  for i = 1, 8 do
    texts[i] = ""
    chain:start({ n = i }, {
      on_token = function(text) texts[i] = texts[i] .. text end,
      on_done = ended,
      on_error = function(err)
        texts[i] = tostring(err)
        ended()
      end,
    })
  end
end

return eight
