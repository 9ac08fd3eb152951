/* Chunk: a 64 KiB span, aligned to its size, that holds blocks of 32 bytes to 16 KiB without headers.
 *
 * The chunk's map is the single truth about it: one byte for each window of 32 bytes (two granules). As no
 * block and no linked hole is shorter than two granules, at most one of them starts in a window, and the byte
 * of that window names it (class.h). What no block covers is free; free memory is either part of a linked
 * hole (hole.h) or dead, that is, waiting to be swept. The window in which a dead block began says so, CODE_DEAD; after the
 * next sweep nothing begins there.
 *
 * Who may change what:
 *  - user -> cached, cached -> user, cached -> dead: the thread in whose bin the block is or goes, without a lock; a sweep
 * may see that at any moment;
 *  - dead -> 0, holes, 0 -> cached: the holder of the owner's lock;
 *  - user -> dead: any thread but the owner that frees the block while its bin has no room, by compare-and-swap;
 *  - 0 -> dead, where the end of a block died: its user, by compare-and-swap.
 *
 * `used`, the granules of blocks, is kept as a difference, so that the owner needs no atomic operation for what it
 * frees itself: `kept` is what the owner carved and has not taken back, changed under its lock; `gone` is what
 * others freed of that since the descriptor was made. Both may wrap, their difference doesn't.
 *
 * Equations: used = kept - gone; used >= granules of all blocks in the map, with equality when no remote free is
 * between its two steps (mark, then count); granules of all blocks + linked <= CHUNK_GRANULES; the rest is dead. Only a
 * chunk whose `used` is 0 may be given back, under its owner's lock: then nobody is between the two steps,
 * and everything that a remote freer does afterwards is a hint that may come late or never. */
#ifndef HM_CHUNK_CHUNK_H
#define HM_CHUNK_CHUNK_H

#include <assert.h>
#include <stdatomic.h>

#include "chunk/class.h"
#include "page/slab.h"
#include "page/span.h"

#define CHUNK_BYTES    65536u
#define CHUNK_SHIFT    16u
#define CHUNK_GRANULES (CHUNK_BYTES / GRANULE_BYTES)
#define CHUNK_WINDOWS  (CHUNK_GRANULES / 2)

struct chunk {
    struct span span;      /* link: the owner's chunks; age: the owner's list of chunks as dead as this one */
    _Atomic uint32_t kept; /* changed under the owner's lock */
    _Atomic uint32_t gone;
    uint32_t linked;     /* granules of linked holes; owner's lock */
    uint32_t fresh;      /* from this granule on, memory is zero but for hole records; owner's lock */
    uint32_t swept_dead; /* dead granules that the last sweep couldn't use; owner's lock */
    uint32_t heard;      /* of `gone`, what the owner's sum has; owner's lock */
    _Atomic uint32_t
        review_used;        /* when `used` is no more than that, the bucket may have changed; owner's lock */
    _Atomic bool announced; /* in some thread heap's inbox */
    uint8_t bucket;         /* which list span.age is on; owner's lock */
    struct chunk *inbox_next; /* written by whoever set `announced` */
    struct slab *slab;        /* where the descriptor comes from */
    _Alignas(HM_CACHE_LINE) uint8_t map[CHUNK_WINDOWS];
};

static_assert(offsetof(struct chunk, span) == 0, "the page map leads to the span, and thereby to the chunk");

HM_INLINE uintptr_t chunk_address(const struct chunk *chunk, unsigned granule)
{
    return chunk->span.addr + (uintptr_t)granule * GRANULE_BYTES;
}

/* Of an address in a chunk, without a look at the descriptor. */
HM_INLINE unsigned chunk_granule(uintptr_t addr)
{
    return (unsigned)(addr % CHUNK_BYTES >> GRANULE_SHIFT);
}

/* Byte accesses. Changes between user and cached race with nothing but double frees, so a plain read-modify-write is
 * enough there and one instruction; under TSan they are atomic so that it sees the protocol that remote frees rely on. */
HM_INLINE unsigned mark_load(const uint8_t *mark)
{
    return __atomic_load_n(mark, __ATOMIC_ACQUIRE);
}

HM_INLINE void mark_store(uint8_t *mark, unsigned value)
{
    __atomic_store_n(mark, (uint8_t)value, __ATOMIC_RELEASE);
}

/* False: two threads freed the block at the same moment, and it isn't cached any more, or no block. */
HM_INLINE bool mark_to_user(uint8_t *mark)
{
    bool was_cached;
#if defined(__x86_64__) && !HM_TSAN
    /* Compilers compare and subtract separately. */
    __asm__("subb %2, %0" : "+m"(*mark), "=@cca"(was_cached) : "i"((int8_t)CODE_CACHED));
#else
    unsigned value = mark_load(mark);
    mark_store(mark, value - CODE_CACHED);
    was_cached = value > CODE_CACHED;
#endif
    return was_cached;
}

HM_INLINE void mark_to_cached(uint8_t *mark)
{
    if (HM_TSAN) {
        mark_store(mark, mark_load(mark) | CODE_CACHED);
    } else {
        *mark |= (uint8_t)CODE_CACHED;
    }
}

/* From one value to another: true for exactly one of several callers. */
HM_INLINE bool mark_swap(uint8_t *mark, unsigned from, unsigned to)
{
    uint8_t expected = (uint8_t)from;
    return __atomic_compare_exchange_n(mark, &expected, (uint8_t)to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* Exact under the owner's lock; else a hint. */
HM_INLINE uint32_t chunk_used(const struct chunk *chunk)
{
    uint32_t kept = atomic_load_explicit(&chunk->kept, memory_order_relaxed);
    return kept - atomic_load_explicit(&chunk->gone, memory_order_relaxed);
}

/* Carved; the caller adds the same to the owner's sum. Owner's lock held. */
HM_INLINE void chunk_keep(struct chunk *chunk, uint32_t granules)
{
    uint32_t kept = atomic_load_explicit(&chunk->kept, memory_order_relaxed);
    atomic_store_explicit(&chunk->kept, kept + granules, memory_order_relaxed);
}

/* Taken back by the owner, whose lock is held; the caller subtracts the same from the owner's sum. Then it has to look
 * at `used` after a full fence: either it or who counts in `gone` meanwhile sees that the chunk has become unused. */
HM_INLINE void chunk_lower(struct chunk *chunk, uint32_t granules)
{
    chunk_keep(chunk, 0u - granules);
}

/* Counts granules that another thread freed; returns what `used` has become, at least if nobody else will see it
 * become 0. */
HM_INLINE uint32_t chunk_lose(struct chunk *chunk, uint32_t granules)
{
    uint32_t gone = atomic_fetch_add(&chunk->gone, granules) + granules;
    return atomic_load(&chunk->kept) - gone;
}

/* The chunk of a block, by where its map byte is. */
HM_INLINE struct chunk *chunk_of_mark(const void *block, uint8_t *mark)
{
    uint8_t *map = mark - ((uintptr_t)block & (CHUNK_BYTES - 1)) / (CHUNK_BYTES / CHUNK_WINDOWS);
    return (struct chunk *)(void *)(map - offsetof(struct chunk, map));
}

/* The next sweep finds what is free around this granule. If its window has a mark, it will be found by way of that, or is a lone
 * granule between blocks. By the owner under its lock, or by whose block ends there: the owner may link a hole in this window meanwhile. */
HM_INLINE void chunk_note_dead(struct chunk *chunk, unsigned granule)
{
    mark_swap(&chunk->map[granule / 2], 0, CODE_DEAD);
}

/* Dead granules: free, but in no hole. While a remote free is between its two steps, a sweep may have linked
 * what still counts as used. */
HM_INLINE unsigned chunk_dead(const struct chunk *chunk)
{
    unsigned taken = chunk_used(chunk) + chunk->linked;
    return taken < CHUNK_GRANULES ? CHUNK_GRANULES - taken : 0;
}

/* The block that covers a granule, from the map alone. False: the granule is free. */
struct block {
    unsigned start; /* granules */
    unsigned granules;
    unsigned code; /* with CODE_CACHED when cached */
};
bool chunk_block_at(const struct chunk *chunk, unsigned granule, struct block *block);

/* True if a block starts at this granule. May be asked by the owner without its lock, and be out of date then. */
HM_INLINE bool chunk_starts_block(const struct chunk *chunk, unsigned granule)
{
    if (granule >= CHUNK_GRANULES) {
        return false;
    }
    unsigned code = mark_load(&chunk->map[granule / 2]) & ~CODE_CACHED;
    return code != 0 && code < CODE_HOLE && code_parity(code) == granule % 2;
}

/* The first mark at window >= `window`; CHUNK_WINDOWS if none. */
unsigned chunk_next_mark(const struct chunk *chunk, unsigned window);

/* The first mark at window >= `window` that isn't CODE_DEAD; CHUNK_WINDOWS if none. Clears the CODE_DEAD in front of it. */
unsigned chunk_clear_dead(struct chunk *chunk, unsigned window);

/* Panics with the broken equation; the owner's lock is held. Concurrent remote frees are allowed for. */
HM_COLD void chunk_verify(const struct chunk *chunk);

#endif
