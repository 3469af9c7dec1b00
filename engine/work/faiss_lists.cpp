/*
 * faiss_lists.cpp: IVF; see faiss_shim.h.
 *
 * The lists are FAISS's; which list a row belongs to is found by the caller,
 * with our distances.
 */
#include "faiss_shim.hpp"

#include <faiss/IndexFlat.h>

#include <cstring>

using shim::box_of;
using shim::guarded;
using shim::Id;
using shim::step;

std::unique_ptr<faiss::Index> shim::new_lists(const mp_FaissShape &shape,
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

static Id place_of(size_t list, size_t offset)
{
    return static_cast<Id>(faiss::lo_build(list, offset));
}

void shim::cut_lists(faiss::IndexIVFFlat &ivf, size_t count)
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

void shim::add_listed(faiss::IndexIVFFlat &ivf, const float *x,
                      const int64_t *lists, size_t count)
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

void shim::move_listed(faiss::IndexIVFFlat &ivf, size_t from, size_t to)
{
    std::vector<Id> &map = ivf.direct_map.array;
    auto lists = dynamic_cast<faiss::ArrayInvertedLists *>(ivf.invlists);
    Id place = map[from];

    lists->ids[faiss::lo_listno(place)][faiss::lo_offset(place)] =
        static_cast<Id>(to);
    map[to] = place;
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
