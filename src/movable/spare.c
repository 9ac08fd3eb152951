#include "movable/spare.h"

#include <string.h>

#include "base/check.h"

#define REST_MIN 64u /* a shorter rest is dead */
#define PATIENCE 8u  /* so many places come, or are looked for in vain, before a new epoch is begun */
#define NONE     LANE_SPARES
#define ALL      UINT64_MAX

static_assert(LANE_SPARES == 64, "a bit of a word for each place");
static_assert(LANE_BINS < 64, "and for each bin");

static uint64_t bit(unsigned index)
{
    return UINT64_C(1) << index;
}

void spare_init(struct spares *spares)
{
    spares->vacant = ALL;
    spares->waiting = 0;
    spares->filled = 0;
    memset(spares->first, NONE, sizeof spares->first);
}

/* Going unused */

/* Few places share a bin. */
static void unlink_place(struct spares *spares, unsigned index)
{
    const struct spare *spare = &spares->place[index];
    uint8_t *link = &spares->first[spare->bin];
    while (*link != index) {
        link = &spares->place[*link].next;
    }
    *link = spare->next;
    spares->filled &= spares->first[spare->bin] == NONE ? ~bit(spare->bin) : ALL;
}

struct spare spare_turn(struct spares *spares)
{
    unsigned index = spares->turn++ % LANE_SPARES;
    if ((spares->vacant & bit(index)) != 0) {
        return (struct spare){.length = 0};
    }
    if ((spares->waiting & bit(index)) != 0) {
        spares->waiting ^= bit(index);
    } else {
        unlink_place(spares, index);
    }
    spares->vacant |= bit(index);
    return spares->place[index];
}

static void kill(const struct spare *spare)
{
    uint64_t dead = header_dead(spare->length, spare->epoch);
    atomic_store_explicit(header_at(spare->at), dead, memory_order_release);
}

bool spare_drop(struct mchunks *set, const struct spare *spare)
{
    if (spare->length == 0) {
        return false;
    }
    kill(spare);
    return mchunks_killed(set, spare->chunk, spare->length);
}

bool spare_drop_all(struct lane *lane, struct mchunks *set)
{
    struct spares *spares = &lane->spares;
    bool settle = false;
    for (uint64_t left = ~spares->vacant; left != 0; left &= left - 1) {
        settle |= spare_drop(set, &spares->place[bits_lowest(left)]);
    }
    spare_init(spares);
    return settle;
}

void spare_drop_all_locked(struct lane *lane, struct mchunks *set)
{
    struct spares *spares = &lane->spares;
    for (uint64_t left = ~spares->vacant; left != 0; left &= left - 1) {
        const struct spare *spare = &spares->place[bits_lowest(left)];
        kill(spare);
        atomic_fetch_sub_explicit(&spare->chunk->live, spare->length, memory_order_acq_rel);
        mchunks_relist_locked(set, spare->chunk);
    }
    spare_init(spares);
}

/* Taking */

/* Those that no section can look at any more go to their bins. */
HM_NOINLINE static void end_waits(struct spares *spares, struct readers *readers)
{
    spares->advanced = spares->came;
    uint64_t horizon = readers_advance(readers);
    for (uint64_t left = spares->waiting; left != 0; left &= left - 1) {
        unsigned index = bits_lowest(left);
        const struct spare *spare = &spares->place[index];
        if (readers_passed(readers, spare->epoch, horizon)) {
            spares->waiting ^= bit(index);
            spare_link(spares, index, spare_bin(spare->length));
        }
    }
}

/* Of the request's own bin the first place if that is long enough, of those above any. */
HM_INLINE unsigned find(const struct spares *spares, size_t stride)
{
    unsigned bin = spare_bin(stride);
    uint64_t filled = spares->filled >> bin;
    unsigned index = spares->first[bin];
    if ((filled & 1) != 0 && spares->place[index].length >= stride) {
        return index;
    }
    filled &= ~UINT64_C(1);
    return filled == 0 ? NONE : spares->first[bin + bits_lowest(filled)];
}

/* One more look, after a new epoch was begun. */
HM_NOINLINE static unsigned find_late(struct spares *spares, struct readers *readers, size_t stride)
{
    if (spares->waiting == 0 || spares->waits++ % PATIENCE != 0) {
        return NONE;
    }
    end_waits(spares, readers);
    return find(spares, stride);
}

/* The rest of a place stays one, or is dead. */
HM_NOINLINE static void keep_rest(struct mchunks *set, struct spares *spares, unsigned index, size_t stride)
{
    struct spare *spare = &spares->place[index];
    size_t rest = spare->length - stride;
    uintptr_t at = spare->at + stride;
    if (rest >= REST_MIN) {
        atomic_store_explicit(header_at(at), header_making(rest), memory_order_release);
        spare->at = at;
        spare->length = (uint16_t)rest;
        spares->vacant ^= bit(index);
        spare_link(spares, index, spare_bin(rest));
    } else {
        atomic_store_explicit(header_at(at), header_dead(rest, spare->epoch), memory_order_release);
        mchunks_killed(set, spare->chunk, rest);
    }
}

bool spare_take(struct lane *lane, struct mchunks *set, size_t stride, uintptr_t *at)
{
    struct spares *spares = &lane->spares;
    if (spares->waiting != 0 && spares->came - spares->advanced >= PATIENCE) {
        end_waits(spares, set->readers);
    }
    unsigned index = find(spares, stride);
    if (HM_UNLIKELY(index == NONE) && (index = find_late(spares, set->readers, stride)) == NONE) {
        return false;
    }
    struct spare *found = &spares->place[index];
    spares->first[found->bin] = found->next;
    spares->filled ^= (uint64_t)(found->next == NONE) << found->bin;
    spares->vacant |= bit(index);
    if (HM_UNLIKELY(atomic_load_explicit(&found->chunk->special, memory_order_relaxed) != 0)) {
        spare_drop(set, found);
        return false;
    }
    *at = found->at;
    if (found->length != stride) {
        keep_rest(set, spares, index, stride);
    }
    return true;
}

/* Seeing */

size_t spare_sum(const struct lane *lane)
{
    size_t sum = 0;
    for (uint64_t left = ~lane->spares.vacant; left != 0; left &= left - 1) {
        sum += lane->spares.place[bits_lowest(left)].length;
    }
    return sum;
}

static uint64_t verify_bin(const struct spares *spares, unsigned bin)
{
    uint64_t seen = 0;
    for (unsigned index = spares->first[bin]; index != NONE; index = spares->place[index].next) {
        const struct spare *spare = &spares->place[index];
        HM_CHECK((seen & bit(index)) == 0, "a place is in a bin once");
        HM_CHECK(spare->bin == bin && spare_bin(spare->length) == bin,
                 "a place lies in the bin of its length");
        seen |= bit(index);
    }
    HM_CHECK((seen != 0) == (spares->filled >> bin & 1), "bit b of filled = bin b isn't empty");
    return seen;
}

void spare_verify(const struct lane *lane, const struct mchunks *set)
{
    const struct spares *spares = &lane->spares;
    uint64_t seen = spares->vacant | spares->waiting;
    HM_CHECK((spares->vacant & spares->waiting) == 0, "a place that waits isn't vacant");
    for (unsigned bin = 0; bin < LANE_BINS; bin++) {
        uint64_t binned = verify_bin(spares, bin);
        HM_CHECK((seen & binned) == 0, "a place is vacant, waiting, or in one bin");
        seen |= binned;
    }
    HM_CHECK(seen == ALL, "each place is vacant, waiting, or in a bin");
    for (uint64_t left = ~spares->vacant; left != 0; left &= left - 1) {
        const struct spare *spare = &spares->place[bits_lowest(left)];
        HM_CHECK(mchunks_find(set, spare->at) == spare->chunk, "a spare place lies in its chunk of the heap");
        HM_CHECK(atomic_load(header_at(spare->at)) == header_making(spare->length),
                 "a spare place has the header of a block in the making");
    }
}
