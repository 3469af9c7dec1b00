/*
 * kinds.cpp: what bare FAISS, one thread, takes for the work of kinds.lua.
 *
 *     kinds flat|hnsw ROWS DIM M [FILE]
 *
 * With FILE the index is the one that kinds.lua wrote to FILE.faiss.
 *
 * prints the milliseconds of adding all rows, 1,000 at once, and of one search
 * for the 10 best of all, of every second and of every tenth vector; least of
 * some rounds.
 */
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/index_io.h>

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

extern "C" void openblas_set_num_threads(int count);

namespace
{

using Clock = std::chrono::steady_clock;

constexpr size_t BATCH = 1000, QUERIES = 20, ROUNDS = 5, K = 10;
constexpr size_t TOGETHER = 64;
constexpr int EF = 64;

double ms_since(Clock::time_point start)
{
    return std::chrono::duration<double, std::milli>(Clock::now() - start)
        .count();
}

std::vector<float> random_rows(size_t count, size_t dim, unsigned seed)
{
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> number(-1, 1);
    std::vector<float> rows(count * dim);

    for (float &value : rows)
        value = number(random);
    return rows;
}

std::unique_ptr<faiss::Index> make(bool graph, int dim, int m)
{
    if (!graph) return std::make_unique<faiss::IndexFlatL2>(dim);
    auto made = std::make_unique<faiss::IndexHNSWFlat>(dim, m);
    made->hnsw.efSearch = EF;
    return made;
}

double add_ms(faiss::Index &index, const std::vector<float> &rows)
{
    size_t dim = static_cast<size_t>(index.d), count = rows.size() / dim;
    auto start = Clock::now();

    for (size_t i = 0; i < count; i += BATCH)
        index.add(static_cast<long>(std::min(BATCH, count - i)),
                  rows.data() + i * dim);
    return ms_since(start);
}

/* One of [share] counts. */
double search_ms(const faiss::Index &index, const std::vector<float> &x,
                 size_t share)
{
    std::vector<uint8_t> bits(static_cast<size_t>(index.ntotal) / 8 + 1);
    for (size_t i = 0; i < static_cast<size_t>(index.ntotal); i += share)
        bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | 1u << i % 8);
    faiss::IDSelectorBitmap selector(bits.size(), bits.data());
    faiss::SearchParameters flat;
    faiss::SearchParametersHNSW graph;
    bool walks = dynamic_cast<const faiss::IndexHNSW *>(&index);
    faiss::SearchParameters *wishes = walks ? &graph : &flat;
    float distances[K];
    faiss::Index::idx_t ids[K];
    double least = HUGE_VAL;

    graph.efSearch = EF;
    wishes->sel = share > 1 ? &selector : nullptr;
    for (size_t round = 0; round < ROUNDS; round++) {
        auto start = Clock::now();

        for (size_t i = 0; i < QUERIES; i++)
            index.search(1, x.data() + i * static_cast<size_t>(index.d), K,
                         distances, ids, wishes);
        least = std::min(least, ms_since(start) / QUERIES);
    }
    return least;
}

/* 64 in one call, by one thread or all, whichever is faster. */
double together_ms(const faiss::Index &index, const std::vector<float> &x,
                   int threads)
{
    std::vector<float> distances(TOGETHER * K);
    std::vector<faiss::Index::idx_t> ids(TOGETHER * K);
    double least = HUGE_VAL;

    for (int count : {1, threads}) {
        omp_set_num_threads(count);
        for (size_t round = 0; round < ROUNDS; round++) {
            auto start = Clock::now();

            index.search(TOGETHER, x.data(), K, distances.data(), ids.data());
            least = std::min(least, ms_since(start));
        }
    }
    return least;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        std::fprintf(stderr, "usage: kinds flat|hnsw ROWS DIM M [FILE]\n");
        return 2;
    }
    bool graph = std::strcmp(argv[1], "hnsw") == 0;
    size_t rows = std::strtoul(argv[2], nullptr, 10);
    int dim = std::atoi(argv[3]);
    std::vector<float> x;
    double add = argc == 6 ? 0 : HUGE_VAL;
    std::unique_ptr<faiss::Index> index;

    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    openblas_set_num_threads(1);
    if (argc == 6)
        index.reset(
            faiss::read_index((std::string(argv[5]) + ".faiss").c_str()));
    else
        x = random_rows(rows, static_cast<size_t>(dim), 1);
    for (int i = 0; argc == 5 && i < (graph ? 1 : 3); i++) {
        index = make(graph, dim, std::atoi(argv[4]));
        add = std::min(add, add_ms(*index, x));
    }
    if (auto walked = dynamic_cast<faiss::IndexHNSW *>(index.get()))
        walked->hnsw.efSearch = EF; /* what is wished alone widens no heap */
    x = random_rows(QUERIES, static_cast<size_t>(dim), 2);
    std::printf("add %.3f\none %.4f\n", add, search_ms(*index, x, 1));
    std::printf("half %.4f\n", search_ms(*index, x, 2));
    std::printf("tenth %.4f\n", search_ms(*index, x, 10));
    x = random_rows(TOGETHER, static_cast<size_t>(dim), 3);
    std::printf("together %.4f\n", together_ms(*index, x, threads));
}
