#include "kvstore/movable.h"

#include <stdio.h>

#include "support/bench.h"

hm_heap *movable_heap;

void movable_start(unsigned flags)
{
    struct hm_movable_options options = {.name = "kvstore", .flags = flags};
    struct hm_compactor_options compactor = {.low_percent = 2, .high_percent = 10};
    movable_heap = hm_movable_create(&options);
    if (movable_heap == NULL || !hm_compactor_start(movable_heap, &compactor))
        bench_fail("movable heap");
}

void movable_stop(void)
{
    hm_movable_destroy(movable_heap);
}

void movable_done(void)
{
    hm_read_leave(movable_heap);
}

void movable_report(void)
{
    struct hm_movable_stats stats;
    hm_movable_stats_get(movable_heap, &stats, sizeof stats);
    bench_report("metadata_kib", (double)stats.metadata_bytes / 1024);
    bench_report("held_kib", (double)stats.held_bytes / 1024);
    bench_report("free_kib", (double)stats.free_bytes / 1024);
    bench_report("moved_kib", (double)stats.moved_bytes / 1024);
    bench_report("released_kib", (double)stats.released_bytes / 1024);
    bench_report("longest_step_us", (double)stats.longest_step_ns / 1e3);
}

_Noreturn void movable_fail(const char *what)
{
    fprintf(stderr, "kvstore: %s\n", what);
    abort();
}
