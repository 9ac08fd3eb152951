/* Carving: blocks out of holes. sweep.h has the way back. All with the owner's lock held. */
#ifndef HM_CHUNK_CARVE_H
#define HM_CHUNK_CARVE_H

#include "chunk/hole.h"

/* One cached block: its address, and where the map says what it is, so that handing it out needs no look-up.
 */
struct entry {
    void *block;
    uint8_t *mark;
};

/* A new chunk as one hole. The span is filled; `map` is zero. */
void carve_init(struct holes *holes, struct chunk *chunk, bool zero);

/* Up to `want` blocks of the class from the hole that starts at `granule`, into out[0..], the lowest address
 * last (a cache pops from its end). All are marked cached and counted in chunk.used; the rest of the hole
 * stays linked. Returns how many. *zero: every byte of them is zero. */
unsigned carve_blocks(struct holes *holes, struct chunk *chunk, unsigned granule, unsigned class,
                      unsigned want, struct entry *out, bool *zero);

/* Blocks that a sweep may carve at once where it finds room for just one of them, so that it need not link a hole for it. */
struct carve_order {
    unsigned class;
    unsigned want;
    unsigned got;
    struct entry *out; /* `want` places, `got` of them filled */
    bool *zero;        /* as carve_blocks says it, of the last of them */
};

/* Takes [from, to), which is neither linked nor marked, for a block of the order. False: the order is full, or the place doesn't
 * fit but for a granule. */
bool carve_exact(struct chunk *chunk, unsigned from, unsigned to, struct carve_order *order);

/* One block of the class whose address is a multiple of `align` (a power of two, at most CHUNK_BYTES), from
 * that hole; what lies before and behind stays linked. False: no such place in it. */
bool carve_aligned(struct holes *holes, struct chunk *chunk, unsigned granule, unsigned class, size_t align,
                   struct entry *out, bool *zero);

/* Makes the free granules [from, to) part of a block in front of them: unlinks the holes in them, links again
 * what is left behind `to`. False: a block is in the way, nothing changed. */
bool carve_extension(struct holes *holes, struct chunk *chunk, unsigned from, unsigned to);

#endif
