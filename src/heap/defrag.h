/* Moving blocks by their owner's hand: which ones lie in sparse chunks, and where to put them instead.
 *
 * A thread heap has one chunk at a time that dense allocation fills (its target), the fullest with room of some it looks at; it is
 * carved from its first granule to its last, in rounds until one yields nothing, then another one is chosen. What
 * is left in such chunks serves blocks that fit it best. Blocks of the target are never hinted at.
 *
 * A chunk is sparse if at least an eighth of it is free, and it is less than half full or no fuller than its owner's
 * chunks are on average. So moving ends when all are seven eighths full. */
#ifndef HM_HEAP_DEFRAG_H
#define HM_HEAP_DEFRAG_H

#include "heap/core.h"

/* Whether the block lies in a sparse chunk. `block` must be with the user; `verb` names the caller in the diagnosis otherwise. Takes no
 * lock. */
bool defrag_hint(struct core *core, const void *block, const char *verb);

/* A block of at least `bytes` <= CLASS_CHUNK_BYTES from the densest place; NULL: memory is exhausted. Owner thread only. */
void *defrag_alloc(struct theap *heap, size_t bytes);

#endif
