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

/* One block of the class whose address is a multiple of `align` (a power of two, at most CHUNK_BYTES), from
 * that hole; what lies before and behind stays linked. False: no such place in it. */
bool carve_aligned(struct holes *holes, struct chunk *chunk, unsigned granule, unsigned class, size_t align,
                   struct entry *out, bool *zero);

/* Makes the free granules [from, to) part of a block in front of them: unlinks the holes in them, links again
 * what is left behind `to`. False: a block is in the way, nothing changed. */
bool carve_extension(struct holes *holes, struct chunk *chunk, unsigned from, unsigned to);

#endif
