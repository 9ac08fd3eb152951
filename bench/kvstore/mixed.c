/* Reads and updates: two threads read any of 200,000 keys and update those that are theirs, half and half, and each update changes the
 * value's length. Before that every other key of 400,000 was deleted, so there are holes. How fast is that, and how long may one operation
 * take, while memory is compacted? */
#include "kvstore/latency.h"
#include "kvstore/traces.h"
#include "support/threads.h"

enum {
    KEYS = 2000,
    OPERATIONS = 15000,
    WORKERS = 2,
    LEAST = 64,
    MOST = 2000,
    SWEEP_EVERY = 4096,
    SWEEP = 16
};

static uint32_t keys;
static size_t operations;
static uint32_t *versions; /* of each key, owned by the thread that updates it */
static struct latency latencies[WORKERS];

static uint32_t length_of(uint32_t id, uint32_t version)
{
    uint64_t seed = (uint64_t)id << 32 | version;
    bench_random(&seed);
    return (uint32_t)bench_size(&seed, LEAST, MOST);
}

/* Key number i of those that stay; between them lay those that were deleted. */
static uint32_t id_of(size_t i)
{
    return (uint32_t)(2 * i);
}

/* Some keys are asked for more often than others. */
static size_t choose(uint64_t *seed)
{
    size_t a = bench_below(seed, keys);
    size_t b = bench_below(seed, keys);
    return a < b ? a : b;
}

static void read_one(size_t i, size_t worker)
{
    uint32_t length;
    int64_t version = value_get(id_of(i), &length);
    if (version < 0)
        value_wrong(id_of(i), "is gone");
    bool mine = i % WORKERS == worker;
    if (length != length_of(id_of(i), (uint32_t)version) || (mine && versions[i] != version))
        value_wrong(id_of(i), "is not what was set last");
}

static void update_one(size_t i, size_t worker)
{
    i = i - i % WORKERS + worker;
    versions[i]++;
    value_set(id_of(i), versions[i], length_of(id_of(i), versions[i]), STORE_FOREVER);
}

static void work(size_t worker)
{
    uint64_t seed = worker + 1;
    uint64_t last = latency_now();
    for (size_t n = 0; n < operations; n++) {
        size_t i = choose(&seed);
        if (bench_below(&seed, 2) == 0)
            read_one(i, worker);
        else
            update_one(i, worker);
        uint64_t now = latency_now();
        latency_note(&latencies[worker], now - last);
        last = now;
        if (n % SWEEP_EVERY == 0) {
            store_sweep(SWEEP);
            last = latency_now();
        }
    }
}

static void prepare(void)
{
    for (uint32_t id = 0; id < 2 * keys; id++)
        value_set(id, 0, length_of(id, 0), STORE_FOREVER);
    for (uint32_t id = 1; id < 2 * keys; id += 2) {
        struct key key;
        store_delete(value_key(&key, id));
    }
}

void trace_mixed(const struct backend *backend, size_t percent)
{
    keys = (uint32_t)(KEYS * percent);
    operations = OPERATIONS * percent;
    versions = bench_table(keys * sizeof *versions);
    store_open(backend, 0);
    bench_start();
    prepare();
    uint64_t start = latency_now();
    threads_run(WORKERS, work);
    double seconds = (double)(latency_now() - start) / 1e9;
    bench_stop();
    latency_join(&latencies[0], &latencies[1]);
    latency_report(&latencies[0]);
    trace_end(backend, 2 * keys, WORKERS * operations, seconds);
}
