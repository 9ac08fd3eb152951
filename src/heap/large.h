/* Large blocks: one block, one span. Freed ones up to 256 KiB a thread may keep in its bins, longer ones in a few
 * slots, for requests of exactly as many pages: both together at most LARGE_CACHED_MAX. From
 * options.own_mapping_bytes on a block is a mapping of its own.
 *
 * What a thread may keep is charged to bins when they get room for a block, not when one comes or goes: so neither malloc nor
 * free counts. A bin gets room when a block is freed for which it has none, and loses what it doesn't use when others need
 * it.
 *
 * Equation: theap.large_room = the sum of info.room * class_bytes over large classes + the bytes of blocks in slots;
 * it is at most LARGE_CACHED_MAX. */
#ifndef HM_HEAP_LARGE_H
#define HM_HEAP_LARGE_H

#include "heap/core.h"

/* span.mark of one block spans. With CODE_CACHED: in a bin or a slot. */
#define LARGE_USER 1u

/* span.mark of a block of a movable heap in pages of its own, which the verbs of this file never touch. */
#define LARGE_MOVABLE 2u

#define LARGE_CACHED_MAX ((size_t)1 << 20) /* what one thread may keep of large blocks */

void *large_alloc(struct core *core, struct theap *heap, size_t bytes, size_t align, bool *zero);

/* The span of a block that is (or was) handed out at exactly this address; NULL if there is none. */
struct span *large_find(struct core *core, uintptr_t addr);

/* False: it isn't with the user (double free). */
bool large_free(struct core *core, struct theap *heap, struct span *span);

/* In place or by remapping; NULL: neither, the block is as it was. */
void *large_resize(struct core *core, struct span *span, size_t bytes);

/* Makes sure that the class's bin, which has an array, has room for one more block. False: the thread keeps as much as it
 * may. Owner thread only. */
bool large_grant(struct theap *heap, unsigned class);

/* Gives back half of what idle bins keep, and the oldest slot's block if the slots weren't used since the last call: blocks that
 * no request was as long as for a while are no use to the thread. Called now and then, and before a new chunk is taken, which may come
 * from their pages. Owner thread only. */
void large_age(struct theap *heap);

/* Empties the slots, and takes the room from bins, which are empty; `trusted` as in theap_drop_bins. Owner thread, or the heap
 * has no thread. */
void large_drop(struct theap *heap, bool trusted);

/* Gives the span of a block that nobody has any more back to the page heap. */
void large_discard(struct core *core, struct span *span);

HM_INLINE struct span *large_of_mark(uint8_t *mark)
{
    return (struct span *)(void *)((char *)mark - offsetof(struct span, mark));
}

#endif
