/* Metadata memory: descriptors and tables in areas of their own, away from user data, with inaccessible pages
 * before and after each area that is mapped here.
 *
 * Type stable: a pool's objects are never unmapped and never become another type, so that a thread which
 * still holds a pointer to a recycled descriptor reads a descriptor. Areas are mapped as they are needed: the
 * first is 128 KiB, each later one twice the one before up to 4 MiB; memory not yet handed out is not
 * touched. An instance that is given memory starts with that and maps nothing before it is used up. A request larger than an area gets an area of its own. One lock of LOCK_RANK_META; callable with
 * any other lock held. */
#ifndef HM_PAGE_META_H
#define HM_PAGE_META_H

#include "os/lock.h"
#include "os/os.h"

struct meta {
    const struct os *os;
    struct lock lock;
    char *next;        /* bump pointer into the newest area */
    size_t left;       /* bytes behind it */
    size_t area_bytes; /* size of the next area */
    size_t mapped;     /* statistics: bytes of areas, guards not counted */
    size_t used;       /* statistics: bytes handed out from areas (recycled objects count as handed out) */
};

struct meta_pool {
    struct meta *meta;
    size_t object_bytes; /* multiple of HM_CACHE_LINE */
    void *free;          /* recycled objects, linked through their first word */
    size_t free_count;
};

void meta_init(struct meta *meta, const struct os *os);

/* Zero-filled memory of the caller's, for ever, as the first area. Once, right after meta_init. */
void meta_give(struct meta *meta, char *memory, size_t bytes);

/* `bytes` rounded up to cache lines, cache-line aligned, zero-filled, for ever. NULL: the OS refused. */
void *meta_alloc(struct meta *meta, size_t bytes);

/* The same, rounded up to pages and page aligned; at most an area's size. NULL: the OS refused, or it is more
 * than that. */
void *meta_alloc_pages(struct meta *meta, size_t bytes);

void meta_pool_init(struct meta_pool *pool, struct meta *meta, size_t object_bytes);

/* An object, recycled (contents as they were, but for the first word) or new (zero); NULL: the OS refused. */
void *meta_pool_get(struct meta_pool *pool);
void meta_pool_put(struct meta_pool *pool, void *object);

/* Makes sure that the next `count` gets succeed. False: the OS refused. */
bool meta_pool_reserve(struct meta_pool *pool, size_t count);

#endif
