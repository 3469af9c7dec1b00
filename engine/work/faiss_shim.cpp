/*
 * faiss_shim.cpp: see faiss_shim.h. The one C++ file.
 *
 * FAISS keeps the vectors and links them; distances come from scan_kernel.c,
 * for Debian's FAISS is built for any machine.
 */
#include "faiss_shim.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

/* For the whole process, so nothing that may run inside a host calls it. */
extern "C" void openblas_set_num_threads(int count);

namespace
{

using faiss::HNSW;
using Id = faiss::Index::idx_t;

/* --- exceptions --- */

std::atomic<int64_t> steps{0};
std::atomic<int64_t> fails_at{0};
std::atomic<bool> throws_faiss{false};

/* Where FAISS may throw: so do tests. */
void step()
{
    if (fails_at == 0 || ++steps != fails_at) return;
    if (throws_faiss) throw faiss::FaissException("asked to fail");
    throw std::bad_alloc();
}

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

Box *box_of(void *index)
{
    return static_cast<Box *>(index);
}

const Box *box_of(const void *index)
{
    return static_cast<const Box *>(index);
}

faiss::MetricType metric_of(const mp_FaissShape &shape)
{
    return shape.metric == MP_FAISS_L2 ? faiss::METRIC_L2
                                       : faiss::METRIC_INNER_PRODUCT;
}

/* Finds the parts of [box]'s index, which came from wherever. */
void adopt(Box &box)
{
    faiss::Index *index = box.index.get();
    bool good = index->d == static_cast<Id>(box.shape.dim) &&
                index->metric_type == metric_of(box.shape);

    box.graph = dynamic_cast<faiss::IndexHNSW *>(index);
    box.lists = dynamic_cast<faiss::IndexIVFFlat *>(index);
    box.codes = dynamic_cast<faiss::IndexFlatCodes *>(
        box.graph ? box.graph->storage : index);
    switch (box.shape.kind) {
    case MP_FAISS_FLAT: good = good && box.codes && !box.graph; break;
    case MP_FAISS_HNSW: good = good && box.codes && box.graph; break;
    case MP_FAISS_IVF:
        good = good && box.lists &&
               dynamic_cast<faiss::IndexFlat *>(box.lists->quantizer);
        break;
    case MP_FAISS_SQ: good = good && box.codes && !box.graph; break;
    }
    if (!good) throw faiss::FaissException("an index of another shape");
}

std::unique_ptr<faiss::Index> new_graph(const mp_FaissShape &shape)
{
    auto made = std::make_unique<faiss::IndexHNSWFlat>(
        static_cast<int>(shape.dim), static_cast<int>(shape.m),
        metric_of(shape));

    made->hnsw.efConstruction = static_cast<int>(shape.ef_construction);
    return made;
}

std::unique_ptr<faiss::Index> new_lists(const mp_FaissShape &shape,
                                        const float *centroids)
{
    auto centers = std::make_unique<faiss::IndexFlat>(
        static_cast<Id>(shape.dim), metric_of(shape));

    centers->add(static_cast<Id>(shape.nlist), centroids);
    auto made = std::make_unique<faiss::IndexIVFFlat>(
        centers.get(), shape.dim, shape.nlist, metric_of(shape));
    made->own_fields = true;
    centers.release();
    made->is_trained = true;
    made->set_direct_map_type(faiss::DirectMap::Array);
    return made;
}

std::unique_ptr<faiss::Index> new_index(const mp_FaissShape &shape,
                                        const float *x, size_t count)
{
    if (shape.kind == MP_FAISS_HNSW) return new_graph(shape);
    if (shape.kind == MP_FAISS_IVF) return new_lists(shape, x);
    if (shape.kind == MP_FAISS_FLAT)
        return std::make_unique<faiss::IndexFlat>(static_cast<Id>(shape.dim),
                                                  metric_of(shape));
    auto made = std::make_unique<faiss::IndexScalarQuantizer>(
        static_cast<int>(shape.dim), faiss::ScalarQuantizer::QT_8bit,
        metric_of(shape));
    made->train(static_cast<Id>(count), x);
    return made;
}

/* --- HNSW --- */

/* What FAISS's graph calls for distances; less is nearer. */
struct Distance : faiss::DistanceComputer {
    const mp_FaissShape &shape;
    const float *rows;
    const float *x = nullptr;
    float sign;

    explicit Distance(const Box &box)
        : shape(box.shape),
          rows(reinterpret_cast<const float *>(box.codes->codes.data())),
          sign(box.shape.metric == MP_FAISS_L2 ? 1.f : -1.f)
    {
    }

    float between(const float *a, const float *b) const
    {
        float out;

        shape.compare(a, 0, b, shape.dim, &out);
        return sign * out;
    }

    const float *row(Id i) const
    {
        return rows + static_cast<size_t>(i) * shape.dim;
    }

    void set_query(const float *query) override
    {
        x = query;
    }

    float operator()(Id i) override
    {
        return between(x, row(i));
    }

    float symmetric_dis(Id i, Id j) override
    {
        return between(row(i), row(j));
    }
};

/* Makes room for [count] rows and their links; as if nothing was, if it fails.
 */
void admit(Box &box, const float *x, size_t count)
{
    HNSW &hnsw = box.graph->hnsw;
    size_t before = static_cast<size_t>(box.codes->ntotal);
    size_t links = hnsw.neighbors.size();

    try {
        box.codes->add(static_cast<Id>(count), x);
        step();
        box.locks.resize(before + count);
        box.visited.visited.resize(before + count);
        hnsw.prepare_level_tab(count);
        step();
    } catch (...) {
        box.codes->codes.resize(before * box.codes->code_size);
        box.codes->ntotal = static_cast<Id>(before);
        hnsw.levels.resize(before);
        hnsw.offsets.resize(before + 1);
        hnsw.neighbors.resize(links);
        throw;
    }
    for (size_t i = before; i < before + count; i++)
        omp_init_lock(&box.locks[i]);
    box.graph->ntotal = box.codes->ntotal;
}

/* What failed may have stood between two locks. */
void reset_locks(Box &box)
{
    for (omp_lock_t &lock : box.locks)
        omp_init_lock(&lock);
    std::fill(box.visited.visited.begin(), box.visited.visited.end(), 0);
    box.visited.visno = 1;
}

void add_linked(Box &box, const float *x, size_t count)
{
    HNSW &hnsw = box.graph->hnsw;
    size_t before = static_cast<size_t>(box.codes->ntotal);

    admit(box, x, count);
    try {
        Distance distance(box);

        for (size_t i = before; i < before + count; i++) {
            step();
            distance.set_query(distance.row(static_cast<Id>(i)));
            hnsw.add_with_locks(distance, hnsw.levels[i] - 1,
                                static_cast<int>(i), box.locks, box.visited);
        }
    } catch (...) {
        reset_locks(box);
        throw;
    }
}

/* --- IVF --- */

Id place_of(size_t list, size_t offset)
{
    return static_cast<Id>(faiss::lo_build(list, offset));
}

void cut_lists(faiss::IndexIVFFlat &ivf, size_t count)
{
    std::vector<Id> &map = ivf.direct_map.array;
    auto lists = dynamic_cast<faiss::ArrayInvertedLists *>(ivf.invlists);

    for (size_t list = 0; list < ivf.nlist; list++) {
        std::vector<Id> &ids = lists->ids[list];
        uint8_t *codes = lists->codes[list].data();
        size_t kept = 0;

        for (size_t i = 0; i < ids.size(); i++) {
            size_t id = static_cast<size_t>(ids[i]);

            /* A row that was moved over this one has its number now. */
            if (id >= count || map[id] != place_of(list, i)) continue;
            std::memmove(codes + kept * ivf.code_size,
                         codes + i * ivf.code_size, ivf.code_size);
            map[id] = place_of(list, kept);
            ids[kept++] = static_cast<Id>(id);
        }
        lists->resize(list, kept);
    }
    map.resize(count);
    ivf.ntotal = static_cast<Id>(count);
}

void add_listed(faiss::IndexIVFFlat &ivf, const float *x, const int64_t *lists,
                size_t count)
{
    size_t before = static_cast<size_t>(ivf.ntotal);
    auto codes = reinterpret_cast<const uint8_t *>(x);

    ivf.direct_map.array.reserve(before + count);
    try {
        for (size_t i = 0; i < count; i++) {
            step();
            Id id = static_cast<Id>(before + i);
            size_t list = static_cast<size_t>(lists[i]);
            size_t at =
                ivf.invlists->add_entry(list, id, codes + i * ivf.code_size);

            ivf.direct_map.array.push_back(place_of(list, at));
        }
        ivf.ntotal = static_cast<Id>(before + count);
    } catch (...) {
        cut_lists(ivf, before);
        throw;
    }
}

/* --- bytes --- */

struct Writer : faiss::IOWriter {
    mp_FaissPut put;
    void *self;

    size_t operator()(const void *bytes, size_t size, size_t count) override
    {
        if (!put(self, bytes, size * count)) throw std::bad_alloc();
        return count;
    }
};

struct Reader : faiss::IOReader {
    const char *bytes;
    size_t left;

    size_t operator()(void *out, size_t size, size_t count) override
    {
        if (size == 0) return count;
        if (count > left / size) count = left / size;
        std::memcpy(out, bytes, size * count);
        bytes += size * count;
        left -= size * count;
        return count;
    }
};

/* A batch of one row grows the vector a little; of many, as much as they need.
 */
void add_codes(faiss::IndexFlatCodes &codes, const float *x, size_t count)
{
    auto bytes = reinterpret_cast<const uint8_t *>(x);

    codes.codes.insert(codes.codes.end(), bytes,
                       bytes + count * codes.code_size);
    codes.ntotal += static_cast<Id>(count);
}

} // namespace

int mp_faiss_make(void **index, const mp_FaissShape *shape, const float *x,
                  size_t count, char *message)
{
    return guarded(message, [&] {
        step();
        auto box = std::make_unique<Box>(*shape);

        omp_set_num_threads(1); /* of this thread's parallel regions */
        box->index = new_index(*shape, x, count);
        adopt(*box);
        *index = box.release();
    });
}

int mp_faiss_drop(void *index, char *message)
{
    return guarded(message, [&] { delete box_of(index); });
}

/* This thread's parallel regions have one thread. Flat indexes have none, and
 * what libgomp keeps for a thread is lost in a forked child. */
static void work_alone(const Box &box)
{
    if (box.shape.kind != MP_FAISS_FLAT) omp_set_num_threads(1);
}

int mp_faiss_add(void *index, const float *x, const int64_t *lists,
                 size_t count, char *message)
{
    return guarded(message, [&] {
        step();
        Box &box = *box_of(index);

        work_alone(box);
        switch (box.shape.kind) {
        case MP_FAISS_FLAT: add_codes(*box.codes, x, count); break;
        case MP_FAISS_HNSW: add_linked(box, x, count); break;
        case MP_FAISS_IVF: add_listed(*box.lists, x, lists, count); break;
        case MP_FAISS_SQ: box.index->add(static_cast<Id>(count), x); break;
        }
    });
}

int mp_faiss_count(const void *index, size_t *count, char *message)
{
    return guarded(message, [&] {
        *count = static_cast<size_t>(box_of(index)->index->ntotal);
    });
}

int mp_faiss_cut(void *index, size_t count, char *message)
{
    return guarded(message, [&] {
        Box &box = *box_of(index);

        if (box.lists) {
            cut_lists(*box.lists, count);
        } else if (!box.graph) {
            box.codes->codes.resize(count * box.codes->code_size);
            box.codes->ntotal = static_cast<Id>(count);
        }
    });
}

int mp_faiss_move(void *index, size_t from, size_t to, char *message)
{
    return guarded(message, [&] {
        Box &box = *box_of(index);

        if (box.lists) {
            std::vector<Id> &map = box.lists->direct_map.array;
            auto lists =
                dynamic_cast<faiss::ArrayInvertedLists *>(box.lists->invlists);
            Id place = map[from];

            lists->ids[faiss::lo_listno(place)][faiss::lo_offset(place)] =
                static_cast<Id>(to);
            map[to] = place;
        } else {
            size_t size = box.codes->code_size;
            uint8_t *codes = box.codes->codes.data();

            std::memmove(codes + to * size, codes + from * size, size);
        }
    });
}

int mp_faiss_get(const void *index, size_t first, size_t count, float *out,
                 char *message)
{
    return guarded(message, [&] {
        step();
        const Box &box = *box_of(index);

        work_alone(box);
        for (size_t i = 0; box.lists && i < count; i++)
            box.lists->reconstruct(static_cast<Id>(first + i),
                                   out + i * box.shape.dim);
        if (box.codes)
            box.codes->reconstruct_n(static_cast<Id>(first),
                                     static_cast<Id>(count), out);
    });
}

int mp_faiss_rows(const void *index, const float **rows, char *message)
{
    return guarded(message, [&] {
        step();
        const Box &box = *box_of(index);
        bool flat = box.shape.kind == MP_FAISS_FLAT || box.graph;

        *rows = flat && box.codes->ntotal > 0
                    ? reinterpret_cast<const float *>(box.codes->codes.data())
                    : nullptr;
    });
}

int mp_faiss_centroids(const void *index, const float **rows, size_t *count,
                       char *message)
{
    return guarded(message, [&] {
        step();
        const faiss::IndexIVFFlat &lists = *box_of(index)->lists;

        *rows =
            dynamic_cast<const faiss::IndexFlat &>(*lists.quantizer).get_xb();
        *count = lists.nlist;
    });
}

int mp_faiss_list(const void *index, size_t list, const float **rows,
                  const int64_t **ids, size_t *count, char *message)
{
    return guarded(message, [&] {
        step();
        const faiss::InvertedLists &lists = *box_of(index)->lists->invlists;

        *rows = reinterpret_cast<const float *>(lists.get_codes(list));
        *ids = lists.get_ids(list);
        *count = lists.list_size(list);
    });
}

/* FAISS's bound of candidates is a field of the graph, whatever the parameters
 * say, unless more are wanted: so all of them are. */
int mp_faiss_near(const void *index, const float *x, size_t k, size_t ef,
                  const uint8_t *bits, float *distances, int64_t *ids,
                  char *message)
{
    return guarded(message, [&] {
        step();
        const Box &box = *box_of(index);
        size_t count = static_cast<size_t>(box.index->ntotal);
        size_t most = std::min(std::max(k, ef), count);
        std::vector<float> near(most);
        std::vector<Id> near_ids(most);
        faiss::VisitedTable visited(static_cast<int>(count));
        faiss::IDSelectorBitmap selector(count / 8 + 1, bits);
        faiss::SearchParametersHNSW wishes;
        Distance distance(box);

        wishes.efSearch = static_cast<int>(most);
        wishes.sel = bits ? &selector : nullptr;
        faiss::maxheap_heapify(most, near.data(), near_ids.data());
        distance.set_query(x);
        box.graph->hnsw.search(distance, static_cast<int>(most),
                               near_ids.data(), near.data(), visited, &wishes);
        faiss::maxheap_reorder(most, near.data(), near_ids.data());
        for (size_t i = 0; i < k; i++) {
            ids[i] = i < most ? near_ids[i] : -1;
            distances[i] = i < most ? distance.sign * near[i] : 0;
        }
    });
}

int mp_faiss_write(const void *index, mp_FaissPut put, void *self,
                   char *message)
{
    return guarded(message, [&] {
        step();
        Writer writer;

        writer.put = put;
        writer.self = self;
        faiss::write_index(box_of(index)->index.get(), &writer);
    });
}

int mp_faiss_read(void **index, const mp_FaissShape *shape, const char *bytes,
                  size_t len, char *message)
{
    return guarded(message, [&] {
        step();
        auto box = std::make_unique<Box>(*shape);
        Reader reader;

        reader.bytes = bytes;
        reader.left = len;
        box->index.reset(faiss::read_index(&reader));
        adopt(*box);
        if (box->graph) {
            box->locks.resize(static_cast<size_t>(box->index->ntotal));
            box->visited.visited.resize(box->locks.size());
            reset_locks(*box);
        }
        *index = box.release();
    });
}

int mp_faiss_search(const void *index, const float *x, size_t nq, size_t k,
                    size_t effort, float *distances, int64_t *ids,
                    char *message)
{
    return guarded(message, [&] {
        const Box &box = *box_of(index);
        faiss::SearchParametersIVF lists;

        lists.nprobe = effort;
        if (box.graph) box.graph->hnsw.efSearch = static_cast<int>(effort);
        omp_set_num_threads(1);
        openblas_set_num_threads(1);
        box.index->search(static_cast<Id>(nq), x, static_cast<Id>(k), distances,
                          ids, box.lists ? &lists : nullptr);
    });
}

int mp_faiss_fail_at(int64_t nth, int as_faiss, int64_t *since)
{
    *since = steps;
    steps = 0;
    throws_faiss = as_faiss != 0;
    fails_at = nth;
    return MP_FAISS_OK;
}
