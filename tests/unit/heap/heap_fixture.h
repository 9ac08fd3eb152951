/* A core over the fake OS with two thread heaps, both driven by the one test thread. */
#ifndef HM_TESTS_UNIT_HEAP_FIXTURE_H
#define HM_TESTS_UNIT_HEAP_FIXTURE_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "heap/bins.h"
#include "heap/diagnose.h"
#include "heap/remote.h"
#include "support/assert_panic.h"
#include "support/core_fixture.h"

#define PAGE ((size_t)4096)
#define KIB  ((size_t)1 << 10)
#define MIB  ((size_t)1 << 20)

static struct core_fixture f;
static struct core *core;
static struct theap *a, *b;

static inline void fixture_setup(void)
{
    core_fixture_init(&f, NULL, 0, 0);
    core = f.core;
    a = core_attach(core);
    b = core_attach(core);
    cr_assert(a != NULL && b != NULL && a != b);
}

static inline void fixture_teardown(void)
{
    core_fixture_drop(&f);
}

static inline void *get(struct theap *heap, size_t bytes)
{
    void *block = core_malloc(core, heap, bytes);
    cr_assert_not_null(block);
    return block;
}

static inline void put(struct theap *heap, void *block)
{
    core_free(core, heap, block);
}

static inline void verify(void)
{
    core_verify(core, a);
    core_verify(core, b);
}

static inline struct chunk *chunk_of(const void *block)
{
    return table_find(&core->table, (uintptr_t)block);
}

static inline uint8_t *mark_of(const void *block)
{
    struct chunk *chunk = chunk_of(block);
    return &chunk->map[chunk_granule((uintptr_t)block) / 2];
}

/* 0 also when it died there, and when the chunk is gone. */
static inline unsigned mark_value(const void *block)
{
    unsigned value = chunk_of(block) == NULL ? 0 : mark_load(mark_of(block));
    return value == CODE_DEAD ? 0 : value;
}

static inline bool is_zero(const void *memory, size_t bytes)
{
    const char *at = memory;
    return at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0;
}

/* Nothing is allocated any more: both heaps' bins are dropped and every span is back. */
static inline void assert_empty(void)
{
    struct pageheap_stats stats;
    core_trim(core, a, 0);
    core_trim(core, b, 0);
    verify();
    pageheap_stats_get(&core->pages, &stats);
    cr_assert_eq(stats.live, 0, "%zu bytes of spans are left", stats.live);
    cr_assert_eq(stats.own, 0);
    cr_assert_eq(a->chunk_count + b->chunk_count, 0);
}

#endif
