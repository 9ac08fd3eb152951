/* batch ORDER THREADS LENGTH SIZE COUNT: allocates LENGTH blocks, then frees them all, until COUNT were
 * allocated, in each thread. ORDER is lifo, fifo or shuffled.
 *
 * Short batches stay within a thread's cache. Long ones, bursts, outrun any cache: they show what filling
 * and draining it costs, whether page faults are paid again each time, and, freed shuffled, what happens when
 * neighbours in the cache aren't neighbours in memory. */
#include "support/threads.h"

static const char *order;
static size_t length, size, count;

static void fill(void **blocks)
{
    for (size_t i = 0; i < length; i++)
        blocks[i] = bench_block(size);
}

static void drain(void **blocks, const uint32_t *shuffled)
{
    if (shuffled != NULL)
        for (size_t i = 0; i < length; i++)
            free(blocks[shuffled[i]]);
    else if (order[0] == 'l')
        for (size_t i = length; i-- > 0;)
            free(blocks[i]);
    else
        for (size_t i = 0; i < length; i++)
            free(blocks[i]);
}

static void **tables[THREADS_MOST];
static uint32_t *orders[THREADS_MOST];

static void work(size_t number)
{
    for (size_t done = 0; done < count; done += length) {
        fill(tables[number]);
        drain(tables[number], orders[number]);
    }
}

int main(int argc, char **argv)
{
    size_t threads = bench_number(argc, argv, 2);
    uint64_t seed = 1;
    order = argv[1];
    if (strcmp(order, "lifo") != 0 && strcmp(order, "fifo") != 0 && strcmp(order, "shuffled") != 0)
        bench_fail(order);
    length = bench_number(argc, argv, 3);
    size = bench_number(argc, argv, 4);
    count = bench_number(argc, argv, 5);
    for (size_t i = 0; i < threads && i < THREADS_MOST; i++) {
        tables[i] = bench_table(length * sizeof(void *));
        if (strcmp(order, "shuffled") == 0)
            orders[i] = bench_shuffled(length, &seed);
    }
    bench_start();
    if (threads == 1)
        work(0);
    else
        threads_run(threads, work);
    bench_stop();
    bench_settle(0);
    return 0;
}
