/* Spares: the places of the last few blocks that a lane's threads freed, for the next ones that they ask for. Without them every
 * block would go to where the lane allocates next, and finding such places means reading the headers of other blocks.
 *
 * A place in a lane's ring has the header of a block in the making and counts as live in its chunk, so that nobody else touches
 * it; only the lane can make a block of it, when read sections can't look at it any more. Each place that comes takes the turn of the
 * oldest one, which becomes a dead piece like any other. Chunks that compaction empties, and those that are mostly dead, give no
 * places: they are to become empty.
 *
 * The ring is asked before a range is gone on with (lane.h), so a program that frees about as much as it allocates leaves few holes behind.
 *
 * Locking: the lane's. */
#ifndef HM_MOVABLE_SPARE_H
#define HM_MOVABLE_SPARE_H

#include "movable/lane.h"

#define SPARE_BYTES_MAX ((size_t)4096) /* longer ones are dead at once */

/* Whether a place that was just freed may go to the ring. */
HM_INLINE bool spare_wanted(const struct mchunks *set, const struct mchunk *chunk, size_t length)
{
    return length <= set->spare_bytes &&
           atomic_load_explicit(&chunk->live, memory_order_relaxed) > set->chunk_bytes / 2;
}

/* Puts the place of a header into the ring, or (length 0) nothing; returns the one whose turn it was, with length 0 if there was none.
 * The caller passes that to spare_drop. */
HM_INLINE struct spare spare_turn(struct lane *lane, uintptr_t at, size_t length, uint64_t epoch)
{
    struct spare *turn = &lane->spare[lane->spare_turn++ % LANE_SPARES];
    struct spare out = *turn;
    *turn = (struct spare){.at = at, .length = (uint32_t)length, .epoch = (uint32_t)epoch};
    if (length > 0) {
        atomic_store_explicit(header_at(at), header_making(length), memory_order_release);
    }
    return out;
}

/* It is a dead piece from now on. True: call mchunks_settle, without locks. */
bool spare_drop(struct mchunks *set, const struct spare *spare);

/* All of the lane's. True as above. */
bool spare_drop_all(struct lane *lane, struct mchunks *set);

/* The same with the lock of the set held. */
void spare_drop_all_locked(struct lane *lane, struct mchunks *set);

/* A place of `stride` bytes from the ring. False: there is none. */
bool spare_take(struct lane *lane, struct mchunks *set, size_t stride, uintptr_t *at);

#endif
