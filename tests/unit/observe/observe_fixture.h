/* A core over the fake OS with one thread heap, and the sums that its figures must satisfy at rest. */
#ifndef HM_TESTS_UNIT_OBSERVE_FIXTURE_H
#define HM_TESTS_UNIT_OBSERVE_FIXTURE_H

#include <criterion/criterion.h>
#include <stdlib.h>

#include "heap/bins.h"
#include "observe/stats.h"
#include "support/core_fixture.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

struct fixture {
    struct core_fixture base;
    struct core *core;
    struct theap *heap;
};

static inline struct fixture *fixture_make(void)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    core_fixture_init(&fixture->base, NULL, 0, 0);
    fixture->core = fixture->base.core;
    fixture->heap = core_attach(fixture->core);
    cr_assert_not_null(fixture->heap);
    return fixture;
}

static inline void fixture_drop(struct fixture *fixture)
{
    core_verify(fixture->core, fixture->heap);
    core_fixture_drop(&fixture->base);
    free(fixture);
}

static inline void *fixture_alloc(struct fixture *fixture, struct theap *heap, size_t bytes)
{
    void *block = core_malloc(fixture->core, heap, bytes);
    cr_assert_not_null(block);
    return block;
}

static inline void fixture_free(struct fixture *fixture, struct theap *heap, void *block)
{
    core_free(fixture->core, heap, block);
}

static inline size_t fixture_usable(struct fixture *fixture, const void *block)
{
    return alloc_usable(fixture->core, block, "test");
}

static inline void check_row(const struct observe_heap *row)
{
    cr_assert_eq(row->chunks * CHUNK_BYTES, row->live + row->cached + row->holes + row->dead);
}

/* All equations that hold while nobody calls the allocator. */
static inline void check_sums(const struct observation *seen)
{
    const struct hm_stats *stats = &seen->stats;
    struct observe_class sum = {0};
    for (unsigned i = 0; i < OBSERVE_CLASSES; i++) {
        sum.live += seen->class[i].live;
        sum.live_blocks += seen->class[i].live_blocks;
        sum.cached += seen->class[i].cached;
    }
    cr_assert_eq(stats->live, sum.live);
    cr_assert_eq(stats->live_blocks, sum.live_blocks);
    cr_assert_eq(stats->cached, sum.cached);
    cr_assert_eq(stats->mapped, stats->from_break + stats->from_map + stats->own);
    cr_assert_eq(
        stats->mapped,
        stats->live + stats->cached + stats->free_in_chunks + stats->dirty + stats->clean + stats->own_kept,
        "%zu bytes are mapped, %zu + %zu + %zu + %zu + %zu + %zu are accounted for", stats->mapped,
        stats->live, stats->cached, stats->free_in_chunks, stats->dirty, stats->clean, stats->own_kept);
    check_row(&seen->all);
    for (size_t i = 0; i < seen->heaps; i++) {
        check_row(&seen->heap[i]);
    }
}

static inline void fixture_observe(struct fixture *fixture, struct observation *seen)
{
    observe_take(fixture->core, seen);
    check_sums(seen);
}

#endif
