/* Holes: free granules of chunks that are ready to be carved, linked by length.
 *
 * Each thread heap has one index over the holes of all its chunks: bins of exact length up to 64 granules,
 * then eight to an octave, with a bitmap, so that the best (then good) fit is found in constant time. The
 * record of a hole lies in the hole's own first 32 bytes, encoded and sealed (harden/link.h); a record that
 * was written to ends the process with a message. The hole's map byte in its chunk says that it is linked.
 *
 * Equations: a hole is at least two granules and lies in one chunk; chunk.linked is the sum of its holes; a
 * bin's bit is set exactly when the bin isn't empty. Lock: the owner's. */
#ifndef HM_CHUNK_HOLE_H
#define HM_CHUNK_HOLE_H

#include "chunk/chunk.h"

#define HOLE_MIN_GRANULES   2u
#define HOLE_EXACT_GRANULES 64u
#define HOLE_BINS           112u

struct hole {
    uint64_t next; /* encoded */
    uint64_t prev; /* encoded; NULL for the first of a bin */
    uint64_t granules;
    uint64_t seal;
};

static_assert(sizeof(struct hole) == (size_t)HOLE_MIN_GRANULES * GRANULE_BYTES,
              "a record fits the shortest hole");

struct holes {
    uint64_t secret;
    uint64_t present[2];
    struct hole *bin[HOLE_BINS];
};

void holes_init(struct holes *holes, uint64_t secret);

/* Links [granule, granule + granules) of the chunk; at least two granules. */
void holes_insert(struct holes *holes, struct chunk *chunk, unsigned granule, unsigned granules);

/* Links [from, to), unless it is too short to be a hole: then it stays dead until a neighbour dies. */
HM_INLINE void holes_link(struct holes *holes, struct chunk *chunk, unsigned from, unsigned to)
{
    if (to >= from + HOLE_MIN_GRANULES) {
        holes_insert(holes, chunk, from, to - from);
    }
}

/* Unlinks the hole that starts at `granule` and returns its length; wipes its record where the memory behind
 * counts as fresh. */
unsigned holes_remove(struct holes *holes, struct chunk *chunk, unsigned granule);

/* Unlinks all holes of the chunk; they are dead, and marked so for the next sweep. */
void holes_remove_all(struct holes *holes, struct chunk *chunk);

/* Address of a hole of at least that many granules, as short as possible, still linked; NULL if there is
 * none. */
void *holes_find(const struct holes *holes, unsigned granules);

/* Length of a linked hole, checked. */
unsigned holes_length(const struct holes *holes, const void *at);

/* Panics with the broken equation. `sum`, unless NULL, is set to the granules linked. */
HM_COLD void holes_verify(const struct holes *holes, size_t *sum);

#endif
