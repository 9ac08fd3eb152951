#include "movable/lane.h"

#include "base/check.h"
#include "movable/spare.h"

#define LANE_TRIES 8
/* Used of a range before the spare places are asked again, when none came since the last time, and so often doubled when none came
 * since the time before. */
#define SLICE_BYTES  ((size_t)1 << 10)
#define SLICE_DOUBLE 5u
#define LANE_NO_BASE (UINTPTR_MAX - MCHUNK_BYTES + 1)

void lane_init(struct lane *lane)
{
    *lane = (struct lane){0};
    lock_init(&lane->lock, LOCK_RANK_MOVABLE_LANE);
    spare_init(&lane->spares);
    lane->base = LANE_NO_BASE;
}

/* What is left becomes a dead piece that anyone may reuse, or lies above the top again. */
static void close_range(struct lane *lane)
{
    struct mchunk *chunk = lane->chunk;
    uintptr_t left = lane->stop - lane->at;
    if (chunk == NULL) {
        return;
    }
    if (lane->tail) {
        chunk->top = (uint32_t)(lane->at - chunk->span.addr);
        chunk->touched = chunk->touched < chunk->top ? chunk->top : chunk->touched;
    } else if (left > 0) {
        atomic_store_explicit(header_at(lane->at), header_dead(left, 0), memory_order_release);
    }
    if (left > 0) {
        atomic_fetch_sub_explicit(&chunk->live, (uint32_t)left, memory_order_acq_rel);
    }
    lane->at = 0;
    lane->end = 0;
    lane->stop = 0;
    lane->tail = false;
}

/* Bytes beyond a request that no spare place was found for: none at first, as the next one may be smaller. */
static size_t slice_more(struct spares *spares)
{
    uint32_t most = spares->waiting != 0 ? 1 : 2;
    spares->slices = spares->sliced != spares->came ? 0 : spares->slices + (spares->slices < most);
    spares->sliced = spares->came;
    return spares->slices == 0 ? 0 : SLICE_BYTES << (spares->slices - 1) * SLICE_DOUBLE;
}

/* Goes on with the range. The compactor has no spare places. */
static void open_slice(struct lane *lane, const struct mchunks *set, size_t stride, enum mchunks_want want)
{
    size_t left = lane->stop - lane->at;
    bool whole = want == WANT_MOVE || set->spare_bytes == 0;
    size_t slice = whole ? left : stride + slice_more(&lane->spares);
    lane->end = slice < left ? lane->at + slice : lane->stop;
}

static bool open_range(struct lane *lane, struct mchunks *set, const struct range_wanted *wanted,
                       enum mchunks_want want)
{
    struct mchunk *chunk = lane->chunk;
    uintptr_t at;
    uintptr_t end;
    bool gave_up;
    bool found = mchunk_range(chunk, wanted, &lane->cursor, &at, &end, &gave_up);
    if (gave_up && mchunk_end(chunk) - chunk->top >= wanted->need) {
        lane->cursor = chunk->top;
        found = mchunk_range(chunk, wanted, &lane->cursor, &at, &end, &gave_up);
    }
    if (!found) {
        return false;
    }
    lane->at = at;
    lane->stop = end;
    lane->tail = end == chunk->span.addr + mchunk_end(chunk);
    if (lane->tail) {
        chunk->top = (uint32_t)(at - chunk->span.addr);
    }
    atomic_fetch_add_explicit(&chunk->live, (uint32_t)(end - at), memory_order_relaxed);
    if (want != WANT_MOVE) {
        atomic_fetch_add_explicit(&set->taken, end - at, memory_order_relaxed);
    }
    return true;
}

struct mchunk *lane_detach(struct lane *lane)
{
    struct mchunk *chunk = lane->chunk;
    close_range(lane);
    lane->chunk = NULL;
    lane->base = LANE_NO_BASE;
    return chunk;
}

/* One that has room serves from there: its holes are the compactor's. */
static uint32_t first_cursor(const struct mchunks *set, const struct mchunk *chunk)
{
    return mchunk_end(chunk) - chunk->top >= set->chunk_bytes / 8 ? chunk->top : MCHUNK_FIRST;
}

/* The end of a range that is too short for this request may do for another one. */
static void spare_range(struct lane *lane, struct mchunks *set)
{
    uintptr_t left = lane->stop - lane->at;
    if (left > 0 && left <= set->spare_bytes && !lane->tail) {
        struct spare out = spare_make_room(&lane->spares);
        spare_put(lane, lane->chunk, lane->at, left, 0);
        lane->at = lane->stop;
        lane->end = lane->stop;
        spare_drop(set, &out);
    }
}

bool lane_refill(struct lane *lane, struct mchunks *set, size_t stride, enum mchunks_want want)
{
    struct range_wanted wanted = {
        .need = stride, .alignment = set->alignment, .readers = set->readers, .horizon = lane->horizon};
    if (lane->stop - lane->at >= stride) {
        open_slice(lane, set, stride, want);
        return true;
    }
    if (want != WANT_MOVE) {
        spare_range(lane, set);
    }
    close_range(lane);
    for (int i = 0; i < LANE_TRIES; i++) {
        if (lane->chunk != NULL && open_range(lane, set, &wanted, want)) {
            open_slice(lane, set, stride, want);
            return true;
        }
        struct mchunk *spent = lane_detach(lane);
        if (spent != NULL) {
            mchunks_give(set, spent);
        }
        lane->chunk = mchunks_take(set, want == WANT_ANY && i > 0 ? WANT_ROOMY : want);
        if (lane->chunk == NULL) {
            return false;
        }
        lane->base = lane->chunk->span.addr;
        lane->cursor = first_cursor(set, lane->chunk);
        lane->horizon = readers_advance(set->readers);
        wanted.horizon = lane->horizon;
    }
    return false;
}
