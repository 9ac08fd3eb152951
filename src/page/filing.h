/* Filing of free pages as runs: which runs lie beside which, joining and cutting them.
 *
 * Invariants, of every function when it returns: each run of the page heap is in the index of its sort (dirty
 * or clean) and in the page map by its first and its last page, and nothing else leads to it; a dirty run is
 * in the queue of ages, a clean one isn't; no two neighbours of the same source and sort are two runs. What
 * is filed, cut or joined keeps its sort but for gaps, which become dirty.
 *
 * Nothing here asks the OS or fails: a function that may need a run descriptor says so, and its caller has
 * reserved it. The caller holds the heap's lock. */
#ifndef HM_PAGE_FILING_H
#define HM_PAGE_FILING_H

#include "page/pageheap.h"

/* The heap's run of this source that ends before `addr`, or that begins at it; NULL if there is none. */
struct span *filing_before_locked(struct pageheap *heap, uintptr_t addr, enum span_source source);
struct span *filing_after_locked(struct pageheap *heap, uintptr_t addr, enum span_source source);

/* On how many sides of [lo, hi) mapped memory that is no own mapping goes on. */
size_t filing_joined_locked(struct pageheap *heap, uintptr_t lo, uintptr_t hi);

/* Files free pages as a run and coalesces it with neighbours of its sort. Takes a run descriptor if there is
 * no such neighbour. */
struct span *filing_add_locked(struct pageheap *heap, const struct grown *pages, bool dirty, uint64_t now);

/* Takes what the run has in [lo, hi) out of it; the rests stay runs of its sort. Needs a run descriptor if
 * there are two rests; gives the run's back if there is none. */
void filing_cut_locked(struct pageheap *heap, struct span *run, uintptr_t lo, uintptr_t hi);

/* Joins a dirty run with the short clean ones around it, and what is dirty behind them. */
void filing_close_gaps_locked(struct pageheap *heap, struct span *run, uint64_t now);

#endif
