/* large COUNT: keeps 20 blocks of 100 KiB to 1 MiB, each page written, and replaces one at random, COUNT times.
 *
 * Images, network buffers, columns of a table. An allocator that gets each such block from the kernel and gives
 * it back pays for every page again, which costs far more than the call. */
#include "support/bench.h"

enum { LIVE = 20, LEAST = 100 << 10, MOST = 1 << 20, PAGE = 4096 };

int main(int argc, char **argv)
{
    const size_t count = bench_number(argc, argv, 1);
    static char *blocks[LIVE];
    uint64_t seed = 1;
    bench_start();
    for (size_t i = 0; i < count; i++) {
        size_t place = bench_below(&seed, LIVE), size = LEAST + bench_below(&seed, MOST - LEAST + 1);
        free(blocks[place]);
        blocks[place] = bench_block(size);
        for (size_t at = 0; at < size; at += PAGE)
            blocks[place][at] = 1;
    }
    bench_stop();
    for (size_t i = 0; i < LIVE; i++)
        free(blocks[i]);
    bench_settle(0);
    return 0;
}
