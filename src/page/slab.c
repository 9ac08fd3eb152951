#include "page/slab.h"

#include "base/bits.h"
#include "base/check.h"

#define ALL_FREE (~UINT32_C(0) >> (32 - SLAB_OBJECTS))

static size_t slab_bytes(const struct slab_pool *pool)
{
    return bits_align_up(SLAB_OBJECTS * pool->object_bytes, pool->meta->os->page_size);
}

void slab_pool_init(struct slab_pool *pool, struct meta *meta, size_t object_bytes,
                    bool (*claim)(void *object), void (*unclaim)(void *object))
{
    lock_init(&pool->lock, LOCK_RANK_POOL);
    pool->meta = meta;
    pool->object_bytes = object_bytes;
    pool->claim = claim;
    pool->unclaim = unclaim;
    list_init(&pool->partial);
    list_init(&pool->whole);
    list_init(&pool->purged);
    pool->whole_count = 0;
    pool->purged_count = 0;
}

static struct slab *slab_make(struct slab_pool *pool)
{
    char *memory = meta_alloc_pages(pool->meta, slab_bytes(pool));
    struct slab *slab = memory == NULL ? NULL : meta_alloc(pool->meta, sizeof *slab);
    if (slab == NULL) {
        return NULL;
    }
    slab->objects = memory;
    slab->free = ALL_FREE;
    list_init(&slab->link);
    return slab;
}

/* A slab with a free object, taken off the list of those that are wholly free. */
static struct slab *slab_choose(struct slab_pool *pool)
{
    struct list *node;
    if (!list_empty(&pool->partial)) {
        node = pool->partial.next;
    } else if (!list_empty(&pool->whole)) {
        node = pool->whole.next;
        pool->whole_count--;
    } else if (!list_empty(&pool->purged)) {
        node = pool->purged.next;
        pool->purged_count--;
    } else {
        return slab_make(pool);
    }
    struct slab *slab = LIST_ENTRY(node, struct slab, link);
    list_remove(node);
    return slab;
}

void *slab_get(struct slab_pool *pool, struct slab **slab)
{
    void *object = NULL;
    lock_acquire(&pool->lock);
    *slab = slab_choose(pool);
    if (*slab != NULL) {
        unsigned index = bits_lowest((*slab)->free);
        (*slab)->free &= (*slab)->free - 1;
        if ((*slab)->free != 0) {
            list_push_front(&pool->partial, &(*slab)->link);
        }
        object = (*slab)->objects + index * pool->object_bytes;
    }
    lock_release(&pool->lock);
    return object;
}

static void unclaim(const struct slab_pool *pool, struct slab *slab, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        pool->unclaim(slab->objects + i * pool->object_bytes);
    }
}

static bool claim(const struct slab_pool *pool, struct slab *slab)
{
    for (unsigned i = 0; i < SLAB_OBJECTS; i++) {
        if (!pool->claim(slab->objects + i * pool->object_bytes)) {
            unclaim(pool, slab, i);
            return false;
        }
    }
    return true;
}

static void purge_whole(struct slab_pool *pool, size_t keep)
{
    const struct os *os = pool->meta->os;
    struct list *node = pool->whole.prev;
    while (node != &pool->whole && (pool->whole_count - 1) * slab_bytes(pool) >= keep) {
        struct slab *slab = LIST_ENTRY(node, struct slab, link);
        node = node->prev;
        if (!claim(pool, slab)) {
            continue;
        }
        if (!os->purge(os, slab->objects, slab_bytes(pool))) {
            unclaim(pool, slab, SLAB_OBJECTS);
            break;
        }
        list_remove(&slab->link);
        list_push_front(&pool->purged, &slab->link);
        pool->whole_count--;
        pool->purged_count++;
    }
}

void slab_put(struct slab_pool *pool, struct slab *slab, void *object, size_t keep)
{
    lock_acquire(&pool->lock);
    size_t index = (size_t)((char *)object - slab->objects) / pool->object_bytes;
    HM_CHECK(index < SLAB_OBJECTS && (slab->free >> index & 1) == 0,
             "an object is given back once, to its slab");
    list_remove(&slab->link);
    slab->free |= UINT32_C(1) << index;
    if (slab->free == ALL_FREE) {
        list_push_front(&pool->whole, &slab->link);
        pool->whole_count++;
        purge_whole(pool, keep);
    } else {
        list_push_front(&pool->partial, &slab->link);
    }
    lock_release(&pool->lock);
}

static size_t verify_list(const struct list *head, bool whole)
{
    size_t count = 0;
    for (const struct list *node = head->next; node != head; node = node->next) {
        const struct slab *slab = LIST_ENTRY(node, struct slab, link);
        HM_CHECK(slab->free != 0, "a slab on a list has a free object");
        HM_CHECK((slab->free == ALL_FREE) == whole, "a slab is on the list of its state");
        count++;
    }
    return count;
}

void slab_pool_verify(struct slab_pool *pool)
{
    lock_acquire(&pool->lock);
    verify_list(&pool->partial, false);
    HM_CHECK(verify_list(&pool->whole, true) == pool->whole_count, "whole_count counts `whole`");
    HM_CHECK(verify_list(&pool->purged, true) == pool->purged_count, "purged_count counts `purged`");
    lock_release(&pool->lock);
}
