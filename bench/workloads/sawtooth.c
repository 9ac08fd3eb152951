/* sawtooth TEETH: memory grows to a peak between 10 and 60 MiB and falls to nothing, TEETH times. A tooth's blocks
 * have sizes around its own mean, from 24 bytes to 2 KiB, and are freed oldest first.
 *
 * Batch jobs, garbage collections, frames of a game. An allocator that gives everything back after each tooth
 * pays for its pages again; one that never does keeps the highest peak for ever. */
#include "support/bench.h"

enum { PLACES = 1 << 21, MIB = 1 << 20 };

static void tooth(void **places, uint64_t *seed)
{
    size_t peak = (10 + bench_below(seed, 51)) * MIB, mean = (size_t)24 << bench_below(seed, 7);
    size_t count = 0;
    for (size_t bytes = 0; bytes < peak && count < PLACES; count++) {
        size_t size = mean / 2 + bench_below(seed, mean) + 8;
        places[count] = bench_filled(size);
        bytes += size;
    }
    for (size_t i = 0; i < count; i++)
        free(places[i]);
}

int main(int argc, char **argv)
{
    const size_t teeth = bench_number(argc, argv, 1);
    void **places = bench_table(PLACES * sizeof *places);
    uint64_t seed = 1;
    bench_start();
    for (size_t i = 0; i < teeth; i++)
        tooth(places, &seed);
    bench_stop();
    bench_settle(0);
    return 0;
}
