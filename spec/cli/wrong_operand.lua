-- luacheck: ignore 221
--: exit 1
local mp = require "moonpipe"
local prompt = mp.ChatPromptTemplate.from_template "{x}"
print(rawget(_G, "modle"))                      --> nil
local modle
return prompt
  | modle --! FILE:8: cannot pipe 'modle' (nil)
