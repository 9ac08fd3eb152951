/* Lane: where a thread's blocks come from. All begin with the first one; a thread chooses its own, the next in turn, at its first call that
 * isn't quick: when it meets another thread there, or needs a range or entries. Where there are more threads than lanes, some share.
 *
 * A lane holds a chunk, and in it a range [at, stop) that nobody else allocates from: allocation is a bump of `at`, up to `end`. Then the
 * places of blocks freed meanwhile are asked (spare.h) before the range is gone on with: what is filled at once needs no compaction. A free
 * that leaves such a place takes `end` back to `at`. A used-up range is followed by the next one in the chunk (dead pieces beside each
 * other, then what is above the top), a used-up chunk by one with much garbage or a fresh one. The compactor has a lane of its own for
 * where it moves blocks to.
 *
 * The range counts as live in its chunk, so that no chunk with a lane is ever empty. Locking: the holder of `lock` (of the compaction lock, for the
 * compactor's). at <= end <= stop. */
#ifndef HM_MOVABLE_LANE_H
#define HM_MOVABLE_LANE_H

#include "movable/mchunks.h"
#include "movable/table.h"

#define LANE_SHIFT  11 /* of its size */
#define LANE_SPARES 64u
#define LANE_BINS   57u

/* A place of a block that was freed; see spare.h. */
struct spare {
    uintptr_t at; /* of its header */
    struct mchunk *chunk;
    uint32_t epoch;  /* of its death */
    uint16_t length; /* 0: none */
    uint8_t bin;
    uint8_t next; /* in its bin; LANE_SPARES: none */
};

struct spares {
    uint64_t vacant;   /* bit i: place[i] is none */
    uint64_t waiting;  /* bit i: sections may look at place[i], so it is in no bin */
    uint64_t filled;   /* bit b: bin b isn't empty */
    uint32_t came;     /* places that came so far, */
    uint32_t advanced; /* and when the last epoch was begun for them, */
    uint32_t sliced;   /* and when the range was last gone on with, */
    uint32_t slices;   /* and how often without any that came */
    uint32_t turn;     /* the next one to go, modulo their number */
    uint32_t waits;
    uint8_t first[LANE_BINS]; /* of each bin; LANE_SPARES: it is empty */
    struct spare place[LANE_SPARES];
};

struct lane {
    struct lock lock;
    struct mstack entries;
    size_t bytes; /* statistics as those below */
    uintptr_t at;
    uintptr_t end;        /* what is bumped before the spare places are asked again, */
    uintptr_t stop;       /* and the end of the range */
    struct mchunk *chunk; /* NULL: none; at = end then */
    uintptr_t base;       /* of the chunk; without one, no block is near it */
    uint64_t horizon;     /* of the time when the chunk was taken */
    uint32_t cursor;      /* where in the chunk to go on looking */
    bool tail;            /* the range reaches to the chunk's end */
    uint32_t slots;       /* statistics: sums over all lanes are those of the heap, one lane's may wrap */
    size_t granules;
    struct spares spares;
    char unused[4 * HM_CACHE_LINE]; /* up to a power of two */
} __attribute__((aligned(HM_CACHE_LINE)));

void lane_init(struct lane *lane);

/* Makes the range hold `stride` bytes. `want`: WANT_ANY for a lane, WANT_MOVE for the compactor's. False: the OS refused, or
 * the limit is reached. */
bool lane_refill(struct lane *lane, struct mchunks *set, size_t stride, enum mchunks_want want);

/* Takes the chunk from the lane: the caller holds it. NULL: there was none. */
struct mchunk *lane_detach(struct lane *lane);

/* Bytes of garbage in the lane's chunk, as far as the lane has come. */
HM_INLINE size_t lane_garbage(const struct lane *lane)
{
    size_t live = atomic_load_explicit(&lane->chunk->live, memory_order_relaxed) - (lane->stop - lane->at);
    size_t extent = lane->tail ? lane->at - lane->base : lane->chunk->touched;
    return extent > MCHUNK_FIRST + live ? extent - MCHUNK_FIRST - live : 0;
}

HM_INLINE bool lane_ready(struct lane *lane, struct mchunks *set, size_t stride, enum mchunks_want want)
{
    return HM_LIKELY(lane->end - lane->at >= stride) || lane_refill(lane, set, stride, want);
}

/* The place of a header; the range is long enough. */
HM_INLINE uintptr_t lane_bump(struct lane *lane, size_t stride)
{
    uintptr_t at = lane->at;
    lane->at = at + stride;
    return at;
}

#endif
