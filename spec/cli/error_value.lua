--: exit 1
local thing = setmetatable({}, { __tostring = function() return "a thing" end })
error(thing)                                    --! a thing
