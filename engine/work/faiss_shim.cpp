/*
 * faiss_shim.cpp: see faiss_shim.h. The one C++ file.
 *
 * Flat indexes only: FAISS keeps their vectors, scan.c looks at them.
 */
#include "faiss_shim.h"

#include <faiss/IndexFlat.h>

#include <omp.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>

/* For the whole process, so nothing that may run inside a host calls it. */
extern "C" void openblas_set_num_threads(int count);

namespace
{

int fail(char *message, int code, const char *text)
{
    std::snprintf(message, MP_FAISS_TEXT, "%s", text);
    return code;
}

/* Calls [body] and stops every exception. */
template <typename Body> int guarded(char *message, Body body) noexcept
{
    try {
        body();
        return MP_FAISS_OK;
    } catch (const std::bad_alloc &) {
        return fail(message, MP_FAISS_MEMORY, "out of memory");
    } catch (const std::length_error &) {
        return fail(message, MP_FAISS_MEMORY, "out of memory");
    } catch (const std::exception &err) {
        return fail(message, MP_FAISS_INTERNAL, err.what());
    } catch (...) {
        return fail(message, MP_FAISS_INTERNAL, "an unknown exception");
    }
}

faiss::IndexFlat *flat(void *index)
{
    return static_cast<faiss::IndexFlat *>(index);
}

} // namespace

int mp_faiss_make(void **index, int metric, size_t dim, char *message)
{
    return guarded(message, [&] {
        *index = new faiss::IndexFlat(static_cast<faiss::Index::idx_t>(dim),
                                      metric == MP_FAISS_L2
                                          ? faiss::METRIC_L2
                                          : faiss::METRIC_INNER_PRODUCT);
    });
}

int mp_faiss_drop(void *index, char *message)
{
    return guarded(message, [&] { delete flat(index); });
}

int mp_faiss_add(void *index, const float *x, size_t count, char *message)
{
    return guarded(message, [&] {
        flat(index)->add(static_cast<faiss::Index::idx_t>(count), x);
    });
}

int mp_faiss_cut(void *index, size_t count, char *message)
{
    return guarded(message, [&] {
        faiss::IndexFlat *self = flat(index);

        self->codes.resize(count * self->code_size);
        self->ntotal = static_cast<faiss::Index::idx_t>(count);
    });
}

int mp_faiss_move(void *index, size_t from, size_t to, char *message)
{
    return guarded(message, [&] {
        faiss::IndexFlat *self = flat(index);

        std::memmove(self->codes.data() + to * self->code_size,
                     self->codes.data() + from * self->code_size,
                     self->code_size);
    });
}

int mp_faiss_get(const void *index, size_t first, size_t count, float *out,
                 char *message)
{
    return guarded(message, [&] {
        static_cast<const faiss::IndexFlat *>(index)->reconstruct_n(
            static_cast<faiss::Index::idx_t>(first),
            static_cast<faiss::Index::idx_t>(count), out);
    });
}

int mp_faiss_rows(const void *index, const float **rows, char *message)
{
    return guarded(message, [&] {
        auto self = static_cast<const faiss::IndexFlat *>(index);

        *rows = self->ntotal > 0 ? self->get_xb() : nullptr;
    });
}

int mp_faiss_search(const void *index, const float *x, size_t nq, size_t k,
                    float *distances, int64_t *ids, char *message)
{
    return guarded(message, [&] {
        omp_set_num_threads(1); /* of this thread's parallel regions */
        openblas_set_num_threads(1);
        static_cast<const faiss::IndexFlat *>(index)->search(
            static_cast<faiss::Index::idx_t>(nq), x,
            static_cast<faiss::Index::idx_t>(k), distances, ids);
    });
}
