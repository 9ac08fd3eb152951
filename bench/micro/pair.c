/* pair SIZE COUNT: allocates a block, writes its first byte and frees it, COUNT times.
 *
 * The shortest path there is, and what most calls of most programs are: a block that doesn't outlive the next
 * few lines. It shows the floor of an allocator's cost, for small sizes its instructions and nothing else, for
 * the largest whether it goes to the kernel each time. */
#include "support/bench.h"

int main(int argc, char **argv)
{
    const size_t size = bench_number(argc, argv, 1), count = bench_number(argc, argv, 2);
    bench_start();
    for (size_t i = 0; i < count; i++) {
        char *block = malloc(size);
        *block = 1;
        free(block);
    }
    bench_stop();
    return 0;
}
