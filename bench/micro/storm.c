/* storm COUNT: starts COUNT threads, four at a time; each allocates 64 blocks of mixed sizes, frees them and ends.
 *
 * Programs that start a thread for each request exist, and test suites do it by the thousand. Whatever an
 * allocator sets up for a thread is paid here each time, and what it doesn't clear away adds up. */
#include "support/threads.h"

enum { TOGETHER = 4, BLOCKS = 64 };

static void work(size_t number)
{
    void *blocks[BLOCKS];
    uint64_t seed = number;
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = bench_block(bench_size(&seed, 16, 4000));
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

int main(int argc, char **argv)
{
    const size_t count = bench_number(argc, argv, 1);
    bench_start();
    for (size_t started = 0; started < count; started += TOGETHER)
        threads_run(TOGETHER, work);
    bench_stop();
    bench_settle(0);
    return 0;
}
