/* scan_kernel.c: see scan_kernel.h. The loops themselves are in scan_simd.h. */
#include "scan_kernel.h"

#include "faiss_shim.h"
#include "scan.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#if defined __x86_64__
#include <immintrin.h>
#endif

#if defined __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* --- plain C: vectors of four, which the compiler knows everywhere --- */

typedef float Four __attribute__((vector_size(16)));

static inline Four load_four(const float *p, size_t count)
{
    Four v = {0, 0, 0, 0};

    memcpy(&v, p, count * sizeof *p);
    return v;
}

#define NAME(x)         x##_plain
#define V               Four
#define W               4
#define ROWS            4
#define INLINE          static inline __attribute__((always_inline))
#define OUTLINE         static
#define LOAD(p)         load_four(p, 4)
#define LOAD_SOME(p, n) load_four(p, n)
#define SET(f)          ((Four){(f), (f), (f), (f)})
#define ADD(a, b)       ((a) + (b))
#define SUB(a, b)       ((a) - (b))
#define FMA(a, b, c)    ((a) * (b) + (c))
#define SUM(v)          (((v)[0] + (v)[2]) + ((v)[1] + (v)[3]))
#define STORE(p, v)     memcpy(p, &(v), sizeof(Four))
#include "scan_simd.h"

#if defined __x86_64__

/* --- AVX2 --- */

#define AVX2 __attribute__((target("avx2,fma")))

AVX2 static inline __m256 load_eight(const float *p, size_t count)
{
    static const int32_t mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

    return _mm256_maskload_ps(
        p, _mm256_loadu_si256((const __m256i *)(mask + 8 - count)));
}

AVX2 static inline float sum_eight(__m256 v)
{
    __m128 four =
        _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

#define NAME(x)         x##_avx2
#define V               __m256
#define W               8
#define ROWS            6
#define INLINE          AVX2 static inline __attribute__((always_inline))
#define OUTLINE         AVX2 static
#define LOAD(p)         _mm256_loadu_ps(p)
#define LOAD_SOME(p, n) load_eight(p, n)
#define SET(f)          _mm256_set1_ps(f)
#define ADD(a, b)       _mm256_add_ps(a, b)
#define SUB(a, b)       _mm256_sub_ps(a, b)
#define FMA(a, b, c)    _mm256_fmadd_ps(a, b, c)
#define SUM(v)          sum_eight(v)
#define STORE(p, v)     _mm256_storeu_ps(p, v)
#include "scan_simd.h"

/* --- AVX-512 --- */

#define NAME(x) x##_avx512
#define V       __m512
#define W       16
#define ROWS    12
#define INLINE                                                                 \
    __attribute__((target("avx512f"))) static inline                           \
        __attribute__((always_inline))
#define OUTLINE         __attribute__((target("avx512f"))) static
#define LOAD(p)         _mm512_loadu_ps(p)
#define LOAD_SOME(p, n) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p)
#define SET(f)          _mm512_set1_ps(f)
#define ADD(a, b)       _mm512_add_ps(a, b)
#define SUB(a, b)       _mm512_sub_ps(a, b)
#define FMA(a, b, c)    _mm512_fmadd_ps(a, b, c)
#define SUM(v)          _mm512_reduce_add_ps(v)
#define STORE(p, v)     _mm512_storeu_ps(p, v)
#include "scan_simd.h"

#endif

static atomic_size_t most_floats = 16;

const mp_ScanKernel *mp_scan_kernel(void)
{
#if defined __x86_64__
    size_t most = atomic_load(&most_floats);

    if (most >= 16 && __builtin_cpu_supports("avx512f")) return &kernel_avx512;
    if (most >= 8 && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma"))
        return &kernel_avx2;
#endif
    return &kernel_plain;
}

size_t mp_scan_limit(size_t floats)
{
    atomic_store(&most_floats, floats);
    return mp_scan_kernel()->lanes / 2;
}
