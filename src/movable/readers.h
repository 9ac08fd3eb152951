/* Readers: read sections, and when memory that a section may still look at can be reused.
 *
 * One epoch, which only grows, and a record for each thread that was ever in a section. A section stores the epoch in its thread's
 * record; 0 says that the thread is in none. Whoever makes memory unreachable (entry_take, entry_set_address) reads the epoch
 * after that: the epoch of its death. It may be reused when the horizon is beyond: died < readers_horizon(). Anybody may
 * begin a new epoch at any time; without one nothing that just died becomes reusable.
 *
 * Why that is enough: let memory be unreachable in U and its death be stamped e. A section with a record of more than e read the
 * epoch after it went beyond e, that is after U, and looks for addresses later: it finds the new state. A section whose record the
 * horizon's scan found 0 looks for addresses after the scan, or had left before. All of these are sequentially consistent.
 *
 * Records are type stable: made from metadata memory, never given back, reused by later threads. No lock: records are
 * claimed by compare-and-swap on a list that only grows. A thread that can't have a record is counted instead, and while one is, nothing
 * is reusable. */
#ifndef HM_MOVABLE_READERS_H
#define HM_MOVABLE_READERS_H

#include <stdatomic.h>

#include "base/attr.h"
#include "base/check.h"
#include "page/meta.h"

/* One a cache line; the thread that it belongs to writes it. */
struct reader {
    _Atomic uint64_t epoch; /* 0: in no section */
    uint32_t depth;         /* sections, one inside the other */
    _Atomic bool used;      /* belongs to a thread */
    struct reader *next;    /* in readers.all */
};

struct readers {
    _Atomic uint64_t epoch; /* the first is 1 */
    _Atomic(struct reader *) all;
    _Atomic size_t crowd; /* sections of threads without a record, one inside the other counted apart */
    struct meta *meta;
};

void readers_init(struct readers *readers, struct meta *meta);

/* A record for the calling thread; NULL: the OS refused. Constant time but for the list of records. */
struct reader *readers_get(struct readers *readers);

/* Gives the record back when its thread ends; a section that it is in ends. */
void readers_put(struct reader *reader);

/* For threads without a record. A thread that gets its record inside of such a section leaves the sections in any order. */
void readers_enter_crowd(struct readers *readers);
void readers_leave_crowd(struct readers *readers);

/* Nests. `reader` is the calling thread's. */
HM_INLINE void readers_enter(struct readers *readers, struct reader *reader)
{
    if (reader->depth++ == 0) {
        uint64_t epoch = atomic_load(&readers->epoch);
        if (HM_TSAN) {
            atomic_store(&reader->epoch, epoch);
        } else {
            atomic_store_explicit(&reader->epoch, epoch, memory_order_release);
            atomic_thread_fence(memory_order_seq_cst);
        }
    }
}

HM_INLINE void readers_leave(struct reader *reader)
{
    HM_ASSERT(reader->depth > 0, "a section that is left was entered");
    if (--reader->depth == 0) {
        atomic_store_explicit(&reader->epoch, 0, memory_order_release);
    }
}

/* True in a section. */
HM_INLINE bool readers_inside(const struct reader *reader)
{
    return reader != NULL && reader->depth > 0;
}

/* The epoch of death of what was made unreachable just before. */
HM_INLINE uint64_t readers_epoch(const struct readers *readers)
{
    return atomic_load(&readers->epoch);
}

/* What died in an epoch below this can be reused: the smallest epoch of a section, at most the current one. Linear in the number of
 * records. Take one for many blocks. */
uint64_t readers_horizon(const struct readers *readers);

/* Begins a new epoch and gives the horizon, so that all that died before the call can be reused when no section is in the way. */
uint64_t readers_advance(struct readers *readers);

/* Whether memory of that epoch of death can be reused now. One look. */
HM_INLINE bool readers_safe(const struct readers *readers, uint64_t died)
{
    return died < readers_horizon(readers);
}

/* The same, where only the lower half of the epoch was kept (in the header of a dead block, read with acquire or under its lock), and
 * against a horizon taken before. Dead for more than 2^32 epochs: may wrongly say no. */
HM_INLINE bool readers_passed(const struct readers *readers, uint32_t died, uint64_t horizon)
{
    uint64_t now = atomic_load(&readers->epoch);
    return now - (uint32_t)((uint32_t)now - died) < horizon;
}

/* Waits until every section that is under way now has been left, but for the caller's own: those of `mine` (NULL: it has no record)
 * and `crowd` without one. */
void readers_synchronize(struct readers *readers, const struct reader *mine, size_t crowd);

/* In a forked child: the records of all other threads are free, and so are their sections. */
void readers_fork_child(struct readers *readers, const struct reader *mine);

/* Panics with the broken equation. */
void readers_verify(const struct readers *readers);

#endif
