/* Blocks of a movable heap that are too long for a chunk: pages of their own, as a mapping where one can be had, else from
 * the page heap. Their descriptor says what a header says of others.
 *
 * They are never copied by compaction: their pages are exactly theirs, so moving them frees nothing. Resizing grows or shrinks
 * the mapping where it lies or moves its pages by remapping, unless read sections may look at the old place.
 *
 * A freed one is given back at once, or waits in limbo for read sections. Equations: bytes = sum of spans of `all`; waiting = that of limbo.
 * Locking: the lock of the heap's mchunks. */
#ifndef HM_MOVABLE_MLARGE_H
#define HM_MOVABLE_MLARGE_H

#include "movable/mchunks.h"

#define MLARGE_DEAD UINT32_MAX /* mlarge.index of a block that is to be discarded */

struct mlarges {
    struct mchunks *set; /* lock, limit, page heap */
    struct meta_pool *pool;
    struct list all;
    struct list limbo;
    size_t count;
    size_t bytes;
    _Atomic size_t waiting;   /* written with the lock; the compactor looks without it */
    size_t remapped;          /* statistics: bytes of blocks moved by remapping */
    _Atomic uintptr_t lowest; /* no block ever lay outside of these two; written with the lock */
    _Atomic uintptr_t highest;
};

struct mlarge {
    struct span span; /* first; mark LARGE_MOVABLE */
    _Atomic(struct mlarges *) larges;
    _Atomic uint32_t index;
    _Atomic uint8_t tag;
    _Atomic bool nested; /* slots of blocks may lie in it */
    _Atomic size_t size;
    struct list all; /* or limbo */
    uint64_t epoch;
};

void mlarges_init(struct mlarges *larges, struct mchunks *set, struct meta_pool *pool);

/* The block that begins at the address; NULL if none of this heap does. No lock. */
struct mlarge *mlarges_find(const struct mlarges *larges, uintptr_t addr);

/* The block that the address lies in, which the caller knows of if there is one. Linear in the number of blocks; for addresses far from all, two
 * loads and no lock. */
struct mlarge *mlarges_around(struct mlarges *larges, uintptr_t addr);

/* A block without a name yet (index 0). NULL: the OS refused, or the limit is reached. */
struct mlarge *mlarge_obtain(struct mlarges *larges, size_t size);

/* The block is nobody's any more. `wait`: read sections may look at it. */
void mlarge_discard(struct mlarges *larges, struct mlarge *large, bool wait);

/* All blocks die at once: one more is dead (the lock is held), and is found here, NULL when there is none. */
void mlarge_kill_locked(struct mlarges *larges, struct mlarge *large);
struct mlarge *mlarges_dead(struct mlarges *larges);

/* Gives back what is in limbo, too; nobody uses the heap any more. */
void mlarges_destroy(struct mlarges *larges);

/* Without moving it: to `size` bytes, if its pages allow it. `keep`: read sections may look at it, so no page may go.
 * False: it is as it was. */
bool mlarge_fit(struct mlarges *larges, struct mlarge *large, size_t size, bool keep);

/* By remapping, perhaps to another place; no read section may look at it. False: it is as it was. */
bool mlarge_remap(struct mlarges *larges, struct mlarge *large, size_t size);

/* Gives back what read sections can't look at any more. Returns bytes. The second one gives back one block, of those that died before
 * the horizon. */
size_t mlarges_settle(struct mlarges *larges);
size_t mlarges_settle_one(struct mlarges *larges, uint64_t horizon);

/* The lock is held. Panics with the broken equation. */
void mlarges_verify_locked(struct mlarges *larges);

#endif
