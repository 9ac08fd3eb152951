/* Spares: the places of blocks that a lane's threads freed lately, for the next ones that they ask for. Without them every
 * block would go to where the lane allocates next, and finding such places means reading the headers of other blocks.
 *
 * A spare place has the header of a block in the making and counts as live in its chunk, so that nobody else touches
 * it. Those that sections may look at wait until an epoch has passed; the others lie in bins by length, with a bit for each that
 * isn't empty: so one that fits is found, or that none does, without a search. When none is vacant, another one goes for each that
 * comes: it becomes a dead piece like any other. Chunks that compaction empties, and those that are mostly dead, give no places: they
 * are to become empty.
 *
 * They are asked before a range is gone on with (lane.h), so a program that frees about as much as it allocates leaves few holes behind.
 *
 * Equations: a place is vacant, waiting, or in the bin of its length; bit b of `filled` = bin b isn't empty. Locking: the lane's. */
#ifndef HM_MOVABLE_SPARE_H
#define HM_MOVABLE_SPARE_H

#include "movable/lane.h"

#define SPARE_BYTES_MAX ((size_t)4096) /* longer ones are dead at once */

/* Whether a place that was just freed may become a spare one. */
HM_INLINE bool spare_wanted(const struct mchunks *set, const struct mchunk *chunk, size_t length)
{
    return length <= set->spare_bytes &&
           atomic_load_explicit(&chunk->live, memory_order_relaxed) > set->chunk_bytes / 2;
}

/* Exact, then eight an octave: a place of a bin is long enough for any request of a lower one. */
HM_INLINE unsigned spare_bin(size_t length)
{
    unsigned granules = (unsigned)length / 16;
    if (HM_LIKELY(granules < 32)) {
        return granules;
    }
    unsigned shift = bits_log2(granules) - 3;
    return 16 + 8 * shift + (granules >> shift) - 8;
}

/* What doesn't wait goes to its bin. */
HM_INLINE void spare_link(struct spares *spares, unsigned index, unsigned bin)
{
    spares->place[index].bin = (uint8_t)bin;
    spares->place[index].next = spares->first[bin];
    spares->first[bin] = (uint8_t)index;
    spares->filled |= UINT64_C(1) << bin;
}

/* The place of a header is a spare one from now on; there must be room. `died`: the epoch of its death; 0: no section can look at
 * it. */
HM_INLINE void spare_put(struct lane *lane, struct mchunk *chunk, uintptr_t at, size_t length, uint64_t died)
{
    struct spares *spares = &lane->spares;
    unsigned index = bits_lowest(spares->vacant);
    struct spare *spare = &spares->place[index];
    spares->vacant &= spares->vacant - 1;
    spare->at = at;
    spare->chunk = chunk;
    spare->epoch = (uint32_t)died;
    spare->length = (uint16_t)length;
    if (died != 0) {
        spares->waiting |= UINT64_C(1) << index;
    } else {
        spare_link(spares, index, spare_bin(length));
    }
    spares->came++;
    lane->end = lane->at;
    atomic_store_explicit(header_at(at), header_making(length), memory_order_release);
}

/* Takes out the one whose turn it is, with length 0 if that is vacant: the caller passes it to spare_drop. One goes with each place
 * that may not come, else the last few would keep chunks that are empty but for them. */
struct spare spare_turn(struct spares *spares);

/* Makes sure of room for one. Returns the one that went, with length 0 if there was room. */
HM_INLINE struct spare spare_make_room(struct spares *spares)
{
    return HM_LIKELY(spares->vacant != 0) ? (struct spare){.length = 0} : spare_turn(spares);
}

/* It is a dead piece from now on. True: call mchunks_settle, without locks. */
bool spare_drop(struct mchunks *set, const struct spare *spare);

/* All of the lane's. True as above. */
bool spare_drop_all(struct lane *lane, struct mchunks *set);

/* The same with the lock of the set held. */
void spare_drop_all_locked(struct lane *lane, struct mchunks *set);

void spare_init(struct spares *spares);

/* A place of `stride` bytes, at most SPARE_BYTES_MAX. False: there is none. */
bool spare_take(struct lane *lane, struct mchunks *set, size_t stride, uintptr_t *at);

/* In all of the lane's. */
size_t spare_sum(const struct lane *lane);

/* Panics with the broken equation. */
void spare_verify(const struct lane *lane, const struct mchunks *set);

#endif
