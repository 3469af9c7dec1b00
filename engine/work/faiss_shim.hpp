/*
 * faiss_shim.hpp: what the files of the shim share; see faiss_shim.h.
 *
 * FAISS keeps the vectors and links them; distances come from scan_kernel.c,
 * for Debian's FAISS is built for any machine.
 */
#ifndef MP_FAISS_SHIM_HPP
#define MP_FAISS_SHIM_HPP

#include "faiss_shim.h"

#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/impl/AuxIndexStructures.h>

#include <omp.h>

#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

namespace shim
{

using Id = faiss::Index::idx_t;

/* --- exceptions --- */

/* Where FAISS may throw: so do tests. */
void step();

/* Writes [text] to [message], of MP_FAISS_TEXT bytes; returns [code]. */
int fail(char *message, int code, const char *text);

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

/* --- an index --- */

struct Box {
    mp_FaissShape shape;
    std::unique_ptr<faiss::Index> index;
    faiss::IndexFlatCodes *codes = nullptr; /* all but IVF */
    faiss::IndexHNSW *graph = nullptr;
    faiss::IndexIVFFlat *lists = nullptr;
    /* HNSW: while rows are linked. */
    faiss::VisitedTable visited{0};
    std::vector<omp_lock_t> locks;

    explicit Box(const mp_FaissShape &like) : shape(like)
    {
    }
};

inline Box *box_of(void *index)
{
    return static_cast<Box *>(index);
}

inline const Box *box_of(const void *index)
{
    return static_cast<const Box *>(index);
}

inline faiss::MetricType metric_of(const mp_FaissShape &shape)
{
    return shape.metric == MP_FAISS_L2 ? faiss::METRIC_L2
                                       : faiss::METRIC_INNER_PRODUCT;
}

/* --- HNSW: faiss_graph.cpp --- */

std::unique_ptr<faiss::Index> new_graph(const mp_FaissShape &shape);

/* Adds [count] rows and links them. All or none of them have a place; when it
 * throws while it links, some of them cannot be found. */
void add_linked(Box &box, const float *x, size_t count);

/* Makes the locks anew, for a graph that was read, or after a failure. */
void reset_locks(Box &box);

/* --- IVF: faiss_lists.cpp --- */

/* An index with [centroids], shape.nlist rows. */
std::unique_ptr<faiss::Index> new_lists(const mp_FaissShape &shape,
                                        const float *centroids);

/* Adds row i of [x] to list [lists][i]: all, or none and it throws. */
void add_listed(faiss::IndexIVFFlat &ivf, const float *x, const int64_t *lists,
                size_t count);

/* Gives row [from] the number [to]; what was there is dropped by cut_lists. */
void move_listed(faiss::IndexIVFFlat &ivf, size_t from, size_t to);

/* Drops the rows from [count] on, and those that others were moved over. */
void cut_lists(faiss::IndexIVFFlat &ivf, size_t count);

} // namespace shim

#endif
