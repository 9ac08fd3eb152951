/* Huge pages without being told to (thp:auto): areas that are made resident at once, because the kernel takes five
 * times as long for as many first touches.
 *
 * The moment is when a short span is handed out of an area, 2 MiB at a multiple of 2 MiB, whose other pages are all clean,
 * while HUGE_HEAP or more are in use: blocks will fill the area, so nothing is made resident for long that nobody uses. What is
 * left of the area is dirty then: it serves what is asked for next, and goes by the rules for dirty runs. Long spans don't
 * count, as their users may leave most of them untouched. Room is made as for any growth, so the peak rises by what is left
 * of one area at most.
 *
 * The advice is for this once: the mapping and its flags stay as they are, and the kernel never fills what is purged.
 *
 * Bounds: when the kernel refuses, or takes longer than first touches would have taken (it compacts memory, or a
 * virtual machine's memory isn't backed by its host's), it isn't asked for a while: 256 ms, twice as long each time, up to a
 * minute; each quick area halves that. The system's setting is read anew for each area, so nothing is read in a process with less
 * in use. */
#ifndef HM_PAGE_HUGE_H
#define HM_PAGE_HUGE_H

#include "page/pageheap.h"

#define HUGE_AREA ((size_t)2 << 20) /* where huge pages have another length, the OS refuses */

/* Fills the area around a span that was just taken from clean runs, if it is as described above. The caller holds the heap's
 * lock, which is released while the kernel works: others may have changed the heap's runs. The area is nobody's meanwhile, so a
 * process that is forked then doesn't get it. */
void huge_fill_locked(struct pageheap *heap, const struct span *span);

/* The step by which the heap is to grow, lengthened so that the area at its end is whole if huge pages may come to it. */
size_t huge_step_locked(const struct pageheap *heap, size_t step);

#endif
