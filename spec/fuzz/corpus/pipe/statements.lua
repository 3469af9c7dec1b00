local function f(a, ...) return a | ... end
function a.b.c:d(x) self.y, z[1 | 2] = x | 3, nil; return end
if a | b then goto done elseif not c then return end
for i = 1 | 2, 10, 2 do while x | y do break end end
for k, v in pairs(t | u), nil do repeat local w until w | k end
do ::done:: goto = goto | {} end
