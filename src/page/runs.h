/* Index of free runs by length: two-level bitmap with linear steps inside each power of two, good fit in
 * constant time. The index holds descriptors; it neither splits nor coalesces.
 *
 * Invariants: a run is in bin(length); a bit is set exactly when its bin isn't empty, and only then its head
 * is a list; `bytes` is the sum of the lengths. Within a bin the lower address is preferred as far as looking
 * at the head allows. Lock: the page heap's. */
#ifndef HM_PAGE_RUNS_H
#define HM_PAGE_RUNS_H

#include "page/span.h"

#define RUNS_STEP_BITS 3 /* eight bins for each power of two of pages */
#define RUNS_LEVELS    37
#define RUNS_BINS      (RUNS_LEVELS << RUNS_STEP_BITS)
#define RUNS_INDEXES   2 /* whose bins lie in turn in one array: short runs' bins of both then share a page */

struct runs {
    unsigned page_shift;
    size_t count;
    size_t bytes;
    uint64_t levels;            /* bit l: some bin of level l isn't empty */
    uint8_t steps[RUNS_LEVELS]; /* bit s: bin (l, s) isn't empty */
    struct list *bin;           /* every RUNS_INDEXES-th of an array is a bin of this index */
};

void runs_init(struct runs *runs, unsigned page_shift, struct list *bin);
void runs_insert(struct runs *runs, struct span *run);
void runs_remove(struct runs *runs, struct span *run);

/* Where in [lo, hi) `bytes` at a multiple of `align` are best taken from: at either end if that is possible,
 * else as low as possible. False: they don't fit. */
bool runs_place(uintptr_t lo, uintptr_t hi, size_t bytes, size_t align, uintptr_t *addr);

/* A run that contains `bytes` at an address that is a multiple of `align` (both multiples of the page size,
 * align a power of two), still in the index; NULL if there is none that is found in bounded time (a constant
 * number of runs in the bins that may hold one, then every run of a bin that must). */
struct span *runs_find(const struct runs *runs, size_t bytes, size_t align);

/* Every run, from the largest bin to the smallest: the first with run = NULL; NULL after the last. */
struct span *runs_smaller(const struct runs *runs, const struct span *run);

/* Panics with the broken invariant. Linear in the number of runs. */
HM_COLD void runs_verify(const struct runs *runs);

#endif
