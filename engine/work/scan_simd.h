/*
 * scan_simd.h: the inner loops; scan_kernel.c includes this file once for
 * each width of vectors, with these words defined:
 *
 *     NAME(x)  x with the width's suffix      V      a vector of W floats
 *     INLINE, OUTLINE  how functions begin    ROWS   rows of a probe
 *     LOAD(p) LOAD_SOME(p, n) SET(f)          n < W; the rest is 0
 *     ADD(a, b) SUB(a, b) FMA(a, b, c) SUM(v) c + a * b; the sum of the lanes
 *     STORE(p, v)
 *
 * Whatever tile a pair of query and row stands in, its terms are added in one
 * order: so a distance is the same bits, alone or among others.
 */

/* One more vector of a pair's terms. */
INLINE V NAME(step)(int metric, V sum, V x, V y)
{
    if (metric == MP_FAISS_INNER_PRODUCT) return FMA(x, y, sum);
    x = SUB(x, y);
    return FMA(x, x, sum);
}

/* The last dim % W numbers. */
INLINE V NAME(last_step)(int metric, V sum, const float *x, const float *y,
                         size_t rest)
{
    return NAME(step)(metric, sum, LOAD_SOME(x, rest), LOAD_SOME(y, rest));
}

/* out[q * rows + r]: query q, [step] numbers apart, with row r. The numbers of
 * queries and rows are constants where it is called. */
INLINE void NAME(tile)(int metric, size_t queries, size_t rows, const float *x,
                       size_t step, const float *y, size_t dim, float *out)
{
    size_t whole = dim / W * W, rest = dim - whole;
    V sums[MP_SCAN_SUMS], xs[MP_SCAN_QUERIES], row;

    UNROLL for (size_t i = 0; i < queries * rows; i++) sums[i] = SET(0);
    for (size_t i = 0; i < whole; i += W) {
        UNROLL for (size_t q = 0; q < queries; q++) xs[q] =
            LOAD(x + q * step + i);
        UNROLL for (size_t r = 0; r < rows; r++)
        {
            row = LOAD(y + r * dim + i);
            UNROLL for (size_t q = 0; q < queries; q++) sums[q * rows + r] =
                NAME(step)(metric, sums[q * rows + r], xs[q], row);
        }
    }
    if (rest > 0)
        UNROLL for (size_t i = 0; i < queries * rows; i++) sums[i] =
            NAME(last_step)(metric, sums[i], x + i / rows * step + whole,
                            y + i % rows * dim + whole, rest);
    UNROLL for (size_t i = 0; i < queries * rows; i++) out[i] = SUM(sums[i]);
}

#define TILE(name, metric, queries, rows)                                      \
    OUTLINE void NAME(name)(const float *x, size_t step, const float *y,       \
                            size_t dim, float *out)                            \
    {                                                                          \
        NAME(tile)(metric, queries, rows, x, step, y, dim, out);               \
    }
TILE(l2_many, MP_FAISS_L2, MP_SCAN_QUERIES, 2)
TILE(l2_four, MP_FAISS_L2, 1, 4)
TILE(l2_one, MP_FAISS_L2, 1, 1)
TILE(ip_many, MP_FAISS_INNER_PRODUCT, MP_SCAN_QUERIES, 2)
TILE(ip_four, MP_FAISS_INNER_PRODUCT, 1, 4)
TILE(ip_one, MP_FAISS_INNER_PRODUCT, 1, 1)
#undef TILE

/* Inner products of the 2 * W queries of a panel, number by number, with
 * [rows] rows: out[r * 2 * W + q]. */
INLINE void NAME(panel)(size_t rows, const float *panel, const float *y,
                        size_t dim, float *out)
{
    V low[ROWS], high[ROWS];

    UNROLL for (size_t r = 0; r < rows; r++) low[r] = high[r] = SET(0);
    for (size_t i = 0; i < dim; i++, panel += 2 * W) {
        V left = LOAD(panel), right = LOAD(panel + W);

        UNROLL for (size_t r = 0; r < rows; r++)
        {
            V number = SET(y[r * dim + i]);

            low[r] = FMA(left, number, low[r]);
            high[r] = FMA(right, number, high[r]);
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++)
    {
        STORE(out + r * 2 * W, low[r]);
        STORE(out + r * 2 * W + W, high[r]);
    }
}

OUTLINE void NAME(probe)(const float *panel, const float *y, size_t rows,
                         size_t dim, float *out)
{
    if (rows == ROWS) {
        NAME(panel)(ROWS, panel, y, dim, out);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        NAME(panel)(1, panel, y + r * dim, dim, out + r * 2 * W);
}

/* The squared length, in whatever order is fastest. */
OUTLINE float NAME(norm)(const float *y, size_t dim)
{
    V a = SET(0), b = a, c = a, d = a, v;
    size_t i = 0;

    for (; i + 4 * W <= dim; i += 4 * W) {
        v = LOAD(y + i), a = FMA(v, v, a);
        v = LOAD(y + i + W), b = FMA(v, v, b);
        v = LOAD(y + i + 2 * W), c = FMA(v, v, c);
        v = LOAD(y + i + 3 * W), d = FMA(v, v, d);
    }
    for (; i + W <= dim; i += W)
        v = LOAD(y + i), a = FMA(v, v, a);
    if (i < dim) v = LOAD_SOME(y + i, dim - i), b = FMA(v, v, b);
    return SUM(ADD(ADD(a, b), ADD(c, d)));
}

static const mp_ScanKernel NAME(kernel) = {
    {{NAME(l2_many), NAME(l2_four), NAME(l2_one)},
     {NAME(ip_many), NAME(ip_four), NAME(ip_one)}},
    NAME(probe),
    NAME(norm),
    2 * W,
    ROWS,
};

#undef NAME
#undef V
#undef W
#undef ROWS
#undef INLINE
#undef OUTLINE
#undef LOAD
#undef LOAD_SOME
#undef SET
#undef ADD
#undef SUB
#undef FMA
#undef SUM
#undef STORE
