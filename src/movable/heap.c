#include "movable/heap.h"

#include "base/check.h"

#define SEAL_CLOSED (~HEAP_SEAL)

/* Of a closed heap: the verbs that are called without a look at the seal. */

static hm_handle closed_alloc(struct hm_heap *heap, size_t size, alloc_otherwise *otherwise)
{
    (void)size;
    (void)otherwise;
    heap_bad(heap, "hm_handle_alloc");
}

static bool closed_free(struct hm_heap *heap, hm_handle handle, free_otherwise *otherwise)
{
    (void)handle;
    (void)otherwise;
    heap_bad(heap, "hm_handle_free");
}

static void closed_read_enter(struct hm_heap *heap)
{
    heap_bad(heap, "hm_read_enter");
}

static void closed_read_leave(struct hm_heap *heap)
{
    heap_bad(heap, "hm_read_leave");
}

static const struct movable_kind closed_kind = {
    .alloc_quick = closed_alloc,
    .free_quick = closed_free,
    .read_enter = closed_read_enter,
    .read_leave = closed_read_leave,
};

void heap_close(struct hm_heap *heap)
{
    heap->seal = SEAL_CLOSED ^ (uintptr_t)heap;
    heap->kind = &closed_kind;
    atomic_store_explicit(&heap->limit, 0, memory_order_relaxed);
}

void heap_bad(const struct hm_heap *heap, const char *function)
{
    bool aligned = (uintptr_t)heap % sizeof(void *) == 0;
    if (aligned && heap->seal == (SEAL_CLOSED ^ (uintptr_t)heap)) {
        panic("%s of heap %p: it was destroyed", function, (const void *)heap);
    }
    panic("%s of heap %p: there is no movable heap", function, (const void *)heap);
}

const char *heap_name(const struct hm_heap *heap)
{
    return heap->options.name != NULL ? heap->options.name : "unnamed";
}

void heap_no_section(const struct hm_heap *heap)
{
    panic("hm_read_leave in heap %u (%s): no read section is open", heap->number, heap_name(heap));
}
