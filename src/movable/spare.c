#include "movable/spare.h"

#include "base/check.h"

#define REST_MIN 64u /* a shorter rest is dead */
#define PATIENCE                                                                                             \
    8u /* so many places come, or are passed over as sections may look at them, before a new epoch is begun */
#define NOT_WANTING UINT32_MAX

static void kill(const struct spare *spare)
{
    uint64_t dead = header_dead(spare->length, spare->epoch);
    atomic_store_explicit(header_at(spare->at), dead, memory_order_release);
}

static struct mchunk *chunk_of(const struct mchunks *set, const struct spare *spare)
{
    struct mchunk *chunk = mchunks_find(set, spare->at);
    HM_ASSERT(chunk != NULL, "a spare place lies in a chunk of the heap");
    return chunk;
}

bool spare_drop(struct mchunks *set, const struct spare *spare)
{
    if (spare->length == 0) {
        return false;
    }
    kill(spare);
    return mchunks_killed(set, chunk_of(set, spare), spare->length);
}

bool spare_drop_all(struct lane *lane, struct mchunks *set)
{
    bool settle = false;
    for (unsigned i = 0; i < LANE_SPARES; i++) {
        settle |= spare_drop(set, &lane->spare[i]);
        lane->spare[i].length = 0;
    }
    return settle;
}

void spare_drop_all_locked(struct lane *lane, struct mchunks *set)
{
    for (unsigned i = 0; i < LANE_SPARES; i++) {
        struct spare *spare = &lane->spare[i];
        if (spare->length > 0) {
            struct mchunk *chunk = chunk_of(set, spare);
            kill(spare);
            atomic_fetch_sub_explicit(&chunk->live, spare->length, memory_order_acq_rel);
            mchunks_relist_locked(set, chunk);
            spare->length = 0;
        }
    }
}

/* From the oldest one on, the first that fits well, or the shortest that is long enough; *waits: one is, but sections may look at it. */
static struct spare *best(struct lane *lane, const struct mchunks *set, size_t stride, bool *waits)
{
    struct spare *found = NULL;
    uint32_t length = NOT_WANTING;
    *waits = false;
    for (unsigned i = 0; i < LANE_SPARES && length >= stride + REST_MIN; i++) {
        struct spare *spare = &lane->spare[(lane->spare_turn + i) % LANE_SPARES];
        if (spare->length >= stride && spare->length < length) {
            if (readers_passed(set->readers, spare->epoch, lane->spare_horizon)) {
                found = spare;
                length = spare->length;
            } else {
                *waits = true;
            }
        }
    }
    return found;
}

/* The rest of a place stays in the ring, or is dead. */
static void keep_rest(struct mchunks *set, struct mchunk *chunk, struct spare *spare, size_t stride)
{
    size_t rest = spare->length - stride;
    spare->at += stride;
    spare->length = 0;
    if (rest >= REST_MIN) {
        atomic_store_explicit(header_at(spare->at), header_making(rest), memory_order_release);
        spare->length = (uint32_t)rest;
    } else if (rest > 0) {
        atomic_store_explicit(header_at(spare->at), header_dead(rest, spare->epoch), memory_order_release);
        mchunks_killed(set, chunk, rest);
    }
}

/* No place came since one was looked for in vain; a range's end is asked twice for one request. */
static bool missed(const struct lane *lane, size_t stride)
{
    return lane->spare_missed == lane->spare_turn && stride >= lane->spare_missed_bytes;
}

bool spare_take(struct lane *lane, struct mchunks *set, size_t stride, uintptr_t *at)
{
    bool waits;
    if (missed(lane, stride)) {
        return false;
    }
    if (lane->spare_turn - lane->spare_advanced >= PATIENCE) {
        lane->spare_advanced = lane->spare_turn;
        lane->spare_horizon = readers_advance(set->readers);
    }
    struct spare *found = best(lane, set, stride, &waits);
    if (found == NULL && waits && lane->spare_waits++ % PATIENCE == 0) {
        lane->spare_horizon = readers_advance(set->readers);
        found = best(lane, set, stride, &waits);
    }
    if (found == NULL) {
        lane->spare_missed = lane->spare_turn;
        lane->spare_missed_bytes = waits ? UINT32_MAX : (uint32_t)stride;
        return false;
    }
    struct mchunk *chunk = chunk_of(set, found);
    if (atomic_load_explicit(&chunk->special, memory_order_relaxed) != 0) {
        spare_drop(set, found);
        found->length = 0;
        return false;
    }
    *at = found->at;
    keep_rest(set, chunk, found, stride);
    return true;
}
