/* consumer SIZE COUNT: one thread allocates COUNT blocks, another frees them; they pass through a ring of 4,096
 * places.
 *
 * Pipelines, thread pools and message queues free in one thread what another allocated. Caches of single threads
 * don't help here: memory must find its way back, at little cost for either side, and must not pile up where
 * it is freed. */
#include "support/threads.h"

#include <sched.h>

enum { PLACES = 4096, BATCH = 64 };

static size_t size, count;
static void *ring[PLACES];
static _Alignas(64) atomic_size_t produced;
static _Alignas(64) atomic_size_t consumed;

static void wait_until_above(atomic_size_t *counter, size_t value)
{
    while (atomic_load_explicit(counter, memory_order_acquire) <= value)
        sched_yield();
}

/* Both publish in batches, so that the ring itself costs little. */
static void produce(void)
{
    for (size_t i = 0; i < count; i++) {
        if (i % BATCH == 0 && i + BATCH > PLACES)
            wait_until_above(&consumed, i + BATCH - PLACES - 1);
        ring[i % PLACES] = bench_block(size);
        if (i % BATCH == BATCH - 1 || i == count - 1)
            atomic_store_explicit(&produced, i + 1, memory_order_release);
    }
}

static void consume(void)
{
    size_t ready = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == ready) {
            wait_until_above(&produced, i);
            ready = atomic_load_explicit(&produced, memory_order_acquire);
        }
        free(ring[i % PLACES]);
        if (i % BATCH == BATCH - 1)
            atomic_store_explicit(&consumed, i + 1, memory_order_release);
    }
}

static void work(size_t number)
{
    if (number == 0)
        produce();
    else
        consume();
}

int main(int argc, char **argv)
{
    size = bench_number(argc, argv, 1);
    count = bench_number(argc, argv, 2);
    bench_start();
    threads_run(2, work);
    bench_stop();
    bench_settle(0);
    return 0;
}
