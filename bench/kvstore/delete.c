/* Most is deleted: 1 GiB of values of 32 to 4,000 bytes goes in, 80 % of them at random go. How much of the memory comes back? */
#include "kvstore/latency.h"
#include "kvstore/traces.h"
#include "support/bench.h"

enum { LEAST = 32, MOST = 4000 };

#define FULL ((size_t)1 << 30)

/* The number of keys that make up so many bytes, and with `set` these keys. */
static uint32_t fill(size_t limit, bool set)
{
    uint64_t seed = 1;
    uint32_t id = 0;
    for (size_t bytes = 0; bytes < limit; id++) {
        uint32_t length = (uint32_t)bench_size(&seed, LEAST, MOST);
        if (set)
            value_set(id, 1, length, STORE_FOREVER);
        bytes += KEY_LENGTH + length;
    }
    return id;
}

static size_t delete_most(const uint32_t *order, uint32_t ids)
{
    size_t count = (size_t)ids * 4 / 5;
    for (size_t i = 0; i < count; i++) {
        struct key key;
        if (!store_delete(value_key(&key, order[i])))
            value_wrong(order[i], "is gone");
    }
    while (store_sweep(0)) {
    }
    return count;
}

void trace_delete(const struct backend *backend, size_t percent)
{
    uint64_t seed = 2;
    uint32_t ids = fill(FULL / 100 * percent, false);
    const uint32_t *order = bench_shuffled(ids, &seed);
    store_open(backend, 0);
    bench_start();
    uint64_t start = latency_now();
    fill(FULL / 100 * percent, true);
    size_t deleted = delete_most(order, ids);
    double seconds = (double)(latency_now() - start) / 1e9;
    bench_stop();
    trace_end(backend, ids, ids + deleted, seconds);
}
