local mp = require "moonpipe"

local chain = { double = function(x) return 2 * x end, same = mp.RunnablePassthrough() }
  | { sum = function(m) return m.double + m.same end, both = mp.RunnablePassthrough() }

local result = chain:invoke(7)
print(result.sum, result.both.double, result.both.same) --> 21	14	7
print(chain)
--> {double, same} | {both, sum}
