/* Ranked mutual exclusion on a futex. 8 bytes, zero-initialised is unlocked.
 *
 * Lock order is by rank: while holding a lock of rank r, only locks of a higher rank may be taken (equal rank only where
 * the enum says so). Debug builds check it. Holders never allocate through the public interface.
 * Uncontended: one compare-and-swap to take, one exchange to release. Waiters sleep in the kernel after a short spin; when
 * futex is refused by a filter they yield instead. errno is kept. */
#ifndef HM_OS_LOCK_H
#define HM_OS_LOCK_H

#include <stdatomic.h>

#include "base/attr.h"

enum lock_rank {
    LOCK_RANK_NONE,
    LOCK_RANK_REGISTRY, /* the list of thread heaps */
    LOCK_RANK_THEAP,    /* one thread heap; several at once only while holding LOCK_RANK_REGISTRY */
    LOCK_RANK_PAGEHEAP, /* the page heap */
    LOCK_RANK_POOL,     /* a slab pool of descriptors */
    LOCK_RANK_META,     /* metadata memory */
    LOCK_RANK_COUNT,
};

struct lock {
    _Atomic uint32_t word; /* 0 free, 1 held, 2 held with sleepers */
    uint32_t rank;
};

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_acquire(struct lock *lock);
bool lock_try(struct lock *lock);
void lock_release(struct lock *lock);

/* In a forked child, where the holder may not exist any more: makes it free and forgets the waiters. In the thread that
 * held it at fork (the only one that lives in the child) it counts as released. */
void lock_reset(struct lock *lock);

bool lock_held(struct lock *lock);

#endif
