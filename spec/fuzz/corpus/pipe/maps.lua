return {a = {b, c; d = ({e | f})}, ["g h"] = i, [1.5] = j, [k()] = {}, ...} | ({l}) | m{n = o}
