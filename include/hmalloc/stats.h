/* Statistics of the process's allocator: gathered when asked for, free of cost otherwise. */
#ifndef HMALLOC_STATS_H
#define HMALLOC_STATS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All in bytes but for what is named a number. A field may be added at the end in later versions. */
struct hm_stats {
    size_t live;               /* blocks with the user, rounded up to their class or pages */
    size_t live_blocks;        /* number of them */
    size_t requested;          /* estimate of what was asked for in `live`, from calls that missed the caches */
    size_t cached;             /* blocks waiting in threads' caches */
    size_t free_in_chunks;     /* holes and dead granules */
    size_t dirty;              /* free pages that may be resident */
    size_t clean;              /* free pages that aren't */
    size_t mapped;             /* all that is held from the OS for blocks, by any source */
    size_t from_break;         /* of it, from the program break */
    size_t from_map;           /* of it, from mappings that blocks share */
    size_t own;                /* of it, blocks with mappings of their own, and such mappings kept for reuse */
    size_t metadata;           /* descriptors, maps and caches; on top of `mapped` */
    size_t resident;           /* the process's anonymous resident memory, as the kernel says; 0: not known */
    size_t purged;             /* given back to the OS since the start, by purging */
    size_t trimmed;            /* the same, by lowering the break */
    size_t faults_avoided;     /* number of pages handed out again without a page fault */
    size_t purges;             /* number of purges */
    size_t sweeps;             /* number of chunks swept */
    size_t refills;            /* number of times a cache was filled from chunks */
    size_t flushes;            /* number of times a cache was emptied into chunks */
    size_t remote_frees;       /* number of blocks freed by a thread that doesn't own their chunk */
    size_t threads;            /* number of thread heaps in use */
    size_t orphans;            /* number of thread heaps left by ended threads */
    size_t chunks;             /* number of 64 KiB chunks */
    size_t os_refusals;        /* number of calls that the OS refused */
};

/* Fills *stats (`size` = sizeof *stats: fields that the library doesn't know are set to 0, those that the caller doesn't know are left out). Returns true.
 * Takes the allocator's locks one after the other, so that figures of busy threads may be some operations apart. Linear in the number of
 * chunks. */
bool hm_stats_get(struct hm_stats *stats, size_t size);

/* Writes a report to a file descriptor: text, or JSON when `json`. Allocates nothing. False with errno when writing fails. */
bool hm_stats_write(int fd, bool json);

#ifdef __cplusplus
}
#endif

#endif
