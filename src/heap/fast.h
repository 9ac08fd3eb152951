/* The fast path of malloc and free, inlined into the public symbols: a bin, a map byte, no lock, no call.
 *
 * All of it works on any thread heap, also on the all-zero one that a thread has before its first call: there
 * every bin is empty and full. So no initialisation is tested for here. */
#ifndef HM_HEAP_FAST_H
#define HM_HEAP_FAST_H

#include "heap/core.h"
#include "heap/diagnose.h"
#include "heap/large.h"

#define FAST_ALIGNED_LOOKS 16 /* blocks of a bin that are looked at for one that is aligned */

HM_INLINE struct bin *fast_bin(struct theap *heap, uintptr_t offset)
{
    return (struct bin *)(void *)((char *)heap + offset);
}

HM_INLINE struct entry *fast_entry(struct theap *heap, uintptr_t offset)
{
    return (struct entry *)(void *)((char *)heap + offset);
}

/* Takes the newest block of the bin at this offset; NULL when it is empty. */
HM_INLINE void *fast_pop(struct theap *heap, uintptr_t offset)
{
    uintptr_t top = fast_bin(heap, offset)->top;
    void *block = fast_entry(heap, top)->block;
    HM_TO_RETURN(block);
    if (HM_LIKELY(block != NULL)) {
        HM_FORGET(top);
        uint8_t *mark = fast_entry(heap, top)->mark;
        HM_FORGET(offset);
        fast_bin(heap, offset)->top -= sizeof(struct entry);
        if (HM_UNLIKELY(!mark_to_user(mark))) {
            diagnose_race(block);
        }
    }
    return block;
}

/* Whether the bin at this offset has room, and its top. */
HM_INLINE bool fast_has_room(struct theap *heap, uintptr_t offset, uintptr_t *top)
{
    *top = fast_bin(heap, offset)->top;
    HM_FORGET(offset); /* or the bin's address is computed first */
    return HM_LIKELY(*top != fast_bin(heap, offset)->limit);
}

HM_INLINE void fast_put(struct theap *heap, uintptr_t offset, uintptr_t top, void *block, uint8_t *mark)
{
    fast_entry(heap, top)[1].block = block;
    HM_FORGET(top);
    fast_entry(heap, top)[1].mark = mark;
    HM_FORGET(offset);
    fast_bin(heap, offset)->top += sizeof(struct entry);
    mark_to_cached(mark);
}

/* Caches a block in the bin at this offset. False: it has no room. */
HM_INLINE bool fast_push(struct theap *heap, uintptr_t offset, void *block, uint8_t *mark)
{
    uintptr_t top;
    if (!fast_has_room(heap, offset, &top)) {
        return false;
    }
    fast_put(heap, offset, top, block, mark);
    return true;
}

/* The bin for a request of up to CLASS_EXACT_BYTES: that of its class, `nothing` for 0. */
HM_INLINE uintptr_t fast_bin_of_exact(size_t bytes)
{
    return (bytes + GRANULE_BYTES - 1) & ~(uintptr_t)(GRANULE_BYTES - 1);
}

/* The bin for a request from there to CLASS_FAST_BYTES. */
HM_INLINE uintptr_t fast_bin_of_step(size_t bytes)
{
    size_t steps = bytes - CLASS_FAST_FROM + (size_t)(CLASS_EXACT + 1) * CLASS_FAST_STEP;
    return steps / (CLASS_FAST_STEP / sizeof(struct bin)) & ~(uintptr_t)(sizeof(struct bin) - 1);
}

/* A block of at least `bytes` for small requests, or NULL: then the medium or the general path is due. */
HM_INLINE void *fast_alloc(struct theap *heap, size_t bytes)
{
    uintptr_t offset;
    if (HM_LIKELY(bytes <= CLASS_EXACT_BYTES)) {
        offset = fast_bin_of_exact(bytes);
    } else if (bytes <= CLASS_FAST_BYTES) {
        offset = fast_bin_of_step(bytes);
    } else {
        return NULL;
    }
    return fast_pop(heap, offset);
}

/* The same for requests from there to the largest class. The likely sort first: each has its own table. */
HM_INLINE void *fast_alloc_medium(struct theap *heap, size_t bytes)
{
    unsigned class;
    if (bytes - CLASS_CHUNK_BYTES - 1 < CLASS_MAX_BYTES - CLASS_CHUNK_BYTES) {
        class = class_by_large_step[(bytes + CLASS_STEP_LARGE - 1) / CLASS_STEP_LARGE];
    } else if (bytes - 1 < CLASS_CHUNK_BYTES) {
        class = class_of(bytes);
    } else {
        return NULL;
    }
    return fast_pop(heap, THEAP_BIN_OF(class));
}

/* Leads to the map of the chunk of a granule in the chunk table's window; 0: there is no chunk. */
HM_INLINE uintptr_t fast_map(struct core *core, uintptr_t granule)
{
    return HM_RACY_WORD(&core->table.map[granule / CHUNK_GRANULES]);
}

/* The place in a heap of the bin for the block with the user that begins at the granule; of the reject bin if none does. The
 * map byte alone says it: a block is in the cache of the thread that freed it last. */
HM_INLINE uintptr_t fast_bin_of_mark(struct core *core, const uint8_t *mark, uintptr_t granule)
{
    uintptr_t value = HM_RACY_BYTE(mark);
    return core->table.bin_offset[2 * value + granule % 2];
}

/* Caches a block of a chunk, whoever owns it, where its bin has room. False: another path is due (nothing is changed). */
HM_INLINE bool fast_free_in_chunk(struct core *core, struct theap *heap, void *block, uintptr_t granule,
                                  uintptr_t map)
{
    uint8_t *mark = (uint8_t *)(map + granule / 2);
    uintptr_t offset = fast_bin_of_mark(core, mark, granule);
    uintptr_t top;
    if (!fast_has_room(heap, offset, &top) || HM_UNLIKELY(--heap->ticks == 0)) {
        return false;
    }
    fast_put(heap, offset, top, block, mark);
    return true;
}

/* The same for any address. */
HM_INLINE bool fast_free(struct core *core, struct theap *heap, void *block)
{
    uintptr_t granule = table_granule(&core->table, (uintptr_t)block);
    if (HM_UNLIKELY(granule >= TABLE_GRANULES)) {
        return false;
    }
    uintptr_t map = fast_map(core, granule);
    return HM_LIKELY(map != 0) && fast_free_in_chunk(core, heap, block, granule, map);
}

static_assert(
    (TABLE_GRANULES * GRANULE_BYTES) >> PAGEMAP_LEAF_BITS <= (size_t)1 << PAGEMAP_ROOT_BITS,
    "the window before a chunk is there, which begins at 0, has no leaf in a page map that isn't set up");

/* Caches a large block of this thread's own, an address that the page map covers. False: the general path is due. Only a
 * large span that is with the user has that mark, and only one of a class has an owner. */
HM_INLINE bool fast_free_covered(struct core *core, struct theap *heap, void *block)
{
    struct span *span = pagemap_get_covered(&core->map, (uintptr_t)block);
    if (span == NULL || HM_RACY_WORD(&span->owner) != (uintptr_t)heap || span->addr != (uintptr_t)block ||
        HM_RACY_BYTE(&span->mark) != LARGE_USER) {
        return false;
    }
    return fast_push(heap, THEAP_BIN_OF(span->bin), block, &span->mark);
}

/* The same for any address. */
HM_INLINE bool fast_free_large(struct core *core, struct theap *heap, void *block)
{
    return pagemap_covers((uintptr_t)block) && fast_free_covered(core, heap, block);
}

/* True if a request of `bytes` fits a block of a chunk, and wastes less than an eighth of it, or than a granule: then
 * resizing changes nothing. */
HM_INLINE bool fast_fits(struct core *core, void *block, size_t bytes)
{
    uintptr_t granule = table_granule(&core->table, (uintptr_t)block);
    uintptr_t map;
    if (HM_UNLIKELY(granule >= TABLE_GRANULES) || HM_UNLIKELY((map = fast_map(core, granule)) == 0)) {
        return false;
    }
    uintptr_t offset = fast_bin_of_mark(core, (uint8_t *)(map + granule / 2), granule);
    if (HM_UNLIKELY(offset == THEAP_BIN_OF(CLASS_COUNT))) {
        return false;
    }
    size_t class = (offset - THEAP_FIRST_BIN) / THEAP_BIN_BYTES;
    size_t spare = class_bytes[class] - bytes;
    return spare < class_bytes[class] / 8 || spare < GRANULE_BYTES;
}

/* The newest block of the class's bin that is aligned, among the last few; NULL if none of them is. `align` is a power of
 * two. */
HM_INLINE void *fast_pop_aligned(struct theap *heap, unsigned class, size_t align)
{
    struct entry *top = fast_entry(heap, heap->bin[class].top);
    const struct entry *lowest = top - FAST_ALIGNED_LOOKS;
    for (struct entry *entry = top; entry != lowest && entry->block != NULL; entry--) {
        if (((uintptr_t)entry->block & (align - 1)) == 0) {
            if (entry != top) {
                struct entry found = *entry;
                *entry = *top;
                *top = found;
            }
            return fast_pop(heap, THEAP_BIN_OF(class));
        }
    }
    return NULL;
}

#endif
