/* Ranked mutual exclusion on a futex. 8 bytes, zero-initialised is unlocked.
 *
 * Lock order is by rank: while holding a lock of rank r, only locks of a higher rank may be taken (equal rank only where
 * the enum says so). Debug builds check it. Holders never allocate through the public interface.
 * Uncontended: one compare-and-swap to take, one exchange or subtraction to release. Waiters sleep in the kernel after a short spin; when
 * futex is refused by a filter they yield instead. errno is kept. */
#ifndef HM_OS_LOCK_H
#define HM_OS_LOCK_H

#include <stdatomic.h>

#include "base/attr.h"

/* The locks of movable heaps come first: whoever moves blocks may call the program back, which may allocate, and fork takes them
 * before all others. While holding LOCK_RANK_MOVABLE_LIST (fork, which takes heap by heap) those of several heaps may be
 * taken; otherwise one of each rank. */
enum lock_rank {
    LOCK_RANK_NONE,
    LOCK_RANK_MOVABLE_LIST,    /* the process's list of movable heaps, and its default heap */
    LOCK_RANK_MOVABLE_COMPACT, /* who compacts this heap */
    LOCK_RANK_MOVABLE_LANE, /* one lane of a movable heap; several at once only while holding that of who compacts */
    LOCK_RANK_MOVABLE_HEAP,  /* what the lanes of a movable heap share; the one lock of a heap in a buffer */
    LOCK_RANK_MOVABLE_TABLE, /* its table of entries */
    LOCK_RANK_MOVABLE_PINS,  /* its names and records of pins */
    LOCK_RANK_REGISTRY,      /* the list of thread heaps */
    LOCK_RANK_THEAP,         /* one thread heap; several at once only while holding LOCK_RANK_REGISTRY */
    LOCK_RANK_PAGEHEAP,      /* the page heap */
    LOCK_RANK_POOL,          /* a slab pool of descriptors */
    LOCK_RANK_META,          /* metadata memory */
    LOCK_RANK_COUNT,
};

struct lock {
    _Atomic uint32_t word; /* 0 free, 1 held, 2 held with sleepers */
    uint32_t rank;
};

/* For a static lock: all zero where nobody looks at the rank, so that it needs no place in the file (src/layout.ld). */
#define LOCK_STATIC(rank_)                                                                                   \
    {                                                                                                        \
        .rank = HM_DEBUG ? (uint32_t)(rank_) : 0                                                             \
    }

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_acquire(struct lock *lock);
bool lock_try(struct lock *lock);
void lock_release(struct lock *lock);
void lock_wake(struct lock *lock);

/* In a forked child, where the holder may not exist any more: makes it free and forgets the waiters. In the thread that
 * held it at fork (the only one that lives in the child) it counts as released. */
void lock_reset(struct lock *lock);

bool lock_held(struct lock *lock);

/* Inline halves of acquire and release, for the shortest paths: after false, lock_acquire waits, and lock_wake, which must follow,
 * releases and wakes. */
HM_INLINE bool lock_enter(struct lock *lock)
{
    if (HM_DEBUG) {
        lock_acquire(lock);
        return true;
    }
    uint32_t free = 0;
    return HM_LIKELY(atomic_compare_exchange_strong_explicit(&lock->word, &free, 1, memory_order_acquire,
                                                             memory_order_relaxed));
}

HM_INLINE bool lock_leave(struct lock *lock)
{
    if (HM_DEBUG) {
        lock_release(lock);
        return true;
    }
    /* From 2 it becomes 1: held, until lock_wake. */
    return HM_LIKELY(atomic_fetch_sub_explicit(&lock->word, 1, memory_order_release) == 1);
}

#endif
