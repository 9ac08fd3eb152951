#include "page/meta.h"

#include "base/bits.h"
#include "base/check.h"

#define META_AREA_MIN  ((size_t)128 << 10)
#define META_AREA_MAX  ((size_t)4 << 20)
#define META_HUGE_PAGE ((size_t)2 << 20)

void meta_init(struct meta *meta, const struct os *os)
{
    meta->os = os;
    meta->next = NULL;
    meta->left = 0;
    meta->area_bytes = bits_align_up(META_AREA_MIN, os->page_size);
    meta->mapped = 0;
    meta->used = 0;
    lock_init(&meta->lock, LOCK_RANK_META);
}

void meta_give(struct meta *meta, char *memory, size_t bytes)
{
    uintptr_t start = bits_align_up((uintptr_t)memory, HM_CACHE_LINE);
    uintptr_t end = bits_align_down((uintptr_t)memory + bytes, meta->os->page_size);
    if (start < end) {
        meta->next = memory + (start - (uintptr_t)memory);
        meta->left = end - start;
        meta->mapped = meta->left;
    }
}

static char *area_map(struct meta *meta, size_t bytes)
{
    const struct os *os = meta->os;
    size_t guard = os->page_size;
    char *base = os->reserve(os, bytes + 2 * guard);
    if (base == NULL) {
        return NULL;
    }
    if (!os->commit(os, base + guard, bytes)) {
        os->unmap(os, base, bytes + 2 * guard);
        return NULL;
    }
    if (bytes >= META_HUGE_PAGE) {
        /* Most of an area is untouched for long: a huge page would make it resident. */
        os->huge(os, base + guard, bytes, OS_HUGE_NEVER);
    }
    meta->mapped += bytes;
    return base + guard;
}

/* Replaces the newest area; what is left of it is given up, at most one object's bytes in practice. */
static bool area_open(struct meta *meta, size_t bytes)
{
    size_t size = meta->area_bytes;
    char *area = area_map(meta, size);
    if (area == NULL) {
        /* Under a memory limit a small area may still fit. */
        size = bits_align_up(bytes > META_AREA_MIN ? bytes : META_AREA_MIN, meta->os->page_size);
        area = area_map(meta, size);
    } else if (meta->area_bytes < META_AREA_MAX) {
        meta->area_bytes *= 2;
    }
    if (area == NULL) {
        return false;
    }
    meta->next = area;
    meta->left = size;
    return true;
}

static void *take_locked(struct meta *meta, size_t bytes)
{
    if (bytes > PTRDIFF_MAX) {
        return NULL;
    }
    size_t size = bits_align_up(bytes, HM_CACHE_LINE);
    char *memory;
    if (size > meta->area_bytes) {
        memory = area_map(meta, bits_align_up(size, meta->os->page_size));
    } else if (size <= meta->left || area_open(meta, size)) {
        memory = meta->next;
        meta->next += size;
        meta->left -= size;
    } else {
        memory = NULL;
    }
    if (memory != NULL) {
        meta->used += size;
    }
    return memory;
}

void *meta_alloc(struct meta *meta, size_t bytes)
{
    lock_acquire(&meta->lock);
    void *memory = take_locked(meta, bytes);
    lock_release(&meta->lock);
    return memory;
}

void *meta_alloc_pages(struct meta *meta, size_t bytes)
{
    char *memory = NULL;
    lock_acquire(&meta->lock);
    size_t size = bits_align_up(bytes, meta->os->page_size);
    if (size >= bytes && size <= meta->area_bytes && (size <= meta->left || area_open(meta, size))) {
        /* From the end, which is page aligned, so that nothing is skipped. */
        meta->left -= size;
        meta->used += size;
        memory = meta->next + meta->left;
    }
    lock_release(&meta->lock);
    return memory;
}

void meta_pool_init(struct meta_pool *pool, struct meta *meta, size_t object_bytes)
{
    HM_ASSERT(object_bytes % HM_CACHE_LINE == 0, "objects are multiples of a cache line");
    pool->meta = meta;
    pool->object_bytes = object_bytes;
    pool->free = NULL;
    pool->free_count = 0;
}

static void pool_push_locked(struct meta_pool *pool, void *object)
{
    *(void **)object = pool->free;
    pool->free = object;
    pool->free_count++;
}

void *meta_pool_get(struct meta_pool *pool)
{
    lock_acquire(&pool->meta->lock);
    void *object = pool->free;
    if (object != NULL) {
        pool->free = *(void **)object;
        pool->free_count--;
        *(void **)object = NULL;
    } else {
        object = take_locked(pool->meta, pool->object_bytes);
    }
    lock_release(&pool->meta->lock);
    return object;
}

void meta_pool_put(struct meta_pool *pool, void *object)
{
    lock_acquire(&pool->meta->lock);
    pool_push_locked(pool, object);
    lock_release(&pool->meta->lock);
}

bool meta_pool_reserve(struct meta_pool *pool, size_t count)
{
    lock_acquire(&pool->meta->lock);
    while (pool->free_count < count) {
        void *object = take_locked(pool->meta, pool->object_bytes);
        if (object == NULL) {
            break;
        }
        pool_push_locked(pool, object);
    }
    bool done = pool->free_count >= count;
    lock_release(&pool->meta->lock);
    return done;
}
