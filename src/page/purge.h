/* What pageheap.c, purge.c and mapping.c share; no other file includes it. The caller holds the heap's lock.
 *
 * pageheap.c knows runs and their neighbours, purge.c what is given back to the OS and when, mapping.c its
 * cache, verify.c the equations. */
#ifndef HM_PAGE_PURGE_H
#define HM_PAGE_PURGE_H

#include "page/pageheap.h"

/* pageheap.c */

/* Rounds both up to pages. False: they are beyond what can be addressed. */
bool pageheap_round(const struct pageheap *heap, size_t *bytes, size_t *align);

/* The heap's run of this source that ends before `addr`, or that begins at it; NULL if there is none. */
struct span *pageheap_before_locked(struct pageheap *heap, uintptr_t addr, enum span_source source);
struct span *pageheap_after_locked(struct pageheap *heap, uintptr_t addr, enum span_source source);

/* Files free pages as a run and coalesces it with neighbours of its sort. Takes a run descriptor, which the
 * caller made sure of, if there is no such neighbour. */
struct span *pageheap_add_locked(struct pageheap *heap, const struct grown *pages, bool dirty, uint64_t now);

/* Takes what the run has in [lo, hi) out of it; the rests stay runs of its sort. Needs a run descriptor if
 * there are two rests; gives the run's back if there is none. */
void pageheap_cut_locked(struct pageheap *heap, struct span *run, uintptr_t lo, uintptr_t hi);

/* On how many sides of [lo, hi) mapped memory that is no own mapping goes on. */
size_t pageheap_joined_locked(struct pageheap *heap, uintptr_t lo, uintptr_t hi);

/* purge.c */

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

/* mapping.c */

/* Unmaps a kept mapping. False: the OS refused, and it stays kept. */
bool mapping_drop_locked(struct pageheap *heap, struct span *kept);

#endif
