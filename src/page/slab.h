/* Slab pool: fixed-size descriptors in slabs of whole pages, so that the pages of descriptors nobody uses can
 * be given back.
 *
 * Type stable as meta.h: the memory stays a descriptor for ever; a purged slab's objects read as zero, which
 * must be a valid state of a free object. Others may still look at a free object and write to it: an object is claimed
 * before its slab is purged, which keeps them off until it reads as zero; one that can't be claimed keeps its slab from being
 * purged.
 *
 * Equations: a slab is on `partial` when some but not all of its objects are free, on `whole` when all are
 * and it isn't purged, on `purged` when all are and it is, on no list when none is. Locking: every function
 * takes the pool's lock (LOCK_RANK_POOL). */
#ifndef HM_PAGE_SLAB_H
#define HM_PAGE_SLAB_H

#include "base/list.h"
#include "os/lock.h"
#include "page/meta.h"

#define SLAB_OBJECTS 32u

struct slab {
    struct list link;
    char *objects;
    uint32_t free; /* bit i: object i is free */
};

struct slab_pool {
    struct lock lock;
    struct meta *meta;
    size_t object_bytes;
    bool (*claim)(void *object);
    void (*unclaim)(void *object);
    struct list partial;
    struct list whole;
    struct list purged;
    size_t whole_count;
    size_t purged_count; /* statistics */
};

/* object_bytes: a multiple of HM_CACHE_LINE. */
void slab_pool_init(struct slab_pool *pool, struct meta *meta, size_t object_bytes,
                    bool (*claim)(void *object), void (*unclaim)(void *object));

/* A free object and the slab to give it back to; as it was left, or zero. NULL: the OS refused. */
void *slab_get(struct slab_pool *pool, struct slab **slab);

/* Takes the object back; purges whole slabs while those that remain are no less than `keep` bytes. */
void slab_put(struct slab_pool *pool, struct slab *slab, void *object, size_t keep);

/* Panics with the broken equation. */
HM_COLD void slab_pool_verify(struct slab_pool *pool);

#endif
