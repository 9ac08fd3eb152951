/* idle THREADS BLOCKS: that many threads, each with BLOCKS live blocks of 16 to 512 bytes, all waiting. Reports
 * the process's private dirty memory.
 *
 * A program of today has dozens of threads that mostly sleep. Whatever an allocator keeps for each of them is
 * multiplied by their number, and by the number of programs that run. */
#include "support/threads.h"

static size_t threads, blocks;
static pthread_barrier_t allocated, measured;

static void work(size_t number)
{
    void **first = NULL;
    uint64_t seed = number;
    for (size_t i = 0; i < blocks; i++) {
        void **block = bench_filled(bench_size(&seed, 16, 512));
        *block = first;
        first = block;
    }
    pthread_barrier_wait(&allocated);
    pthread_barrier_wait(&measured);
    while (first != NULL) {
        void **next = *first;
        free(first);
        first = next;
    }
}

static void *measure(void *argument)
{
    pthread_barrier_wait(&allocated);
    bench_report("private_dirty_kib", (double)bench_rollup("\nPrivate_Dirty:"));
    pthread_barrier_wait(&measured);
    return argument;
}

int main(int argc, char **argv)
{
    pthread_t measurer;
    threads = bench_number(argc, argv, 1);
    blocks = bench_number(argc, argv, 2);
    pthread_barrier_init(&allocated, NULL, (unsigned)threads + 1);
    pthread_barrier_init(&measured, NULL, (unsigned)threads + 1);
    bench_start();
    if (pthread_create(&measurer, NULL, measure, NULL) != 0)
        bench_fail("pthread_create");
    threads_run(threads, work);
    pthread_join(measurer, NULL);
    bench_stop();
    return 0;
}
