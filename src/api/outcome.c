#include "api/outcome.h"

#include "base/check.h"

static const int errors[] = {
    [MOVABLE_OK] = 0,           [MOVABLE_NO_MEMORY] = ENOMEM, [MOVABLE_BUSY] = EBUSY,
    [MOVABLE_INVALID] = EINVAL, [MOVABLE_STALE] = ESTALE,     [MOVABLE_UNSUPPORTED] = ENOTSUP,
};

bool outcome_fails(enum movable_result result)
{
    if (result != MOVABLE_FAILED) {
        errno = errors[result];
    }
    return false;
}

static size_t size_of(struct hm_heap *heap, hm_handle handle)
{
    size_t size = 0;
    return heap->kind->size(heap, handle, &size) == MOVABLE_OK ? size : 0;
}

void outcome_bad_handle(struct hm_heap *heap, hm_handle handle, const char *function)
{
    uint32_t number = (uint32_t)(handle >> ENTRY_NUMBER);
    uint64_t index = (uint32_t)handle;
    if (heap == NULL) {
        panic("%s of handle 0x%jx: there is no default heap", function, handle);
    }
    if (handle == 0) {
        panic("%s of handle 0 in heap %u (%s)", function, heap->number, heap_name(heap));
    }
    if (number != heap->number) {
        panic("%s of handle 0x%jx: it is of heap %u, not of heap %u (%s)", function, handle, number,
              heap->number, heap_name(heap));
    }
    if (index >= atomic_load_explicit(&heap->limit, memory_order_relaxed)) {
        panic("%s of handle 0x%jx: never given by heap %u (%s)", function, handle, heap->number,
              heap_name(heap));
    }
    uint64_t word = entry_word(heap_entry(heap, handle));
    uint64_t since = (entry_uses(word) - entry_uses(handle)) & ENTRY_USES_LAST;
    panic("%s of stale handle 0x%jx in heap %u (%s): its block was freed, %s", function, handle, heap->number,
          heap_name(heap),
          entry_is_live(word) ? "the entry names another block now"
          : since == 1        ? "the entry has been free since"
                              : "the entry is free");
}

void outcome_bad_slot(struct hm_heap *heap, const void *slot, const char *function)
{
    if (heap == NULL || slot == NULL || (uintptr_t)slot % sizeof(void *) != 0) {
        panic("%s of slot %p: it is misaligned, or there is no default heap", function, slot);
    }
    const void *address = *(void *const *)slot;
    if (address == NULL) {
        panic("%s of slot %p in heap %u (%s): it is NULL", function, slot, heap->number, heap_name(heap));
    }
    const void *owner = heap->kind->slot_of(heap, address);
    if (owner != NULL) {
        panic("%s of slot %p: it holds %p, a block of heap %u (%s) that belongs to slot %p", function, slot,
              address, heap->number, heap_name(heap), owner);
    }
    panic("%s of slot %p: it holds %p, which is no block of heap %u (%s)", function, slot, address,
          heap->number, heap_name(heap));
}

void outcome_not_pinned(struct hm_heap *heap, hm_handle handle, const void *slot, const char *function)
{
    if (slot != NULL) {
        panic("%s of slot %p: its block of %zu bytes at %p in heap %u (%s) has no pin", function, slot,
              size_of(heap, handle), *(void *const *)slot, heap->number, heap_name(heap));
    }
    panic("%s of handle 0x%jx: its block of %zu bytes at %p in heap %u (%s) has no pin", function, handle,
          size_of(heap, handle), (void *)entry_address(heap_entry(heap, handle)), heap->number,
          heap_name(heap));
}
