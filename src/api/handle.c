#include <hmalloc/handle.h>

#include "api/outcome.h"
#include "base/bits.h"

/* A 32-bit name: the index, and the lowest bits of the entry's uses above it. */
#define COMPACT_INDEX_BITS 27
#define COMPACT_INDEX      ((UINT32_C(1) << COMPACT_INDEX_BITS) - 1)

/* For the verbs to which a stale handle is fatal. */
static bool or_die(struct hm_heap *heap, hm_handle handle, enum movable_result result, const char *function)
{
    if (HM_UNLIKELY(result == MOVABLE_STALE)) {
        outcome_bad_handle(heap, handle, function);
    }
    return outcome(result);
}

static hm_handle alloc(struct hm_heap *heap, size_t size, bool zero, const char *function)
{
    hm_handle handle = 0;
    heap = outcome_heap(heap, function);
    return heap != NULL && outcome(heap->kind->alloc(heap, size, zero, &handle)) ? handle : 0;
}

static HM_NOINLINE hm_handle alloc_general(struct hm_heap *heap, size_t size)
{
    return alloc(heap, size, false, "hm_handle_alloc");
}

HM_PUBLIC hm_handle hm_handle_alloc(hm_heap *heap, size_t size)
{
    return HM_LIKELY(heap != NULL) ? heap->kind->alloc_quick(heap, size, alloc_general)
                                   : alloc_general(heap, size);
}

HM_PUBLIC hm_handle hm_handle_calloc(hm_heap *heap, size_t count, size_t size)
{
    size_t bytes;
    if (!bits_mul(count, size, &bytes)) {
        errno = ENOMEM;
        return 0;
    }
    return alloc(heap, bytes, true, __func__);
}

static HM_NOINLINE bool free_general(struct hm_heap *heap, hm_handle handle)
{
    if (handle == 0) {
        return true;
    }
    heap = outcome_heap(heap, "hm_handle_free");
    return heap != NULL && or_die(heap, handle, heap->kind->free(heap, handle), "hm_handle_free");
}

HM_PUBLIC bool hm_handle_free(hm_heap *heap, hm_handle handle)
{
    return HM_LIKELY(heap != NULL) ? heap->kind->free_quick(heap, handle, free_general)
                                   : free_general(heap, handle);
}

HM_PUBLIC bool hm_handle_resize(hm_heap *heap, hm_handle handle, size_t size)
{
    heap = outcome_heap(heap, __func__);
    return heap != NULL && or_die(heap, handle, heap->kind->resize(heap, handle, size), __func__);
}

HM_PUBLIC size_t hm_handle_size(hm_heap *heap, hm_handle handle)
{
    size_t size = 0;
    heap = outcome_heap(heap, __func__);
    return heap != NULL && outcome(heap->kind->size(heap, handle, &size)) ? size : 0;
}

HM_PUBLIC bool hm_handle_valid(hm_heap *heap, hm_handle handle)
{
    heap = outcome_heap_or_none(heap, __func__);
    return heap != NULL && heap_has(heap, handle) &&
           entry_is_of(entry_word(heap_entry(heap, handle)), handle);
}

HM_PUBLIC bool hm_handle_tag(hm_heap *heap, hm_handle handle, const char *name)
{
    heap = outcome_heap(heap, __func__);
    return heap != NULL && outcome(heap->kind->tag(heap, handle, name));
}

/* Pins. The fast paths look at nothing but the entry; whatever doesn't match there is looked at again below. */

/* NULL if the entry says otherwise. */
static void *address_of(struct mentry *entry, uint64_t word)
{
    uintptr_t address = entry_address(entry);
    return HM_UNLIKELY((word & ENTRY_SLOT) != 0) ? *(void **)address : (void *)address;
}

static HM_NOINLINE void *pin_general(struct hm_heap *heap, hm_handle handle)
{
    heap = outcome_heap(heap, "hm_pin");
    if (heap == NULL) {
        return NULL;
    }
    if (!heap_has(heap, handle)) {
        errno = ESTALE;
        return NULL;
    }
    struct mentry *entry = heap_entry(heap, handle);
    enum entry_result result = entry_pin(entry, handle);
    if (result != ENTRY_OK) {
        errno = result == ENTRY_FULL ? EBUSY : ESTALE;
        return NULL;
    }
    return address_of(entry, entry_word(entry));
}

HM_INLINE bool is_inside(const struct hm_heap *heap, uint64_t low)
{
    return heap != NULL && (uint32_t)low < heap_limit(heap);
}

HM_INLINE struct mentry *entry_at(const struct hm_heap *heap, uint64_t low)
{
    return (struct mentry *)(void *)(heap->table + low * 8);
}

HM_PUBLIC void *hm_pin(hm_heap *heap, hm_handle handle)
{
    struct entry_halves half = entry_halves(handle);
    if (HM_LIKELY(is_inside(heap, half.low))) {
        struct mentry *entry = entry_at(heap, half.low);
        uint64_t word = half.generation;
        if (entry_pin_first(entry, &word)) {
            return (void *)entry_address(entry);
        }
    }
    return pin_general(heap, half.generation + half.low);
}

static HM_NOINLINE void unpin_general(struct hm_heap *heap, hm_handle handle)
{
    heap = outcome_heap_or_none(heap, "hm_unpin");
    if (heap == NULL || !heap_has(heap, handle)) {
        outcome_bad_handle(heap, handle, "hm_unpin");
    }
    enum entry_result result = entry_unpin(heap_entry(heap, handle), handle);
    if (result == ENTRY_STALE) {
        outcome_bad_handle(heap, handle, "hm_unpin");
    }
    if (result == ENTRY_UNPINNED) {
        outcome_not_pinned(heap, handle, NULL, "hm_unpin");
    }
}

HM_PUBLIC void hm_unpin(hm_heap *heap, hm_handle handle)
{
    struct entry_halves half = entry_halves(handle);
    if (HM_LIKELY(is_inside(heap, half.low))) {
        struct mentry *entry = entry_at(heap, half.low);
        uint64_t word = half.generation;
        if (entry_unpin_last(entry, &word)) {
            return;
        }
    }
    unpin_general(heap, half.generation + half.low);
}

HM_PUBLIC void *hm_pin_tagged(hm_heap *heap, hm_handle handle, const char *name)
{
    void *address = NULL;
    heap = outcome_heap(heap, __func__);
    return heap != NULL && outcome(heap->kind->pin_tagged(heap, handle, name, &address)) ? address : NULL;
}

HM_PUBLIC void hm_unpin_tagged(hm_heap *heap, hm_handle handle, const char *name)
{
    heap = outcome_heap_or_none(heap, __func__);
    enum movable_result result = heap == NULL ? MOVABLE_STALE : heap->kind->unpin_tagged(heap, handle, name);
    if (result == MOVABLE_STALE && !hm_handle_valid(heap, handle)) {
        outcome_bad_handle(heap, handle, __func__);
    }
    if (result != MOVABLE_OK) {
        outcome_not_pinned(heap, handle, NULL, __func__);
    }
}

/* 32-bit names */

HM_PUBLIC hm_handle32 hm_handle_compact(hm_heap *heap, hm_handle handle)
{
    heap = outcome_heap_or_none(heap, __func__);
    if (heap == NULL || !hm_handle_valid(heap, handle)) {
        return 0;
    }
    uint32_t index = heap->kind->index(heap, handle);
    return index > COMPACT_INDEX ? 0 : (uint32_t)entry_uses(handle) << COMPACT_INDEX_BITS | index;
}

HM_PUBLIC hm_handle hm_handle_expand(hm_heap *heap, hm_handle32 compact)
{
    heap = outcome_heap_or_none(heap, __func__);
    if (heap == NULL || (compact & COMPACT_INDEX) == 0) {
        return 0;
    }
    hm_handle handle = heap->kind->at_index(heap, compact & COMPACT_INDEX);
    bool same = (uint32_t)entry_uses(handle) << COMPACT_INDEX_BITS == (compact & ~COMPACT_INDEX);
    return same ? handle : 0;
}

/* Read sections. Entering and leaving look at nothing but the kind: a destroyed heap has one of its own. */

HM_PUBLIC void hm_read_enter(hm_heap *heap)
{
    heap = HM_LIKELY(heap != NULL) ? heap : movables_default();
    if (heap != NULL) {
        heap->kind->read_enter(heap);
    }
}

HM_PUBLIC void hm_read_leave(hm_heap *heap)
{
    heap = HM_LIKELY(heap != NULL) ? heap : movables_default();
    if (heap != NULL) {
        heap->kind->read_leave(heap);
    }
}

HM_PUBLIC void hm_read_synchronize(hm_heap *heap)
{
    heap = outcome_heap_or_none(heap, __func__);
    if (heap != NULL) {
        heap->kind->read_synchronize(heap);
    }
}
