/* zeroed SIZE COUNT: gets a block from calloc, writes its first byte and frees it, COUNT times.
 *
 * Half of some programs' allocations are calloc. An allocator that hands out the same warm block must clear it,
 * one that knows fresh memory needn't; neither should cost much more than malloc for small blocks. */
#include "support/bench.h"

int main(int argc, char **argv)
{
    const size_t size = bench_number(argc, argv, 1), count = bench_number(argc, argv, 2);
    bench_start();
    for (size_t i = 0; i < count; i++) {
        char *block = calloc(1, size);
        if (*block != 0)
            bench_fail("calloc: not zero");
        *block = 1;
        free(block);
    }
    bench_stop();
    return 0;
}
