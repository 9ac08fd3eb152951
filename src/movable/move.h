/* Moving one block of a heap that grows, out of the chunk that the compactor empties, to where its lane allocates.
 *
 * What is known of the block is what its header said a moment ago; it may be freed, resized, pinned or handed to another slot at
 * any time until MOVING is on, and is looked at again then. In that order: MOVING on, copy, on_move, slots that lie in the block, the new
 * address (from here on everybody finds it there), the old header dead, MOVING off. So a block has two whole copies while others may look at
 * either, and who pins or frees it waits for no more than one copy.
 *
 * Failure: the block stays where it was, and the outcome says why. Locking: the compaction lock is held. */
#ifndef HM_MOVABLE_MOVE_H
#define HM_MOVABLE_MOVE_H

#include "movable/evacuate.h"

enum move_outcome {
    MOVE_DONE,
    MOVE_GONE,     /* freed, resized or moved by a resize meanwhile: nothing is left to do */
    MOVE_PINNED,   /* or being resized */
    MOVE_VETOED,   /* on_move said so */
    MOVE_LOST,     /* its slot doesn't hold its address */
    MOVE_SLOTS,    /* blocks with slots may not move now, or the caller's slot lies in it */
    MOVE_NO_PLACE, /* the lane has no room and gets none */
};

struct move {
    struct growing *growing;
    const struct evacuate_how *how;
    struct mchunk *chunk;
    uintptr_t at;
    uint64_t header;
    uint32_t index;          /* that the header names: not 0 */
    uint32_t before;         /* the offset of the piece before, to be named if the header was overwritten */
    struct mentry *entry;    /* from here on move_block's own */
    _Atomic uintptr_t *slot; /* NULL: named by handle */
    uint64_t word;
};

/* Panics if header and entry don't agree and nobody is at work on the block: an overflow. */
enum move_outcome move_block(struct move *move);

#endif
