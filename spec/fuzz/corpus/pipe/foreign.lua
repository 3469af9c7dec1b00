x = a & b | c ~ d << 1 // 2 >> 3 || e ?? f?.g | not -#h ~= i .. j ^ k
x |= 1
