/* Thread heap: one thread's caches and chunks.
 *
 * The caches (bins) are arrays of entries used as stacks, one for each size class; only the owner thread
 * touches them, without a lock. Everything else - holes, lists of chunks, the inbox - is under `lock`, which
 * the owner takes when a bin runs empty or full, and which others take to give empty chunks back, to adopt,
 * and to report. So a heap whose thread sleeps can still be tidied.
 *
 * Life: a thread attaches a heap at its first allocation, a used one (orphan) if there is any, with all its
 * chunks. At thread exit the caches are flushed and the heap becomes an orphan, or spare if it has no chunk
 * left. Other threads take chunks from orphans before they ask for new ones. Thread heaps are type stable:
 * never unmapped, always a struct theap.
 *
 * Inbox: chunks in which other threads freed blocks, a lock-free stack, emptied as a whole under the lock. An
 * entry is a hint: see remote.h.
 *
 * Equations: every chunk on `chunks` has span.owner == this; chunk.used of all its chunks = blocks with users
 * + blocks in any thread's bins + loose blocks (+ remote frees between their two steps); the entries of bins and the loose ones
 * are all marked cached. Loose blocks are of this heap's chunks. */
#ifndef HM_HEAP_THEAP_H
#define HM_HEAP_THEAP_H

#include "chunk/carve.h"
#include "os/lock.h"

struct core;

/* A bin is empty when `top` is its bottom, whose entry is all zero; in a heap that was never set up `top` is
 * 0 and leads to `none` at the heap's own start. Offsets are from the heap to the entry, so that zero-filled
 * memory is a valid, empty heap. */
struct bin {
    uintptr_t top;   /* the newest entry */
    uintptr_t limit; /* the last place for one */
};

struct bin_info {
    uint8_t capacity; /* entries of its array, the bottom not counted; 0: it has none */
    uint8_t room;     /* of them from the bottom to `limit`: all, but for large blocks (large.h) */
    uint8_t batch;    /* blocks that the next refill wants */
    uint8_t seen;     /* where its top was when bins_age looked last */
};

enum theap_state { THEAP_SPARE, THEAP_LIVE, THEAP_ORPHAN };

#define THEAP_SLOTS     4
#define THEAP_LOOSE_MAX 8u /* few, as each may keep a chunk alive */

#define THEAP_BUCKETS 13 /* chunks by log2 of their dead granules */

/* What a thread heap counts; all off the fast path, under the lock. */
#define THEAP_STATS(X)                                                                                       \
    X(refills, "times a bin was filled from holes")                                                          \
    X(carved, "blocks carved out of holes, for bins or at once")                                             \
    X(flushes, "times a bin was flushed into chunks")                                                        \
    X(sweeps, "chunks swept")                                                                                \
    X(chunks_made, "chunks taken from the page heap")                                                        \
    X(chunks_released, "chunks given back to the page heap")                                                 \
    X(chunks_adopted, "chunks taken over from ended threads")                                                \
    X(remote_frees, "blocks of other threads freed here while the cache had no room")                        \
    X(large_allocs, "blocks over 16 KiB not served from a bin")                                              \
    X(sampled_requested, "bytes requested in calls for blocks in chunks that missed the caches")             \
    X(sampled_granted, "bytes of blocks handed out in these calls")                                          \
    X(large_requested, "bytes requested in calls for large blocks that missed the caches")                   \
    X(large_granted, "bytes of blocks handed out in these calls")

struct theap_stats {
#define THEAP_STAT_FIELD(name, text) size_t name;
    THEAP_STATS(THEAP_STAT_FIELD)
#undef THEAP_STAT_FIELD
};

/* Every so many frees of the fast path one takes the general path, which looks at the clock: so that memory ages also in a
 * program whose calls all hit the caches. */
#define THEAP_TICKS 512u

struct theap {
    union {
        struct entry none; /* the bottom of every bin without an array */
        struct bin
            nothing; /* where requests of 0 bytes look: no entries, no room. All zero for ever, as `none`. */
    };
    struct bin bin[CLASS_COUNT + 1]; /* the last one is the reject bin: no entries, no room, for ever */
    uint64_t ticks;                  /* frees until one looks at the clock */

    struct core *core;
    struct lock lock;
    uint32_t state; /* enum theap_state; registry's lock */
    bool closed;    /* bins must stay empty: instrumented mode, or a thread that is past its end */
    struct bin_info info[CLASS_COUNT];
    uint64_t with_array[2];  /* bit c: the bin of class c has an array; owner thread only */
    struct list in_registry; /* registry's lock */
    struct list in_state;    /* orphans or spares; registry's lock */

    struct holes holes;
    struct list chunks;
    struct list bucket[THEAP_BUCKETS];
    uint32_t buckets;   /* bit b: bucket b isn't empty */
    size_t chunk_count; /* changed under the lock; the owner reads it without */
    size_t used;        /* granules of blocks in all chunks, as far as this heap has heard; likewise */
    size_t flushed;     /* granules flushed since the bins were dropped last */
    size_t large_room;  /* bytes of large blocks: what bins have room for + in slots; owner thread only */
    struct span *
        slot[THEAP_SLOTS]; /* cached blocks of more than the largest class, newest first; owner thread only */
    bool slots_used;       /* since large_age looked last; owner thread only */
    /* Blocks for which no bin is open, marked cached, on their way to their chunks; owner thread only. */
    struct entry loose[THEAP_LOOSE_MAX];
    size_t loose_count;
    uint32_t
        narrow; /* the class whose bin has a narrow array for want of a refill; CLASS_COUNT: none; owner thread only */
    /* Granules of other heaps' chunk that this thread marked free and has not counted yet (remote.h); owner thread only. */
    struct chunk *owed_chunk;
    uint32_t owed;
    _Atomic(struct chunk *) inbox;
    struct theap_stats stats;
    _Atomic(struct chunk *) dense; /* dense allocation fills it, if it still is this heap's (defrag.h) */
    unsigned dense_granule;        /* up to where that was tried in this round; lock */
    bool dense_again;              /* the round gave something, so another one may; lock */
};

static_assert(offsetof(struct theap, none) == 0, "top 0 leads to the entry `none`");
static_assert(offsetof(struct theap, bin) == GRANULE_BYTES && sizeof(struct bin) == GRANULE_BYTES,
              "a request rounded up to granules is its bin's distance from the heap");

#define THEAP_FIRST_BIN      offsetof(struct theap, bin)
#define THEAP_BIN_BYTES      sizeof(struct bin)
#define THEAP_BIN_OF(class_) (THEAP_FIRST_BIN + (uintptr_t)(class_)*THEAP_BIN_BYTES)

/* A zero-filled or recycled heap becomes usable by a thread. */
void theap_init(struct theap *heap, struct core *core, uint64_t secret);

/* Takes a block that is marked cached into its bin, making room; or straight into its chunk where bins are
 * closed. Owner thread only. */
void theap_push(struct theap *heap, unsigned class, void *block, uint8_t *mark);

/* Empties all bins into the chunks (or, `trusted` false, only entries that are marked cached: for heaps of
 * threads that a fork cut off in the middle of an operation). Owner thread, or the heap has no thread. */
void theap_drop_bins(struct theap *heap, bool trusted);

/* Closes or opens the bins as the core's instrumented mode says. Owner thread only. */
void theap_follow_mode(struct theap *heap);

/* The owner's blocks of that many granules died in the chunk; theap_settle_locked must follow before the lock is released.
 * Lock held, heap owns the chunk. */
void theap_lower_locked(struct theap *heap, struct chunk *chunk, unsigned granules);

/* Gives back those of the chunks that have become unused, and puts the others on the list for their dead granules. A
 * chunk may be named several times. Lock held. */
void theap_settle_locked(struct theap *heap, struct chunk *const *chunks, unsigned count);

/* Puts the chunk on the list for its dead granules. Lock held. */
void theap_rebucket_locked(struct theap *heap, struct chunk *chunk);

/* Works off the inbox. Lock held. */
void theap_drain_locked(struct theap *heap);

/* Gives a chunk without blocks back to the page heap. Lock held. */
void theap_release_locked(struct theap *heap, struct chunk *chunk);

/* Works off the inbox and gives every chunk without blocks back, also those that were never carved. Lock held. */
void theap_tidy_locked(struct theap *heap);

/* Moves the chunks of an orphan here until there is a hole of that many granules; false if there was none in
 * all of them. Registry's lock and both heaps' locks held. */
bool theap_adopt_locked(struct theap *heap, struct theap *orphan, unsigned granules);

/* One more chunk, the last on the list, if nobody gives it back before the lock is taken. False: memory is exhausted. Lock not held:
 * the page heap may take its time. Owner thread only. */
bool theap_add_chunk(struct theap *heap);

/* The chunk with the most dead granules, if sweeping it is worth while; NULL if none is. Lock held. */
struct chunk *theap_most_dead_locked(struct theap *heap);

/* Joins what is free in the chunk into holes, but for what `order` gets (sweep.h), which the caller adds to the heap's sum. Lock held. */
void theap_sweep_locked(struct theap *heap, struct chunk *chunk, struct carve_order *order);

/* Sweeps every chunk that has dead granules. Lock held. */
void theap_sweep_all_locked(struct theap *heap);

/* Panics with the broken equation. Takes the lock. */
HM_COLD void theap_verify(struct theap *heap);

#endif
