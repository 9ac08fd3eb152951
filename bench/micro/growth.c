/* growth STEP END COUNT: grows a block with realloc by STEP bytes at a time until it has END, frees it, and begins
 * anew, COUNT steps altogether. STEP 0: each time by half, as a vector grows.
 *
 * Strings and arrays are built this way everywhere. Whether a block can grow where it is, and for large ones
 * whether its pages are moved rather than copied, makes differences of tens of times. Every page is written. */
#include "support/bench.h"

enum { PAGE = 4096 };

static size_t next_size(size_t size, size_t step)
{
    return step != 0 ? size + step : size + size / 2 + 16;
}

int main(int argc, char **argv)
{
    const size_t step = bench_number(argc, argv, 1), end = bench_number(argc, argv, 2);
    const size_t count = bench_number(argc, argv, 3);
    char *block = NULL;
    size_t size = 0;
    bench_start();
    for (size_t i = 0; i < count; i++) {
        size_t grown = next_size(size, step);
        block = realloc(block, grown);
        if (block == NULL)
            bench_fail("realloc");
        for (size_t at = size; at < grown; at += PAGE)
            block[at] = 1;
        size = grown;
        if (size >= end) {
            free(block);
            block = NULL;
            size = 0;
        }
    }
    free(block);
    bench_stop();
    return 0;
}
