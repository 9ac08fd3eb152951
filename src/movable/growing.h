/* Movable heaps that grow: chunks from the page heap, blocks in them with a header of 8 bytes, a table of entries, compaction by
 * evacuating sparse chunks while other threads go on.
 *
 * A block named by handle has its address in its entry. A block named by slot has the slot's address there, and its own
 * address is what the slot's variable holds. Everything else is the same for both.
 *
 * A verb that makes or frees a block does all of it under the lock of the calling thread's lane, so that fork, which takes all
 * locks, never sees half of it. Nobody waits for a block that is being moved while holding a lock.
 *
 * Equations: bytes asked for, blocks = sums over live entries; each live entry has one block, each block's header names its
 * entry. See mchunk.h and mchunks.h for the memory, lane.h for allocation, mlarge.h for blocks in pages of their own, evacuate.h for
 * compaction. Lock order: evacuate.lock, lane.lock, mchunks.lock (os/lock.h). */
#ifndef HM_MOVABLE_GROWING_H
#define HM_MOVABLE_GROWING_H

#include "heap/core.h"
#include "movable/evacuate.h"
#include "movable/heap.h"
#include "movable/lane.h"
#include "movable/mchunks.h"
#include "movable/mlarge.h"
#include "movable/pins.h"
#include "movable/readers.h"
#include "movable/table.h"

#define GROWING_LANES_MAX 16u

/* What the growing heaps of a process share. */
struct growing_env {
    struct core *core;
    struct readers *readers;
    struct reader *(*reader)(void); /* the calling thread's record, made if it has none; NULL: can't be had */
    struct pin_pools pins;
    struct meta_pool heaps;
    struct meta_pool chunks;
    struct meta_pool larges;
    size_t address_limit;       /* RLIMIT_AS; SIZE_MAX: none */
    unsigned lanes;             /* of each heap, a power of two */
    _Atomic uint32_t lane_turn; /* of the next thread that chooses a lane */
};

struct growing {
    struct hm_heap heap; /* first */
    struct growing_env *env;
    bool locked; /* false: HM_MOVABLE_SINGLE_OWNER */
    size_t alignment;
    size_t round;       /* (size + round) & mask is a block's stride, */
    size_t mask;        /* and (size + round - 8) & mask its size rounded up to the alignment */
    uint64_t make;      /* what a free entry's word becomes a live one by adding, */
    uint64_t free;      /* and a live one without flags, not of the last use, free */
    size_t small_bytes; /* the largest block in a chunk */
    unsigned lane_mask;
    uint32_t lane_offsets; /* the same in bytes */
    _Atomic bool
        read; /* read sections have been in use: memory goes by epochs, and large blocks aren't remapped */
    _Atomic size_t
        resizing;        /* blocks being resized: a child of fork has to look for them if there were any */
    _Atomic bool warned; /* of a lost slot */
    struct mtable table;
    struct pins pins;
    struct mchunks chunks;
    struct mlarges larges;
    struct evacuate evacuate;
    struct lane lane[GROWING_LANES_MAX];
};

/* `cpus`: how many threads are likely to run at once. */
void growing_env_init(struct growing_env *env, struct core *core, struct readers *readers,
                      struct reader *(*reader)(void), unsigned cpus, size_t address_limit);

/* `number`: 1 to 1023, unlike that of any other heap of the process; options with alignment 8 or 16. NULL: the OS refused. */
struct hm_heap *growing_create(struct growing_env *env, uint32_t number,
                               const struct hm_movable_options *options);

/* The kind's verbs that are more than a call into another file; slot.c, reset.c, seeing.c and growing_dump.c have them. */
enum movable_result growing_slot_find(struct hm_heap *heap, const void *slot, hm_handle *handle);
enum movable_result growing_slot_alloc(struct hm_heap *heap, void *slot, size_t size);
enum movable_result growing_slot_move(struct hm_heap *heap, hm_handle handle, void *to);
void *growing_slot_of(struct hm_heap *heap, const void *address);
size_t growing_slot_check(struct hm_heap *heap);
enum movable_result growing_reset(struct hm_heap *heap);
void growing_destroy(struct hm_heap *heap);
void growing_look(struct hm_heap *heap, struct movable_view *view);
void growing_stats(struct hm_heap *heap, struct hm_movable_stats *stats);
enum movable_result growing_dump(struct hm_heap *heap, int fd, enum hm_dump format);
size_t growing_pin_report(struct hm_heap *heap, struct hm_pin_info *pins, size_t max);
void growing_verify(struct hm_heap *heap);

/* The lane that allocates from a range in the chunk, if any does; all locks are held. */
const struct lane *growing_lane_of(const struct growing *growing, const struct mchunk *chunk);

/* All locks of the heap, in order; none where it has one owner. */
void growing_lock_all(struct growing *growing);
void growing_unlock_all(struct growing *growing);

/* For the place of what becomes unreachable, while a lane's lock is held: the epoch of its death, or 0 if no section ever looked at
 * anything here. */
HM_INLINE uint64_t growing_died(const struct growing *growing)
{
    return atomic_load_explicit(&growing->read, memory_order_relaxed) ? readers_epoch(growing->env->readers)
                                                                      : 0;
}

HM_INLINE struct growing *growing_of(struct hm_heap *heap)
{
    return (struct growing *)(void *)heap;
}

#endif
