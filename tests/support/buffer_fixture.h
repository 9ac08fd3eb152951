/* A movable heap in a buffer, and its verbs with the outcome that a test expects. */
#ifndef HM_TESTS_SUPPORT_BUFFER_FIXTURE_H
#define HM_TESTS_SUPPORT_BUFFER_FIXTURE_H

#include <criterion/criterion.h>
#include <string.h>

#include "movable/buffer.h"
#include "movable/buffer_list.h"

#define FIXTURE_NUMBER 5

static _Alignas(64) char fixture_memory[1 << 20];

static inline struct hm_heap *fixture_heap(size_t bytes, const struct hm_movable_options *options)
{
    struct hm_heap *heap = buffer_create(fixture_memory, bytes, FIXTURE_NUMBER, options);
    cr_assert_not_null(heap);
    return heap;
}

static inline hm_handle fixture_alloc(struct hm_heap *heap, size_t size, int fill)
{
    hm_handle handle = 0;
    cr_assert_eq(heap->kind->alloc(heap, size, false, &handle), MOVABLE_OK);
    memset(hm_deref(heap, handle), fill, size);
    return handle;
}

static inline void fixture_free(struct hm_heap *heap, hm_handle handle)
{
    cr_assert_eq(heap->kind->free(heap, handle), MOVABLE_OK);
}

static inline void *fixture_pin(struct hm_heap *heap, hm_handle handle)
{
    cr_assert_eq(entry_pin(heap_entry(heap, handle), handle), ENTRY_OK);
    return hm_deref(heap, handle);
}

static inline void fixture_unpin(struct hm_heap *heap, hm_handle handle)
{
    cr_assert_eq(entry_unpin(heap_entry(heap, handle), handle), ENTRY_OK);
}

static inline void fixture_slot(struct hm_heap *heap, char **slot, size_t size, int fill)
{
    cr_assert_eq(heap->kind->slot_alloc(heap, slot, size), MOVABLE_OK);
    memset(*slot, fill, size);
}

static inline hm_handle fixture_found(struct hm_heap *heap, char **slot)
{
    hm_handle handle;
    cr_assert_eq(heap->kind->slot_find(heap, slot, &handle), MOVABLE_OK);
    return handle;
}

static inline void fixture_slot_free(struct hm_heap *heap, char **slot)
{
    fixture_free(heap, fixture_found(heap, slot));
    cr_assert_null(*slot);
}

static inline void fixture_holds(const char *block, size_t size, int fill)
{
    for (size_t i = 0; i < size; i++) {
        cr_assert_eq(block[i], (char)fill, "byte %zu of %zu", i, size);
    }
}

static inline struct hm_compact_result fixture_compact(struct hm_heap *heap)
{
    return heap->kind->compact(heap, (struct hm_budget){0, 0}, true);
}

static inline struct hm_movable_stats fixture_stats(struct hm_heap *heap)
{
    struct hm_movable_stats stats;
    heap->kind->verify(heap);
    heap->kind->stats(heap, &stats);
    return stats;
}

#endif
