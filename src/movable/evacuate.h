/* Compaction: moves the blocks of the chunk with the most garbage, one by one, to where the compactor's lane allocates,
 * until chunks are empty, and gives them back.
 *
 * A pass begins by taking from the lanes what is worth it, ends when no chunk has 1/63 of garbage but those that it could not empty,
 * and may take many steps. A block that is pinned, vetoed, or whose slot doesn't hold it, stays; whole free pages between
 * such blocks are purged. Other threads go on meanwhile: see entry.h for what keeps them apart.
 *
 * Locking: `lock` (LOCK_RANK_MOVABLE_COMPACT) for everything here, held for a piece of work of bounded length. */
#ifndef HM_MOVABLE_EVACUATE_H
#define HM_MOVABLE_EVACUATE_H

#include <hmalloc/handle.h>

#include "movable/lane.h"

struct growing;

struct evacuate {
    struct lane lane; /* where blocks are moved to; its own lock isn't used */
    struct mchunk *victim;
    size_t moved_before; /* moved_bytes when the pass began */
    size_t left;         /* garbage, as it was counted last */
    size_t moved_blocks; /* statistics */
    size_t moved_bytes;
    size_t purged_bytes;
    _Atomic size_t cleared; /* bytes of places that blocks were moved from */
    size_t steps;
    uint64_t longest_ns;
    uint32_t cursor;  /* in the victim: the next piece */
    uint32_t before;  /* the piece before it */
    uint32_t ahead;   /* how far entries were prefetched, */
    uint32_t lines;   /* and its memory */
    uint32_t run;     /* in the victim: pages of dead pieces before the cursor that are still to be purged, */
    uint32_t run_end; /* up to here */
    uint32_t pass;
    struct lock lock;
    bool purging; /* the victim can't be emptied: its free pages go */
    bool idle;    /* the last pass is over */
};

/* How far to go and what to spare. */
struct evacuate_how {
    struct hm_budget budget;
    unsigned
        worth;  /* percent of a chunk that must be garbage for it to be emptied; 0: whatever wins something */
    bool slots; /* blocks with slots may move */
    bool all;   /* keeps no empty chunks, takes the lanes' chunks in any case */
    uintptr_t keep; /* the block that this address lies in stays; 0: none */
};

void evacuate_init(struct evacuate *evacuate);

/* Works until the budget is used up or nothing is left to do. Not under a lock. */
struct hm_compact_result evacuate_run(struct growing *growing, const struct evacuate_how *how);

/* Takes all chunks from the lanes and from the compactor; all locks of the heap are held. */
void evacuate_detach_locked(struct growing *growing);

#endif
