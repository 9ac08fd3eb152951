/* The chunks of one movable heap: which have garbage, which have room, which are empty and wait for read sections.
 *
 * Garbage is what is resident in a chunk without being a block: what evacuating it wins. Chunks that nobody holds lie in
 * buckets by garbage, in 1/63 of a chunk; a free moves a chunk on when its live bytes pass a bound. A chunk that compaction could
 * not empty in this pass is stuck: it lies apart until the next pass or until more of it is freed. An empty chunk goes
 * to limbo with the epoch of its death; beyond it, it is taken again as it is, or purged piece by piece and given to the page heap.
 *
 * Equations: held = chunks' bytes + what mlarge.h counts here; limbo_count = length of limbo; bit b of `filled` = bucket b isn't empty.
 * Locking: `lock` (LOCK_RANK_MOVABLE_HEAP), for short sections only; not taken where `locked` is false. */
#ifndef HM_MOVABLE_MCHUNKS_H
#define HM_MOVABLE_MCHUNKS_H

#include "movable/mchunk.h"
#include "movable/readers.h"
#include "os/lock.h"
#include "page/pageheap.h"

#define MCHUNKS_BUCKETS 64u
#define MCHUNKS_STUCK   64u /* mchunk.bucket of one that is stuck */
#define MCHUNKS_SPARSE  32u /* lanes take chunks with this much garbage rather than fresh ones, */
#define MCHUNKS_DENSE   8u  /* or only this much if nobody compacts: such holes cost many looks at headers */
#define MCHUNKS_PURGE   ((size_t)64 << 10) /* purged at a time */

struct mchunks {
    struct lock lock;
    bool locked;
    struct pageheap *pages;
    struct meta_pool *pool;
    struct readers *readers;
    uint8_t special;    /* mchunk.special of new chunks */
    size_t spare_bytes; /* the longest spare place of a lane; 0: they have none */
    size_t alignment;
    size_t chunk_bytes; /* a power of two */
    size_t limit;       /* on held; SIZE_MAX: none */
    size_t reserve;     /* of the limit, for the compactor only */
    _Atomic size_t held;
    _Atomic size_t count; /* changes under the lock */
    size_t limbo_count;
    size_t going_count;      /* chunks that are MCHUNK_GOING */
    size_t untended;         /* fresh chunks since the last step of compaction */
    _Atomic size_t taken;    /* bytes of ranges that lanes began with, since the heap was made */
    _Atomic size_t freed;    /* of blocks, and moved away, roughly: counted when live bytes pass a bound */
    _Atomic size_t released; /* statistics: bytes given back */
    uint64_t filled;
    struct list bucket[MCHUNKS_BUCKETS];
    struct list stuck;
    struct list room;
    struct list limbo;
    struct list all;
};

/* What a chunk is wanted for. ANY: by a lane, holes will do. ROOMY: by a lane that found no hole. MOVE: by the compactor. */
enum mchunks_want { WANT_ANY, WANT_ROOMY, WANT_MOVE };

void mchunks_init(struct mchunks *set, struct pageheap *pages, struct meta_pool *pool,
                  struct readers *readers);

HM_INLINE void movable_lock(struct lock *lock, bool locked)
{
    if (locked && !lock_enter(lock)) {
        lock_acquire(lock);
    }
}

HM_INLINE void movable_unlock(struct lock *lock, bool locked)
{
    if (locked && !lock_leave(lock)) {
        lock_wake(lock);
    }
}

/* The heap's chunk that the address lies in; NULL for any other address. No lock. */
HM_INLINE struct mchunk *mchunks_find(const struct mchunks *set, uintptr_t addr)
{
    struct span *span = pagemap_get(set->pages->map, addr & ~(set->chunk_bytes - 1));
    if (span == NULL || span->kind != SPAN_MOVABLE || span->mark != MCHUNK_MARK) {
        return NULL;
    }
    struct mchunk *chunk = (struct mchunk *)(void *)span;
    return atomic_load_explicit(&chunk->set, memory_order_relaxed) == set ? chunk : NULL;
}

/* Slots of blocks may lie in it from now on. */
void mchunk_set_nested(struct mchunk *chunk);

/* Counts memory of another kind: false, and nothing is counted, if that were over the limit. */
bool mchunks_charge(struct mchunks *set, size_t bytes);
void mchunks_discharge(struct mchunks *set, size_t bytes);

/* A chunk to allocate from, held by the caller. NULL: none, and the OS gives none or the limit is reached. */
struct mchunk *mchunks_take(struct mchunks *set, enum mchunks_want want);

/* The holder is done with it. */
void mchunks_give(struct mchunks *set, struct mchunk *chunk);

/* Purges the end of what a held chunk has between `top` and `touched` if that is worth a call; not under a lock. Returns bytes; 0:
 * nothing is left to do. */
size_t mchunks_trim(struct mchunks *set, struct mchunk *chunk);

/* The chunk with the most garbage, in bucket `least` or above, held by the caller; NULL: no chunk is worth it (in this pass). For least 1,
 * stuck ones too. */
struct mchunk *mchunks_victim(struct mchunks *set, uint32_t pass, unsigned least);

/* Gives a victim that still has blocks. */
void mchunks_give_stuck(struct mchunks *set, struct mchunk *chunk, uint32_t pass);

/* The same with the lock held. */
void mchunks_give_locked(struct mchunks *set, struct mchunk *chunk);

/* The general part of mchunks_killed; and for who killed blocks with the lock held. */
bool mchunks_relist(struct mchunks *set, struct mchunk *chunk);
void mchunks_relist_locked(struct mchunks *set, struct mchunk *chunk);

#define MCHUNKS_CROSSING ((size_t)32 << 10)

/* Whether live bytes passed a multiple of MCHUNKS_CROSSING, 0 included, when `length` of them went. */
HM_INLINE bool mchunks_crossed(uint32_t before, size_t length)
{
    return ((before - 1) & (MCHUNKS_CROSSING - 1)) < length;
}

/* A block is dead (its header says so) and counts no more: the caller's last access to it. True: call mchunks_settle, without
 * locks. */
HM_INLINE bool mchunks_killed(struct mchunks *set, struct mchunk *chunk, size_t length)
{
    uint32_t before = atomic_fetch_sub_explicit(&chunk->live, (uint32_t)length, memory_order_acq_rel);
    return HM_UNLIKELY(mchunks_crossed(before, length)) && mchunks_relist(set, chunk);
}

/* A step of compaction begins: what lanes leave is taken care of. */
void mchunks_tended(struct mchunks *set);

/* How many empty chunks are kept for lanes. */
size_t mchunks_keep(const struct mchunks *set);

/* Gives chunks in limbo back, beyond `keep` of them. */
void mchunks_settle(struct mchunks *set, size_t keep);

/* One purge's worth of it. Returns bytes purged; 0: nothing is to be done at the moment. */
size_t mchunks_release(struct mchunks *set, size_t keep);

/* In a child of fork, where whoever was giving a chunk back doesn't exist: it is in limbo again. */
void mchunks_fork_child(struct mchunks *set);

/* Gives all chunks back; nobody uses the heap any more. */
void mchunks_destroy(struct mchunks *set);

/* Bytes of garbage, and of empty chunks that wait for read sections. Linear in the number of chunks. */
struct mchunks_stats {
    size_t garbage;
    size_t waiting;
    size_t touched;
};
void mchunks_stats(struct mchunks *set, struct mchunks_stats *stats);

/* Lists, counts and descriptors; the lock is held. Panics with the broken equation. */
void mchunks_verify_locked(struct mchunks *set);

#endif
