-- A chain behind a location; nginx.conf says how. What is made here is made once a worker.
local mp = require "moonpipe"
local host = require "moonpipe.host.ngx"

local answer = {}

local chain

local function chain_of()
  chain = chain or mp.pipe(
    mp.ChatPromptTemplate.from_template "{question}",
    mp.init_chat_model(),
    mp.StrOutputParser())
  return chain
end

-- Piece by piece, as the model says it; who goes away ends it.
function answer.stream()
  ngx.header.content_type = "text/plain; charset=utf-8"
  local question = ngx.req.get_uri_args().q or "What is a plain table?"
  local ok, err = host.each(chain_of(), { question = question }, function(text)
    ngx.print(text)
    return ngx.flush(true)
  end)
  if not ok and err.kind ~= "cancelled" then ngx.say("[", err.kind, ": ", err.message, "]") end
end

-- Whole.
function answer.whole()
  local question = ngx.req.get_uri_args().q or "What is a plain table?"
  local text, err = host.invoke(chain_of(), { question = question })
  if not text then
    ngx.status = 502
    return ngx.say(err.kind, ": ", err.message)
  end
  ngx.say(text)
end

return answer
