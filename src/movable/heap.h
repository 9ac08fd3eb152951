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
    MOVABLE_NO_MEMORY,   /* ENOMEM */
    MOVABLE_BUSY,        /* EBUSY: pinned */
    MOVABLE_INVALID,     /* EINVAL */
    MOVABLE_STALE,       /* ESTALE, or fatal, as the verb says */
    MOVABLE_UNSUPPORTED, /* ENOTSUP */
    MOVABLE_FAILED,      /* errno says why: what write() said */
};

/* What a quick verb passes its call on to. */
typedef hm_handle alloc_otherwise(struct hm_heap *heap, size_t size);
typedef bool free_otherwise(struct hm_heap *heap, hm_handle handle);

/* What the background thread goes by. */
struct movable_view {
    size_t free_bytes; /* between blocks */
    size_t held_bytes;
    size_t stirred_bytes; /* allocated and freed since the heap was made, roughly; wraps */
};

struct movable_kind {
    /* `alloc` and `free` for most calls. Where they don't do, the result is that of `otherwise` with the same arguments: so nobody keeps
     * them for a second try. `otherwise` must not come back to these. */
    hm_handle (*alloc_quick)(struct hm_heap *heap, size_t size, alloc_otherwise *otherwise);
    bool (*free_quick)(struct hm_heap *heap, hm_handle handle, free_otherwise *otherwise);

    enum movable_result (*alloc)(struct hm_heap *heap, size_t size, bool zero, hm_handle *handle);
    enum movable_result (*free)(struct hm_heap *heap, hm_handle handle);
    enum movable_result (*resize)(struct hm_heap *heap, hm_handle handle, size_t size);
    enum movable_result (*size)(struct hm_heap *heap, hm_handle handle, size_t *size);
    enum movable_result (*tag)(struct hm_heap *heap, hm_handle handle, const char *name);
    enum movable_result (*pin_tagged)(struct hm_heap *heap, hm_handle handle, const char *name,
                                      void **address);
    enum movable_result (*unpin_tagged)(struct hm_heap *heap, hm_handle handle, const char *name);

    /* The handle of the block that `slot` holds: what every verb by slot begins with. STALE: *slot isn't NULL, and no block of the heap
     * whose slot this is. INVALID: misaligned. OK with handle 0: *slot is NULL. */
    enum movable_result (*slot_find)(struct hm_heap *heap, const void *slot, hm_handle *handle);
    /* Refuse what is no slot or has a block (INVALID), and write the variables: the new address, and NULL on failure, after free and where a
     * block was moved from. This and resize don't move the block that the slot itself lies in: the caller still holds the slot's
     * address. */
    enum movable_result (*slot_alloc)(struct hm_heap *heap, void *slot, size_t size);
    enum movable_result (*slot_move)(struct hm_heap *heap, hm_handle handle, void *to);
    void *(*slot_of)(struct hm_heap *heap, const void *address);
    size_t (*slot_check)(struct hm_heap *heap);

    void (*read_enter)(struct hm_heap *heap);
    void (*read_leave)(struct hm_heap *heap);
    void (*read_synchronize)(struct hm_heap *heap);

    /* `slots`: blocks with slots may move, too. False for the background thread, whose moves no caller expects; heaps with
     * HM_MOVABLE_SLOTS_PINNED move them all the same. */
    struct hm_compact_result (*compact)(struct hm_heap *heap, struct hm_budget budget, bool slots);
    /* The background thread's step: without blocks with slots, and only where at least `worth` percent of what a move clears is
     * free. NULL: compact() will do. */
    struct hm_compact_result (*tend)(struct hm_heap *heap, struct hm_budget budget, unsigned worth);
    enum movable_result (*reset)(struct hm_heap *heap);
    void (*destroy)(struct hm_heap *heap);
    void (*stats)(struct hm_heap *heap, struct hm_movable_stats *stats);
    /* Without any lock that allocation needs often; NULL: ask for the statistics. */
    void (*look)(struct hm_heap *heap, struct movable_view *view);
    enum movable_result (*dump)(struct hm_heap *heap, int fd, enum hm_dump format);
    size_t (*pin_report)(struct hm_heap *heap, struct hm_pin_info *pins, size_t max);
    void (*verify)(struct hm_heap *heap);

    /* Around fork: all of the heap's locks; in the child they are reset. */
    void (*fork_prepare)(struct hm_heap *heap);
    void (*fork_parent)(struct hm_heap *heap);
    void (*fork_child)(struct hm_heap *heap);

    /* The entry's index, which is 1 or more; and back: the handle of the live block at an index, 0 if there is none (any index may be
     * asked for). For 32-bit names. */
    uint32_t (*index)(struct hm_heap *heap, hm_handle handle);
    hm_handle (*at_index)(struct hm_heap *heap, uint32_t index);
};

struct hm_heap {
    char *table; /* first: hm_deref reads it; entries lie at table + 8 * the handle's lower half (unsigned) */
    _Atomic uint32_t
        limit; /* second: lower halves are below it, and what lies there may be read and compared as an entry */
    uint32_t number; /* in the generation of every handle, 1 to 1023; unlike that of other heaps */
    const struct movable_kind *kind;
    struct hm_movable_options options;
    struct list in_process; /* runtime/movables.c */
    void *compactor;        /* its background thread, owned by runtime/compactor.c */
    uint64_t seal;          /* a magic word and the heap's own address, from heap_open() to heap_close() */
};

static_assert(offsetof(struct hm_heap, table) == offsetof(struct hm_front, table), "hm_deref reads heaps");
static_assert(offsetof(struct hm_heap, limit) == offsetof(struct hm_front, limit), "hm_deref reads heaps");

/* What a public function is given may be anything. The seal tells a heap from other memory, from a copy of itself and from what it was
 * before it was destroyed. Functions that go through `kind` at once do without: a closed heap's kind says that it is one. And a closed
 * heap has no limit, so no handle is looked up in it. */
#define HEAP_SEAL UINT64_C(0xa5686d2d68656170)

HM_INLINE bool heap_is_open(const struct hm_heap *heap)
{
    return (uintptr_t)heap % sizeof(void *) == 0 && heap->seal == (HEAP_SEAL ^ (uintptr_t)heap);
}

/* As the last act of making it. */
HM_INLINE void heap_open(struct hm_heap *heap)
{
    heap->seal = HEAP_SEAL ^ (uintptr_t)heap;
}

/* As the last act of destroying it; the memory may be given back after that. */
void heap_close(struct hm_heap *heap);

/* For a heap that isn't open: "function of heap ...", and what is wrong with it. */
_Noreturn HM_COLD void heap_bad(const struct hm_heap *heap, const char *function);

/* What lines about misuse call the heap. */
const char *heap_name(const struct hm_heap *heap);

/* For who leaves a read section that wasn't entered. */
_Noreturn HM_COLD void heap_no_section(const struct hm_heap *heap);

/* To be asked before a handle of unknown origin is looked up. */
HM_INLINE bool heap_has(const struct hm_heap *heap, hm_handle handle)
{
    return (uint32_t)handle < atomic_load_explicit(&heap->limit, memory_order_relaxed) &&
           handle >> ENTRY_NUMBER == heap->number;
}

/* `limit` for the shortest paths: it only grows, and whoever has a handle has seen it grow far enough. Plain, so that it folds into
 * the comparison. */
HM_INLINE uint32_t heap_limit(const struct hm_heap *heap)
{
    const void *at = &heap->limit;
    return HM_TSAN ? __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED) : *(const uint32_t *)at;
}

HM_INLINE struct mentry *heap_entry(const struct hm_heap *heap, hm_handle handle)
{
    return (struct mentry *)(void *)(heap->table + (size_t)(uint32_t)handle * 8);
}

#endif
