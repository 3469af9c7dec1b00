-- luacheck: ignore 113
--: exit 1
local value = 1
print(valeu)                                    --! FILE:4:
--! 'valeu'
return value
