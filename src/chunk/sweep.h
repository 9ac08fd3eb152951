/* Sweeping: dead granules become holes again. The owner's lock is held.
 *
 * Who frees a block marks CODE_DEAD in the map, also from other threads and in the midst of a sweep; a sweep looks for these marks and
 * joins what is free around each, so that it costs what died, not what lives. */
#ifndef HM_CHUNK_SWEEP_H
#define HM_CHUNK_SWEEP_H

#include "chunk/carve.h"

/* Joins all that is free in the chunk into holes, and links them. `order`, unless NULL, is served from what fits it exactly, best fit
 * otherwise being carve_blocks' business. */
void sweep_chunk(struct holes *holes, struct chunk *chunk, struct carve_order *order);

#endif
