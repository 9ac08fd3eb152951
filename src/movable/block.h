/* Blocks of a heap that grows: making, freeing, resizing, and finding one by its address. */
#ifndef HM_MOVABLE_BLOCK_H
#define HM_MOVABLE_BLOCK_H

#include <string.h>

#include "movable/growing.h"

/* A block found by address. One of chunk and large is NULL. */
struct mblock {
    uintptr_t at;
    struct mentry *entry;
    struct mchunk *chunk;
    struct mlarge *large;
    uint32_t index;
    size_t size;
};

/* What begins at the address, if the memory there says that it is a block of the heap; the entry must confirm it. Reads only
 * memory of the heap. The address's chunk must not go meanwhile: read section, lock, or a block that the caller knows of. */
bool block_at(struct growing *growing, uintptr_t at, struct mblock *block);

/* The block of an entry that nobody moves now (pinned, MOVING, or freed by the caller). Panics if its header doesn't agree. */
void block_of_entry(struct growing *growing, struct mentry *entry, uint64_t word, struct mblock *block);

/* fast.c: the quick verbs. */
hm_handle block_alloc_quick(struct hm_heap *heap, size_t size, alloc_otherwise *otherwise);
hm_handle block_alloc_quick_single(struct hm_heap *heap, size_t size, alloc_otherwise *otherwise);
bool block_free_quick(struct hm_heap *heap, hm_handle handle, free_otherwise *otherwise);
bool block_free_quick_single(struct hm_heap *heap, hm_handle handle, free_otherwise *otherwise);

/* Verbs of the kind. */
enum movable_result block_alloc(struct hm_heap *heap, size_t size, bool zero, hm_handle *handle);
enum movable_result block_free(struct hm_heap *heap, hm_handle handle);

/* `slot`: 0 for a block named by handle; else *slot is set. */
enum movable_result block_alloc_in(struct growing *growing, size_t size, bool zero, uintptr_t slot,
                                   hm_handle *handle);

/* What is left to do after the lane's lock was let go. */
struct rest {
    bool settle;
    struct mlarge *large;
};

/* The entry was taken, its word was `word`: its block goes, and the entry onto the lane's stack. The lane's lock is held;
 * block_finish follows without it. */
void block_bury(struct growing *growing, struct lane *lane, struct mentry *entry, uint64_t word,
                struct rest *rest);
void block_finish(struct growing *growing, const struct rest *rest);

/* Gives what the lane has too many of to the table. */
void block_spare_entries(struct growing *growing, struct lane *lane);

/* The block's header doesn't name its entry: an overflow. */
_Noreturn HM_COLD void block_disagrees(struct growing *growing, const struct mblock *block);

/* A place for a block that has no name yet: not moved, not reused. */
struct place {
    uintptr_t at;
    size_t size;
    struct mchunk *chunk;
    struct mlarge *large;
};

bool block_make(struct growing *growing, size_t size, uintptr_t keep, struct place *place);
void block_unmake(struct growing *growing, const struct place *place);

/* Wipes what is freed or moved away if the heap wants that, kills its header, and counts it off its chunk. True: call
 * mchunks_settle without locks. Compaction lock or a lane's held. */
HM_INLINE bool block_kill(struct growing *growing, struct mchunk *chunk, uintptr_t at, size_t size)
{
    size_t stride = mchunk_stride(size, growing->alignment);
    if (HM_UNLIKELY((growing->heap.options.flags & HM_MOVABLE_ZERO_ON_FREE) != 0)) {
        HM_CHECK(at != 0, "a block has an address");
        memset((void *)at, 0, size);
    }
    uint64_t dead = header_dead(stride, readers_epoch(growing->chunks.readers));
    atomic_store_explicit(header_of(at), dead, memory_order_release);
    return mchunks_killed(&growing->chunks, chunk, stride);
}

/* The calling thread's lane, which it chooses here, at its first call that isn't quick: so threads share one only while they don't meet
 * there. */
struct lane *block_lane(struct growing *growing);

/* Counts `blocks` (1 or -1) more of this size; how many there are is known from the entries. */
HM_INLINE void block_count(struct lane *lane, const struct growing *growing, size_t blocks, size_t size)
{
    lane->bytes += blocks * size;
    lane->granules += blocks * ((size + growing->round - HEADER_BYTES) & growing->mask);
}

/* Compacts what it can, for a request that failed. False: nothing was won. */
bool block_rescue(struct growing *growing, uintptr_t keep);

/* resize.c */
enum movable_result block_resize(struct growing *growing, hm_handle handle, size_t size);

#endif
