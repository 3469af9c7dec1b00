local mp = require "moonpipe"

local model = mp.FakeListChatModel { responses = { "one two" } }
local count, text = 0, ""
for chunk in (model | mp.StrOutputParser()):stream "x" do
  count, text = count + 1, text .. chunk
end
print(text, count > 1)                          --> one two	true
