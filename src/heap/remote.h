/* Remote free: a thread frees a block of a chunk that another thread owns.
 *
 * If its own bin of the class has room, the block simply goes there (fast.h), for this thread's next request: threads that hand blocks to
 * each other share them without counting. Bins don't grow for such blocks, so a thread that only frees keeps none. For what follows,
 * a block in a bin is one with a user, and the flush of a bin is a free: it takes step 1 with a plain store, as the block is the bin's
 * alone, and steps 2 to 4 once for each row of blocks of one chunk.
 *
 * Steps, in this order; every one may be arbitrarily late:
 *  1. mark     compare-and-swap the block's map byte from user to dead; whoever fails has a double free;
 *  2. count    add the block's granules to chunk.gone; from here on the block no longer keeps its chunk. Only then look
 * at chunk.kept, to see what is left of `used`, their difference;
 *  3. announce if chunk.announced was false, set it and push the chunk on the inbox of the heap that owns it.
 * If the chunk is nobody's, clear the flag and look again; if the owner changed meanwhile, take that inbox
 * and announce all of it anew;
 *  4. release  if step 2 brought `used` to 0: take the owner's lock and, if the chunk still is the owner's
 * and still unused, give it back to the page heap; again if the owner changed.
 *
 * The owner, under its lock, takes the whole inbox until it stays empty; of each chunk it reads the link,
 * clears `announced` (exchange), and only then reads `used`; a chunk that is someone else's by now is
 * announced to that heap, one that is nobody's is dropped. Whoever makes a chunk no longer a heap's (release,
 * adoption) changes the owner first and looks into the old owner's inbox then. The two pairs "change owner,
 * look into the inbox" and "push, look at the owner" are sequentially consistent; so are "lower `kept`, look at `gone`"
 * of the owner and "count in `gone`, look at `kept`" of step 2.
 *
 * A thread that frees several blocks of one chunk in a row takes steps 2 to 4 for the first of them, and then for a part
 * of 1/32 of a chunk at once: what its heap owes. It pays when it goes on to another chunk, refills or flushes a bin, or ends.
 * So a thread that sleeps keeps one chunk alive at most. (In a forked child what other threads owed is forgotten: their chunks stay.)
 *
 * Why it is safe: a chunk is given back only under its owner's lock with used == 0, when no block is left and
 * nobody is between 1 and 2. Steps 3 and 4 look at descriptors and heaps, which are type stable, and change
 * nothing but hints: an announcement of a recycled descriptor costs its new owner one look. Descriptors are
 * purged only while their purger holds `announced`, so that none can be linked meanwhile. Why nothing is
 * lost: of those who count the last blocks, owner and others, at least one sees that `used` has become 0, and tries to give
 * the chunk back. tests/protocol/ holds the model that is searched exhaustively. */
#ifndef HM_HEAP_REMOTE_H
#define HM_HEAP_REMOTE_H

#include "heap/core.h"

/* Steps 1 to 4, or what is due of them, for a block with the user, as its map byte `code` says; `heap` is the calling thread's,
 * NULL if it has none. False: step 1 failed (the byte changed
 * meanwhile). */
bool remote_free(struct theap *heap, struct chunk *chunk, uint8_t *mark, unsigned code);

/* Steps 2 to 4 for what `heap` owes. No lock held; the heap's thread. */
void remote_pay(struct theap *heap);

/* Steps 3 and 4 after granules were counted; `left` is what `used` became. */
void remote_settled(struct chunk *chunk, unsigned left);

/* Unlinks the first chunk of a list taken from an inbox, which may be announced again from here on; returns
 * the rest. */
struct chunk *remote_unlink(struct chunk *first);

/* Step 3. */
void remote_announce(struct chunk *chunk);

#endif
