/* Values change their size: a cache of 100 MB takes 700,000 values of 240 bytes, then 170,000 of 492, a hundred thousand in a
 * second: of those of one second, any may be thrown out first. Can what small values left hold larger ones? */
#include "kvstore/latency.h"
#include "kvstore/traces.h"
#include "support/bench.h"

enum { SMALL = 240, LARGE = 492, A_SECOND = 100000, SWEEP_EVERY = 1024, SWEEP = 16 };

static uint32_t insert(uint32_t id, size_t count, uint32_t length)
{
    for (size_t i = 0; i < count; i++) {
        store_set_time(id / A_SECOND);
        value_set(id++, 1, length, STORE_FOREVER);
        if (i % SWEEP_EVERY == 0)
            store_sweep(SWEEP);
    }
    return id;
}

void trace_shift(const struct backend *backend, size_t percent)
{
    store_open(backend, 1000000 * percent);
    bench_start();
    uint64_t start = latency_now();
    uint32_t ids = insert(1, 7000 * percent, SMALL);
    ids = insert(ids, 1700 * percent, LARGE);
    double seconds = (double)(latency_now() - start) / 1e9;
    bench_stop();
    trace_end(backend, ids, ids - 1, seconds);
}
