/* kvstore BACKEND TRACE PERCENT: the core of a key-value server, in memory. BACKEND is where its entries are kept: `malloc`, that is
 * whatever is preloaded; `handles` or `slots` of a movable heap of libhmalloc, which is compacted in the background. TRACE is what is
 * done with it: shift, delete, mixed or expiry, each described at the top of its file, in PERCENT of its full amount.
 *
 * What such servers suffer from is fragmentation: their live set changes its sizes and shrinks at random, and memory stays
 * behind. Here the same store, with the same index and the same limits, runs on blocks that stay where they are and on
 * blocks that can be moved. Every value says itself what it must be, and all are read at the end. */
#include <stdio.h>

#include "kvstore/traces.h"
#include "support/bench.h"

static const struct backend *const backends[] = {&backend_malloc, &backend_handles, &backend_slots};

static const struct {
    const char *name;
    void (*run)(const struct backend *backend, size_t percent);
} traces[] = {
    {"shift", trace_shift}, {"delete", trace_delete}, {"mixed", trace_mixed}, {"expiry", trace_expiry}};

enum { BACKENDS = sizeof backends / sizeof backends[0], TRACES = sizeof traces / sizeof traces[0] };

void trace_end(const struct backend *backend, uint32_t ids, size_t operations, double seconds)
{
    struct store_totals totals = store_totals();
    bench_report("operations_per_second", (double)operations / seconds);
    bench_report("rss_stop_kib", (double)bench_rollup("\nRss:"));
    bench_settle(totals.bytes);
    bench_report("live_bytes", (double)totals.bytes);
    backend->report();
    value_check_all(ids);
}

int main(int argc, char **argv)
{
    size_t backend = 0, trace = 0;
    while (argc == 4 && backend < BACKENDS && strcmp(backends[backend]->name, argv[1]) != 0)
        backend++;
    while (argc == 4 && trace < TRACES && strcmp(traces[trace].name, argv[2]) != 0)
        trace++;
    if (argc != 4 || backend == BACKENDS || trace == TRACES) {
        fputs("usage: kvstore malloc|handles|slots shift|delete|mixed|expiry PERCENT\n", stderr);
        return 2;
    }
    traces[trace].run(backends[backend], bench_number(argc, argv, 3));
    store_close();
    return 0;
}
