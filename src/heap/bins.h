/* The bins of a thread heap: arrays of cached blocks, their sizes, and emptying them. Owner thread only. */
#ifndef HM_HEAP_BINS_H
#define HM_HEAP_BINS_H

#include "heap/theap.h"

#define BINS_MIN_CAPACITY 7u
#define BINS_MAX_CAPACITY 255u
#define BINS_NARROW       15u

/* An array of `count` entries for the class's bin, as far as its largest size and the OS allow. Returns the entries that fit
 * in it now. The bin has room for as many, or for none if it is one of large blocks and the array is new. */
unsigned bins_reserve(struct theap *heap, unsigned class, unsigned count);

/* Lets the bin have up to `room` entries; not fewer than it has, nor more than its array. */
void bins_set_room(struct theap *heap, unsigned class, unsigned room);

/* The next free place above the bin's entries, and taking `count` entries written there into the bin. */
struct entry *bins_end(struct theap *heap, unsigned class);
void bins_advance(struct theap *heap, unsigned class, unsigned count);

/* The bin's array, from its bottom; the heap's `none` while it has none. */
struct entry *bins_bottom(struct theap *heap, unsigned class);

/* Entries in the bin. */
unsigned bins_count(struct theap *heap, unsigned class);

/* Empties the older `count` entries of the bin into chunks or the page heap. Lock not held. `trusted` as in
 * theap_drop_bins. */
void bins_flush(struct theap *heap, unsigned class, unsigned count, bool trusted);

/* Looks for idle bins of blocks in chunks: those whose top is where it was at the last look, so nobody seems to need all
 * that they have. If the older halves of all of them together are a share of the heap that counts, flushes these: less would only die
 * here and there, in chunks that aren't worth a sweep. False: nothing was flushed. */
bool bins_age(struct theap *heap);

/* The same for bins of large blocks, whose pages serve anyone, however few they are. */
void bins_age_large(struct theap *heap);

/* Takes a block that is marked cached for which there is no room in a bin: back to its chunk, soon, together with others, or
 * to the page heap. */
void bins_settle(struct theap *heap, unsigned class, void *block, uint8_t *mark);

/* The loose blocks go to their chunks. `trusted` as in theap_drop_bins. */
void bins_settle_loose(struct theap *heap, bool trusted);

/* The class's bin, which has no array, gets one of up to BINS_NARROW entries; the bin that had it before loses its array,
 * unless it was refilled meanwhile. */
void bins_open_narrow(struct theap *heap, unsigned class);

/* Gives all arrays back; all bins are empty. */
void bins_discard_arrays(struct theap *heap);

/* The blocks that a refill should fetch at most. */
unsigned bins_max_batch(unsigned class);

#endif
