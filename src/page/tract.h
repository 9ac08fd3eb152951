/* Tract: free pages that serve a request. They lie in one run, or, when none serves alone, in neighbouring
 * runs of both sorts, and are found there before the OS is asked for more.
 *
 * The order is that of pageheap.h: dirty runs, dirty runs of at least half the length with what is free around them, clean
 * runs, neighbours of both sorts together, the OS. The
 * search is bounded (a constant number of runs and of neighbours of each), so it may miss what a walk of all
 * runs would find; then the heap grows. A tract is valid until the next change of the heap's runs.
 *
 * Failure: false when the OS refuses; all that it gave is filed as clean runs, so the heap is as sound as
 * before. The descriptors that taking the tract may need are reserved when it is got. The caller holds the
 * heap's lock. */
#ifndef HM_PAGE_TRACT_H
#define HM_PAGE_TRACT_H

#include "page/pageheap.h"

/* From `addr` on, in `first` and the runs right behind it; whoever has it knows how long it is. */
struct tract {
    struct span *first;
    uintptr_t addr;
};

/* Finds `bytes` at a multiple of `align` (both multiples of the page size, align a power of two), or grows
 * the heap by them. */
bool tract_get_locked(struct pageheap *heap, size_t bytes, size_t align, struct tract *tract);

/* Makes sure of `need` free bytes behind `end`: from the OS if what is free there reaches the top of the break. */
bool tract_behind_locked(struct pageheap *heap, uintptr_t end, enum span_source source, size_t need);

/* Takes the tract from its runs. Returns how many bytes of it were dirty. */
size_t tract_take_locked(struct pageheap *heap, const struct tract *tract, size_t bytes);

#endif
