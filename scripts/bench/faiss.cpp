/*
 * faiss.cpp: what bare FAISS takes for the work of scripts/bench/vector.
 *
 *     faiss THREADS ROWS DIM K ROUNDS NQ...
 *
 * prints for each NQ the least time, of ROUNDS, of one IndexFlat::search with
 * that many queries, as a line `nqNQ milliseconds`. THREADS is the number of
 * OpenMP's and of OpenBLAS's threads, which FAISS uses in turns.
 */
#include <faiss/IndexFlat.h>

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" void openblas_set_num_threads(int count);

namespace
{

using Clock = std::chrono::steady_clock;

std::vector<float> random_rows(size_t count, size_t dim, unsigned seed)
{
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> number(-1, 1);
    std::vector<float> rows(count * dim);

    for (float &value : rows)
        value = number(random);
    return rows;
}

double search_ms(const faiss::IndexFlat &index, size_t nq, long k,
                 const std::vector<float> &x)
{
    std::vector<float> distances(nq * k);
    std::vector<faiss::Index::idx_t> ids(nq * k);
    auto start = Clock::now();

    index.search(nq, x.data(), k, distances.data(), ids.data());
    return std::chrono::duration<double, std::milli>(Clock::now() - start)
        .count();
}

double least_ms(const faiss::IndexFlat &index, size_t nq, long k, int rounds)
{
    double least = HUGE_VAL;

    for (int i = 0; i < rounds; i++)
        least = std::min(
            least, search_ms(index, nq, k, random_rows(nq, index.d, 2 + i)));
    return least;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 7) {
        std::fprintf(stderr, "usage: faiss THREADS ROWS DIM K ROUNDS NQ...\n");
        return 2;
    }
    int threads = std::atoi(argv[1]), dim = std::atoi(argv[3]);
    size_t rows = std::strtoul(argv[2], nullptr, 10);
    faiss::IndexFlatL2 index(dim);

    omp_set_num_threads(threads);
    openblas_set_num_threads(threads);
    index.add(rows, random_rows(rows, dim, 1).data());
    for (int i = 6; i < argc; i++)
        std::printf("nq%s %.3f\n", argv[i],
                    least_ms(index, std::strtoul(argv[i], nullptr, 10),
                             std::atol(argv[4]), std::atoi(argv[5])));
}
