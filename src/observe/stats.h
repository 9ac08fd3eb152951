/* Gathers what the layers below count, and counts blocks in chunks' maps and in the page heap's lists of large blocks.
 *
 * Nothing is kept here and nothing is counted on the fast path. Locks are taken one after the other: the registry's together with each
 * thread heap's, then the page heap's, then those of metadata. So a chunk is seen exactly once, and each block by what its
 * mark says at one moment; blocks that are between two owners just then count as free.
 *
 * Equations: of every row of heaps: chunks * CHUNK_BYTES = live + cached + holes + dead; of the classes: the sum of live (cached) is that of
 * hm_stats. */
#ifndef HM_OBSERVE_STATS_H
#define HM_OBSERVE_STATS_H

#include "heap/core.h"
#include "hmalloc/stats.h"

#define OBSERVE_LARGER  CLASS_COUNT       /* row of blocks larger than any class, in shared pages */
#define OBSERVE_OWN     (CLASS_COUNT + 1) /* row of blocks with mappings of their own */
#define OBSERVE_CLASSES (CLASS_COUNT + 2)
#define OBSERVE_HEAPS   16 /* thread heaps with a row of their own */

/* A block belongs to the smallest class that holds it, wherever it lies. */
#define OBSERVE_CLASS(X)                                                                                     \
    X(live_blocks, "blocks with the user")                                                                   \
    X(cached_blocks, "blocks in threads' caches")                                                            \
    X(live, "bytes of blocks with the user")                                                                 \
    X(cached, "bytes of blocks in threads' caches")

struct observe_class {
    size_t block_bytes; /* 0: any */
#define OBSERVE_MEMBER(name, text) size_t name;
    OBSERVE_CLASS(OBSERVE_MEMBER)
};

/* Of one thread heap's chunks, or of all; large blocks aren't part of it. */
#define OBSERVE_HEAP(X)                                                                                      \
    X(chunks, "chunks")                                                                                      \
    X(live_blocks, "blocks in chunks with the user")                                                         \
    X(live, "bytes of them")                                                                                 \
    X(cached, "bytes of blocks in chunks in the cache")                                                      \
    X(holes, "bytes of free memory ready to be carved")                                                      \
    X(dead, "bytes of free memory waiting to be swept")

struct observe_heap {
    enum theap_state state;
    OBSERVE_HEAP(OBSERVE_MEMBER)
#undef OBSERVE_MEMBER
    struct theap_stats counted;
};

struct observation {
    struct hm_stats stats;
    struct pageheap_stats pages;
    struct observe_heap all; /* sum over the thread heaps, past ones included; its state means nothing */
    struct observe_heap heap[OBSERVE_HEAPS];
    size_t heaps; /* rows of `heap` in use */
    size_t heaps_left_out;
    struct observe_class class[OBSERVE_CLASSES];
};

/* The core is initialised; no lock held. */
void observe_take(struct core *core, struct observation *observation);

/* The public part alone. */
void observe_stats(struct core *core, struct hm_stats *stats);

#endif
