/* Purging: which free pages go back to the OS, and when (the rules are in pageheap.h).
 *
 * What pageheap.c and mapping.c tell of: memory handed out, taken back, given back. pageheap_tick,
 * pageheap_trim and the other public functions about it are in purge.c, too. The caller holds the heap's lock. */
#ifndef HM_PAGE_PURGE_H
#define HM_PAGE_PURGE_H

#include "page/pageheap.h"

/* After memory was freed: purges what is over the bound and what is due. */
void purge_settle_locked(struct pageheap *heap, uint64_t now);

/* After `live` or `own` grew: keeps the peak of what is in use. */
void purge_used_locked(struct pageheap *heap);

/* After pages were handed out of which some may not be resident: purges rather than hold more than ever before. */
void purge_to_grow_locked(struct pageheap *heap);

/* `bytes` were taken anew from the OS: learns from it if they had just been given back by bound. */
void purge_regret_locked(struct pageheap *heap, size_t bytes);

/* More than this many bytes of dirty runs and kept mappings are too many. */
size_t purge_bound_locked(struct pageheap *heap, uint64_t now);

/* Counts memory that was given back because of the bound. */
void purge_returned_locked(struct pageheap *heap, size_t bytes, uint64_t now);

/* Gives the run's address space back, too, if that is worth it; the run may be gone afterwards. */
void purge_return_locked(struct pageheap *heap, const struct span *run);

/* Gives whole free memory back, as a limit on address space was met. Returns bytes. */
size_t purge_room_locked(struct pageheap *heap);

#endif
