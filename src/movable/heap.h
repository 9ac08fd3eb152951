/* Movable heap: what both kinds have in common, and the verbs that differ.
 *
 * Two kinds: one that grows (growing.h: chunks from the page heap, concurrent compaction by evacuation) and one in a
 * caller's buffer (buffer.h: one piece, compaction by sliding, no other memory). Functions that are the same for both go through
 * `kind`; slots and handles mean the same in both. */
#ifndef HM_MOVABLE_HEAP_H
#define HM_MOVABLE_HEAP_H

#include <hmalloc/handle.h>

#include "base/list.h"
#include "movable/entry.h"

/* Outcomes of verbs; api/ turns them into errno, and the fatal ones into a panic that names handle or slot. */
enum movable_result {
    MOVABLE_OK,
    MOVABLE_NO_MEMORY, /* ENOMEM */
    MOVABLE_BUSY,      /* EBUSY: pinned */
    MOVABLE_INVALID,   /* EINVAL */
    MOVABLE_STALE,     /* ESTALE, or fatal, as the verb says */
    MOVABLE_UNSUPPORTED, /* ENOTSUP */
};

struct movable_kind {
    enum movable_result (*alloc)(struct hm_heap *heap, size_t size, bool zero, hm_handle *handle);
    enum movable_result (*free)(struct hm_heap *heap, hm_handle handle);
    enum movable_result (*resize)(struct hm_heap *heap, hm_handle handle, size_t size);
    enum movable_result (*size)(struct hm_heap *heap, hm_handle handle, size_t *size);
    enum movable_result (*tag)(struct hm_heap *heap, hm_handle handle, const char *name);
    enum movable_result (*pin_tagged)(struct hm_heap *heap, hm_handle handle, const char *name, void **address);
    enum movable_result (*unpin_tagged)(struct hm_heap *heap, hm_handle handle, const char *name);

    /* The handle of the block that `slot` holds: what every verb by slot begins with. STALE: *slot isn't NULL, and no block of the heap
     * whose slot this is. INVALID: misaligned. OK with handle 0: *slot is NULL. */
    enum movable_result (*slot_find)(struct hm_heap *heap, const void *slot, hm_handle *handle);
    enum movable_result (*slot_alloc)(struct hm_heap *heap, void *slot, size_t size);
    enum movable_result (*slot_move)(struct hm_heap *heap, hm_handle handle, void *to);
    void *(*slot_of)(struct hm_heap *heap, const void *address);
    size_t (*slot_check)(struct hm_heap *heap);

    void (*read_enter)(struct hm_heap *heap);
    void (*read_leave)(struct hm_heap *heap);
    void (*read_synchronize)(struct hm_heap *heap);

    struct hm_compact_result (*compact)(struct hm_heap *heap, struct hm_budget budget);
    enum movable_result (*reset)(struct hm_heap *heap);
    void (*destroy)(struct hm_heap *heap);
    void (*stats)(struct hm_heap *heap, struct hm_movable_stats *stats);
    enum movable_result (*dump)(struct hm_heap *heap, int fd, enum hm_dump format);
    size_t (*pin_report)(struct hm_heap *heap, struct hm_pin_info *pins, size_t max);
    void (*verify)(struct hm_heap *heap);

    /* Around fork: all of the heap's locks; in the child they are reset. */
    void (*fork_prepare)(struct hm_heap *heap);
    void (*fork_parent)(struct hm_heap *heap);
    void (*fork_child)(struct hm_heap *heap);
};

struct hm_heap {
    char *table; /* first: hm_deref reads it; entries lie at table + 8 * (int32_t) of the handle's lower half */
    const struct movable_kind *kind;
    struct hm_movable_options options;
    uint32_t number;          /* in the generation of every handle, 1 to 1023; unlike that of other heaps */
    struct list in_process;   /* runtime/movables.c */
    void *compactor;          /* its background thread, owned by runtime/movables.c */
};

HM_INLINE struct mentry *heap_entry(const struct hm_heap *heap, hm_handle handle)
{
    return (struct mentry *)(void *)(heap->table + (int64_t)(int32_t)handle * 8);
}

HM_INLINE bool entry_is_of(uint64_t word, hm_handle handle)
{
    return (word ^ handle) >> ENTRY_GENERATION == 0;
}

#endif
