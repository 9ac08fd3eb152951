/* Movable heaps that grow, over a core over the fake OS. */
#ifndef HM_TESTS_SUPPORT_GROWING_FIXTURE_H
#define HM_TESTS_SUPPORT_GROWING_FIXTURE_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "movable/block.h"
#include "support/core_fixture.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

struct growing_fixture {
    struct core_fixture core;
    struct readers readers;
    struct growing_env env;
};

/* Set by growing_fixture_init: one instance at a time. */
static struct readers *growing_fixture_readers;
static _Thread_local struct reader *growing_fixture_reader;

__attribute__((unused)) static struct reader *growing_fixture_self(void)
{
    if (growing_fixture_reader == NULL) {
        growing_fixture_reader = readers_get(growing_fixture_readers);
    }
    return growing_fixture_reader;
}

static inline void growing_fixture_init(struct growing_fixture *fixture, unsigned cpus)
{
    core_fixture_init(&fixture->core, NULL, (size_t)4 << 30, 0);
    readers_init(&fixture->readers, &fixture->core.core->meta);
    growing_fixture_readers = &fixture->readers;
    growing_fixture_reader = NULL;
    memset(&fixture->env, 0, sizeof fixture->env);
    growing_env_init(&fixture->env, fixture->core.core, &fixture->readers, growing_fixture_self, cpus,
                     SIZE_MAX);
}

static inline void growing_fixture_drop(struct growing_fixture *fixture)
{
    core_fixture_drop(&fixture->core);
}

static inline struct hm_heap *growing_fixture_heap(struct growing_fixture *fixture,
                                                   const struct hm_movable_options *options)
{
    static const struct hm_movable_options none;
    struct hm_heap *heap = growing_create(&fixture->env, 7, options != NULL ? options : &none);
    cr_assert_not_null(heap);
    return heap;
}

/* Verifies everything, then takes it down. */
static inline void growing_fixture_end(struct growing_fixture *fixture, struct hm_heap *heap)
{
    heap->kind->verify(heap);
    heap->kind->destroy(heap);
    core_verify(fixture->core.core, NULL);
    growing_fixture_drop(fixture);
}

/* The public verbs, as far as tests need them. */

static inline hm_handle g_alloc_general(struct hm_heap *heap, size_t size)
{
    hm_handle handle = 0;
    return heap->kind->alloc(heap, size, false, &handle) == MOVABLE_OK ? handle : 0;
}

static inline hm_handle g_alloc(struct hm_heap *heap, size_t size)
{
    return heap->kind->alloc_quick(heap, size, g_alloc_general);
}

static _Thread_local enum movable_result g_free_result;

static inline bool g_free_general(struct hm_heap *heap, hm_handle handle)
{
    g_free_result = heap->kind->free(heap, handle);
    return g_free_result == MOVABLE_OK;
}

static inline enum movable_result g_free(struct hm_heap *heap, hm_handle handle)
{
    return heap->kind->free_quick(heap, handle, g_free_general) ? MOVABLE_OK : g_free_result;
}

static inline void *g_pin(struct hm_heap *heap, hm_handle handle)
{
    struct mentry *entry = heap_entry(heap, handle);
    if (!heap_has(heap, handle) || entry_pin(entry, handle) != ENTRY_OK) {
        return NULL;
    }
    uintptr_t address = entry_address(entry);
    bool slot = (entry_word(entry) & ENTRY_SLOT) != 0;
    return slot ? *(void **)address : (void *)address;
}

static inline void g_unpin(struct hm_heap *heap, hm_handle handle)
{
    cr_assert_eq(entry_unpin(heap_entry(heap, handle), handle), ENTRY_OK);
}

static inline size_t g_size(struct hm_heap *heap, hm_handle handle)
{
    size_t size = SIZE_MAX;
    return heap->kind->size(heap, handle, &size) == MOVABLE_OK ? size : SIZE_MAX;
}

static inline struct hm_compact_result g_compact(struct hm_heap *heap)
{
    return heap->kind->compact(heap, (struct hm_budget){0}, true);
}

static inline struct hm_movable_stats g_stats(struct hm_heap *heap)
{
    struct hm_movable_stats stats;
    heap->kind->stats(heap, &stats);
    return stats;
}

/* Contents that depend on a number and on every place. */
static inline void g_fill(void *block, size_t size, uint64_t number)
{
    unsigned char *bytes = block;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(number * 31 + i * 7 + (i >> 8));
    }
}

static inline bool g_filled(const void *block, size_t size, uint64_t number)
{
    const unsigned char *bytes = block;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != (unsigned char)(number * 31 + i * 7 + (i >> 8))) {
            return false;
        }
    }
    return true;
}

static inline uint64_t g_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
