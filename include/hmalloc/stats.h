/* Statistics of the process's allocator: gathered when asked for, free of cost otherwise. */
#ifndef HMALLOC_STATS_H
#define HMALLOC_STATS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The members of struct hm_stats, each with what it says; also for programs that want to print or compare them all. Later versions may
 * add some at the end.
 *
 * While nobody calls the allocator,
 *   mapped = from_break + from_map + own = live + cached + free_in_chunks + dirty + clean + own_kept. */
#define HM_STATS(X)                                                                                          \
    X(live, "bytes of blocks with the user, rounded up to their class or pages")                             \
    X(live_blocks, "number of them")                                                                         \
    X(requested, "bytes asked for in `live`: an estimate from calls that missed the caches")                 \
    X(cached, "bytes of blocks waiting in threads' caches")                                                  \
    X(free_in_chunks, "bytes of free memory between blocks")                                                 \
    X(dirty, "bytes of free pages that may be resident")                                                     \
    X(clean, "bytes of free pages that aren't")                                                              \
    X(mapped, "bytes held from the OS for blocks, from any source")                                          \
    X(from_break, "bytes of it from the program break")                                                      \
    X(from_map, "bytes of it from mappings that blocks share")                                               \
    X(own, "bytes of it in mappings of one block, with the user or kept for reuse")                          \
    X(metadata, "bytes of descriptors with their maps, and caches; on top of `mapped`")                      \
    X(resident, "bytes of the process's anonymous resident memory, as the kernel says; 0: not known")        \
    X(purged, "bytes of free pages given back to the OS since the start, by age, number or request")         \
    X(trimmed, "bytes by which the break was lowered since the start; also in `purged` if a purge did it")   \
    X(faults_avoided, "number of pages handed out again without a page fault")                               \
    X(purges, "number of purges")                                                                            \
    X(sweeps, "number of times a chunk's free memory was joined")                                            \
    X(refills, "number of times a cache was filled from chunks")                                             \
    X(flushes, "number of times a cache was emptied into chunks")                                            \
    X(remote_frees, "blocks freed by a thread that doesn't own their chunk and had no room to cache them")   \
    X(threads, "number of thread heaps in use")                                                              \
    X(orphans, "number of thread heaps left by ended threads, with chunks")                                  \
    X(chunks, "number of 64 KiB chunks")                                                                     \
    X(os_refusals, "number of calls that the OS refused")                                                    \
    X(own_kept, "bytes of `own` without a user, kept for reuse")                                             \
    X(served, "number of blocks made anew since the start; reuse from threads' caches isn't counted")

struct hm_stats {
#define HM_STATS_MEMBER(name, text) size_t name;
    HM_STATS(HM_STATS_MEMBER)
#undef HM_STATS_MEMBER
};

/* Fills *stats (`size` = sizeof *stats: members that the library doesn't know are set to 0, those that the caller doesn't know are left
 * out). Returns true. All are 0 while the library is passive.
 * Takes the allocator's locks one after the other, so that figures of busy threads may be some operations apart. Linear in the number
 * of chunks and of large blocks. */
bool hm_stats_get(struct hm_stats *stats, size_t size);

/* Writes a report to a file descriptor: text, or one JSON object when `json`. Allocates nothing, holds no lock while it writes. False
 * with errno when writing fails. */
bool hm_stats_write(int fd, bool json);

#ifdef __cplusplus
}
#endif

#endif
