/* Values with times to live: seven in ten live for some seconds, the others for minutes, a few for ever; a thousand operations make a
 * second. At the end an hour passes, and only the last kind is left. Do long-lived values keep the memory of the
 * others? */
#include "kvstore/latency.h"
#include "kvstore/traces.h"
#include "support/bench.h"

enum { OPERATIONS = 20000, A_SECOND = 1000, HOUR = 3600, LEAST = 32, MOST = 1500, SWEEP = 256 };

static uint32_t life_of(uint64_t *seed)
{
    size_t kind = bench_below(seed, 20);
    if (kind == 0)
        return STORE_FOREVER;
    return (uint32_t)(kind < 6 ? 60 + bench_below(seed, 600) : 1 + bench_below(seed, 60));
}

/* One operation; `ids` keys were set so far. Returns the number that are then. */
static uint32_t operate(uint64_t *seed, uint32_t ids)
{
    size_t kind = bench_below(seed, 20);
    if (ids == 0 || kind < 12) {
        uint32_t length = (uint32_t)bench_size(seed, LEAST, MOST);
        value_set(ids, 1, length, life_of(seed));
        return ids + 1;
    }
    uint32_t recent = ids < 100000 ? ids : 100000;
    uint32_t id = ids - 1 - (uint32_t)bench_below(seed, recent);
    if (kind < 19) {
        uint32_t length;
        value_get(id, &length);
    } else {
        struct key key;
        store_expire(value_key(&key, id), (uint32_t)(1 + bench_below(seed, 300)));
    }
    return ids;
}

static void let_an_hour_pass(uint32_t now)
{
    store_set_time(now + HOUR);
    store_sweep(SIZE_MAX);
    while (store_sweep(0)) {
    }
}

void trace_expiry(const struct backend *backend, size_t percent)
{
    size_t operations = OPERATIONS * percent;
    uint64_t seed = 1;
    uint32_t ids = 0;
    store_open(backend, 0);
    bench_start();
    uint64_t start = latency_now();
    for (size_t n = 0; n < operations; n++) {
        if (n % A_SECOND == 0) {
            store_set_time((uint32_t)(n / A_SECOND));
            store_sweep(SWEEP);
        }
        ids = operate(&seed, ids);
    }
    let_an_hour_pass((uint32_t)(operations / A_SECOND));
    double seconds = (double)(latency_now() - start) / 1e9;
    bench_stop();
    trace_end(backend, ids, operations, seconds);
}
