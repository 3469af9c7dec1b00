"""What Debian's FAISS for Python finds: ROWS QUERIES are files of float32, then
the dimension and k. Prints a line of `id:distance` for each query."""
import sys

import faiss
import numpy

rows_path, queries_path, dim, k = sys.argv[1:]
rows = numpy.fromfile(rows_path, dtype=numpy.float32).reshape(-1, int(dim))
queries = numpy.fromfile(queries_path, dtype=numpy.float32).reshape(-1, int(dim))
index = faiss.IndexFlatL2(int(dim))
index.add(rows)
distances, ids = index.search(queries, int(k))
for one, two in zip(ids, distances):
    print(" ".join("%d:%.9g" % pair for pair in zip(one, two)))
