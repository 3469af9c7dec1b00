/*
 * faiss_graph.cpp: HNSW; see faiss_shim.h.
 *
 * The graph is FAISS's, built and walked by its code, with our distances.
 */
#include "faiss_shim.hpp"

#include <faiss/IndexFlat.h>
#include <faiss/impl/IDSelector.h>

#include <algorithm>

using faiss::HNSW;
using shim::Box;
using shim::Id;
using shim::step;

namespace
{

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

} // namespace

std::unique_ptr<faiss::Index> shim::new_graph(const mp_FaissShape &shape)
{
    auto made = std::make_unique<faiss::IndexHNSWFlat>(
        static_cast<int>(shape.dim), static_cast<int>(shape.m),
        metric_of(shape));

    made->hnsw.efConstruction = static_cast<int>(shape.ef_construction);
    return made;
}

/* What failed may have stood between two locks. */
void shim::reset_locks(Box &box)
{
    for (omp_lock_t &lock : box.locks)
        omp_init_lock(&lock);
    std::fill(box.visited.visited.begin(), box.visited.visited.end(), 0);
    box.visited.visno = 1;
}

void shim::add_linked(Box &box, const float *x, size_t count)
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

/* FAISS's bound of candidates is a field of the graph, whatever the parameters
 * say, unless more are wanted: so all of them are. */
int mp_faiss_near(const void *index, const float *x, size_t k, size_t ef,
                  const uint8_t *bits, float *distances, int64_t *ids,
                  char *message)
{
    return shim::guarded(message, [&] {
        step();
        const Box &box = *shim::box_of(index);
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
