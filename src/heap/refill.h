/* Refill: blocks out of a thread heap's holes, for a bin that is empty or for one request.
 *
 * In this order: the best fitting hole, sweeping as long as that is worth while; chunks of ended threads; a new chunk;
 * once, all that the heap itself hides in bins and dead granules. */
#ifndef HM_HEAP_REFILL_H
#define HM_HEAP_REFILL_H

#include "heap/theap.h"

/* Hands out a block of the class for a request of `bytes`, filling its bin on the way; NULL when memory is
 * exhausted. *zero as in carve. Owner thread only. */
void *refill_bin(struct theap *heap, unsigned class, size_t bytes, bool *zero);

/* One block of class and alignment (a power of two up to CHUNK_BYTES / 4), not through a bin. Owner thread
 * only. */
void *refill_aligned(struct theap *heap, unsigned class, size_t align, bool *zero);

#endif
