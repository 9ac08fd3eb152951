/* What all functions of hmalloc/handle.h do with the outcome of a verb, and how they name handles, slots and heaps that are
 * misused. */
#ifndef HM_API_OUTCOME_H
#define HM_API_OUTCOME_H

#include <errno.h>

#include "movable/heap.h"
#include "runtime/movables.h"

HM_COLD bool outcome_fails(enum movable_result result);

/* True if it is well; else errno is set. */
HM_INLINE bool outcome(enum movable_result result)
{
    return HM_LIKELY(result == MOVABLE_OK) || outcome_fails(result);
}

/* The heap that the public function's argument stands for; NULL if it stands for the default heap, and none can be made. Fatal: no
 * heap, or one that was destroyed. */
HM_INLINE struct hm_heap *outcome_heap_or_none(struct hm_heap *heap, const char *function)
{
    if (heap == NULL) {
        return movables_default();
    }
    if (HM_UNLIKELY(!heap_is_open(heap))) {
        heap_bad(heap, function);
    }
    return heap;
}

/* The same, and ENOMEM. */
HM_INLINE struct hm_heap *outcome_heap(struct hm_heap *heap, const char *function)
{
    heap = outcome_heap_or_none(heap, function);
    if (HM_UNLIKELY(heap == NULL)) {
        errno = ENOMEM;
    }
    return heap;
}

/* For a handle that names no block of the heap: "function: double free of handle ...", or what else is wrong with it. */
_Noreturn HM_COLD void outcome_bad_handle(struct hm_heap *heap, hm_handle handle, const char *function);

/* For a slot whose variable doesn't hold the address of a block of the heap that is this slot's. */
_Noreturn HM_COLD void outcome_bad_slot(struct hm_heap *heap, const void *slot, const char *function);

/* For a block that should have a pin. `slot`: NULL if it was named by handle. */
_Noreturn HM_COLD void outcome_not_pinned(struct hm_heap *heap, hm_handle handle, const void *slot,
                                          const char *function);

#endif
