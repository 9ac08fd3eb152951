#include <hmalloc/handle.h>

#include <string.h>

#include "api/outcome.h"

/* A slot is a pointer of whatever type the caller has. */
static void set(void *slot, void *address)
{
    memcpy(slot, &address, sizeof address);
}

static void *get(const void *slot)
{
    void *address;
    memcpy(&address, slot, sizeof address);
    return address;
}

/* Aligned as a pointer, but in heaps whose blocks aren't (hmalloc/buffer.h). */
static bool is_slot(const struct hm_heap *heap, const void *slot)
{
    return slot != NULL &&
           (heap->options.alignment < sizeof(void *) || (uintptr_t)slot % sizeof(void *) == 0);
}

/* The handle of the slot's block: 0 with OK if the slot is NULL, with STALE if it holds something else. */
static enum movable_result find(struct hm_heap *heap, const void *slot, hm_handle *handle)
{
    *handle = 0;
    if (!is_slot(heap, slot)) {
        return MOVABLE_INVALID;
    }
    return get(slot) == NULL ? MOVABLE_OK : heap->kind->slot_find(heap, slot, handle);
}

static bool find_or_die(struct hm_heap *heap, const void *slot, hm_handle *handle, const char *function)
{
    enum movable_result result = find(heap, slot, handle);
    if (HM_UNLIKELY(result == MOVABLE_STALE)) {
        outcome_bad_slot(heap, slot, function);
    }
    return outcome(result);
}

static bool has_block(struct hm_heap *heap, const void *slot)
{
    hm_handle handle;
    return find(heap, slot, &handle) == MOVABLE_OK && handle != 0;
}

HM_PUBLIC bool hm_slot_alloc(hm_heap *heap, void *slot, size_t size)
{
    heap = outcome_heap(heap, __func__);
    return heap != NULL && outcome(heap->kind->slot_alloc(heap, slot, size));
}

/* A block of slots that the heap moves stays in each call that is given one of them: the array doesn't move on the way. */
HM_PUBLIC bool hm_slot_alloc_array(hm_heap *heap, void *slots, size_t count, size_t size)
{
    char *slot = slots;
    enum movable_result result = MOVABLE_OK;
    heap = outcome_heap(heap, __func__);
    if (heap != NULL && count > PTRDIFF_MAX / sizeof(void *)) {
        return outcome(MOVABLE_NO_MEMORY);
    }
    for (size_t i = 0; heap != NULL && i < count; i++) {
        if (!is_slot(heap, slots) || has_block(heap, slot + i * sizeof(void *))) {
            return outcome(MOVABLE_INVALID);
        }
    }
    size_t made = 0;
    while (heap != NULL && made < count && result == MOVABLE_OK) {
        result = heap->kind->slot_alloc(heap, slot + made * sizeof(void *), size);
        made += result == MOVABLE_OK;
    }
    for (size_t i = made; i > 0 && result != MOVABLE_OK; i--) {
        hm_slot_free(heap, slot + (i - 1) * sizeof(void *));
    }
    return heap != NULL && outcome(result);
}

HM_PUBLIC bool hm_slot_free(hm_heap *heap, void *slot)
{
    hm_handle handle;
    heap = outcome_heap(heap, __func__);
    if (heap == NULL || !find_or_die(heap, slot, &handle, __func__)) {
        return false;
    }
    return handle == 0 || outcome(heap->kind->free(heap, handle));
}

HM_PUBLIC bool hm_slot_resize(hm_heap *heap, void *slot, size_t size)
{
    hm_handle handle;
    heap = outcome_heap(heap, __func__);
    if (heap == NULL || !find_or_die(heap, slot, &handle, __func__)) {
        return false;
    }
    return outcome(handle == 0 ? heap->kind->slot_alloc(heap, slot, size)
                               : heap->kind->resize(heap, handle, size));
}

HM_PUBLIC bool hm_slot_move(hm_heap *heap, void *from, void *to)
{
    hm_handle handle;
    heap = outcome_heap(heap, __func__);
    if (heap == NULL || !find_or_die(heap, from, &handle, __func__)) {
        return false;
    }
    if (!is_slot(heap, to) || has_block(heap, to)) {
        return outcome(MOVABLE_INVALID);
    }
    if (handle == 0) {
        set(to, NULL);
        return true;
    }
    return outcome(heap->kind->slot_move(heap, handle, to));
}

HM_PUBLIC size_t hm_slot_size(hm_heap *heap, const void *slot)
{
    hm_handle handle;
    size_t size = 0;
    heap = outcome_heap_or_none(heap, __func__);
    bool found = heap != NULL && find(heap, slot, &handle) == MOVABLE_OK && handle != 0;
    return found && heap->kind->size(heap, handle, &size) == MOVABLE_OK ? size : 0;
}

HM_PUBLIC bool hm_slot_valid(hm_heap *heap, const void *slot)
{
    heap = outcome_heap_or_none(heap, __func__);
    return heap != NULL && has_block(heap, slot);
}

HM_PUBLIC void *hm_slot_of(hm_heap *heap, const void *address)
{
    heap = outcome_heap_or_none(heap, __func__);
    return heap != NULL && address != NULL ? heap->kind->slot_of(heap, address) : NULL;
}

/* The handle found may be that of a block that was freed since: the pin fails then. */
HM_PUBLIC void *hm_slot_pin(hm_heap *heap, const void *slot)
{
    hm_handle handle;
    heap = outcome_heap(heap, __func__);
    if (heap == NULL) {
        return NULL;
    }
    enum movable_result result = find(heap, slot, &handle);
    if (result != MOVABLE_OK || handle == 0) {
        outcome(result == MOVABLE_INVALID ? MOVABLE_INVALID : MOVABLE_STALE);
        return NULL;
    }
    return hm_pin(heap, handle);
}

HM_PUBLIC void hm_slot_unpin(hm_heap *heap, const void *slot)
{
    hm_handle handle = 0;
    heap = outcome_heap_or_none(heap, __func__);
    if (heap == NULL || !is_slot(heap, slot) || find(heap, slot, &handle) != MOVABLE_OK || handle == 0) {
        outcome_bad_slot(heap, slot, __func__);
    }
    if (entry_unpin(heap_entry(heap, handle), handle) != ENTRY_OK) {
        outcome_not_pinned(heap, handle, slot, __func__);
    }
}

HM_PUBLIC size_t hm_slot_check(hm_heap *heap)
{
    heap = outcome_heap_or_none(heap, __func__);
    return heap != NULL ? heap->kind->slot_check(heap) : 0;
}
