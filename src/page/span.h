/* Span: a range of whole pages with one descriptor, kept out of line where no overflow of a user's reaches
 * it.
 *
 * A free span is called a run. Who changes what: everything here belongs to the page heap's lock, but `mark`,
 * `owner` and `bin`, which belong to the layer that was handed the span. Invariants: addr and bytes are
 * multiples of the page size, bytes > 0; the page map leads from the first and from the last page of every
 * span and run to its descriptor, and from no other page to it. */
#ifndef HM_PAGE_SPAN_H
#define HM_PAGE_SPAN_H

#include <stdatomic.h>

#include "base/list.h"

enum span_kind {
    SPAN_NONE,    /* a descriptor that describes nothing */
    SPAN_FREE,    /* a run, indexed by the page heap */
    SPAN_CHUNK,   /* holds small blocks; the descriptor is the first member of struct chunk */
    SPAN_LARGE,   /* one block, pages from the page heap */
    SPAN_OWN,     /* one block, a mapping of its own */
    SPAN_KEPT,    /* an own mapping without a user, kept for reuse */
    SPAN_MOVABLE, /* pages from the page heap, of a movable heap: a chunk or one block */
};

enum span_source { SOURCE_BREAK, SOURCE_MAP };

struct span {
    uintptr_t addr;
    size_t bytes;
    _Atomic uint8_t kind; /* enum span_kind; read by whoever looks an address up, also of a neighbour */
    uint8_t source;       /* enum span_source; a run spans one source only */
    bool dirty;           /* run: some page may hold old data and be resident */
    bool zero;            /* handed out: every byte was zero at that time */
    /* One block spans: MARK_ values of heap/, a byte that says whether the block is with the user. */
    uint8_t mark;
    uint16_t bin;          /* one block spans: the cache bin it belongs to */
    _Atomic(void *) owner; /* the thread heap that caches or carves it; NULL: nobody's; run: its page heap */
    struct list link; /* run: its index bin; chunk: free for its holder; one block spans: the page heap's list
                         of their kind */
    struct list age;  /* dirty run: the purge queue, oldest first; kept mapping: the mapping cache */
    uint64_t stamp;   /* dirty run or kept mapping: when it became so, in milliseconds */
};

HM_INLINE uintptr_t span_end(const struct span *span)
{
    return span->addr + span->bytes;
}

#endif
