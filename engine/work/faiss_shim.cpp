/*
 * faiss_shim.cpp: see faiss_shim.h. This file and its neighbours
 * faiss_graph.cpp and faiss_lists.cpp are all the C++ there is.
 */
#include "faiss_shim.hpp"

#include <faiss/IndexFlat.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>

#include <atomic>
#include <cstdio>
#include <cstring>

/* For the whole process, so nothing that may run inside a host calls it. */
extern "C" void openblas_set_num_threads(int count);

using namespace shim;

namespace
{

std::atomic<int64_t> steps{0};
std::atomic<int64_t> fails_at{0};
std::atomic<bool> throws_faiss{false};

/* --- an index --- */

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

void shim::step()
{
    if (fails_at == 0 || ++steps != fails_at) return;
    if (throws_faiss) throw faiss::FaissException("asked to fail");
    throw std::bad_alloc();
}

int shim::fail(char *message, int code, const char *text)
{
    std::snprintf(message, MP_FAISS_TEXT, "%s", text);
    return code;
}

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
            move_listed(*box.lists, from, to);
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
