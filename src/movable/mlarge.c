#include "movable/mlarge.h"

#include "base/check.h"
#include "page/mapping.h"

void mlarges_init(struct mlarges *larges, struct mchunks *set, struct meta_pool *pool)
{
    *larges = (struct mlarges){.set = set, .pool = pool, .lowest = UINTPTR_MAX};
    list_init(&larges->all);
    list_init(&larges->limbo);
}

static void lock(struct mlarges *larges)
{
    movable_lock(&larges->set->lock, larges->set->locked);
}

static void unlock(struct mlarges *larges)
{
    movable_unlock(&larges->set->lock, larges->set->locked);
}

static struct mlarge *of_node(struct list *node)
{
    return LIST_ENTRY(node, struct mlarge, all);
}

struct mlarge *mlarges_find(const struct mlarges *larges, uintptr_t addr)
{
    struct span *span = pagemap_get(larges->set->pages->map, addr);
    bool large = span != NULL && (span->kind == SPAN_OWN || span->kind == SPAN_MOVABLE) &&
                 mark_load(&span->mark) == LARGE_MOVABLE && span->addr == addr;
    struct mlarge *found = (struct mlarge *)(void *)span;
    return large && atomic_load_explicit(&found->larges, memory_order_relaxed) == larges ? found : NULL;
}

struct mlarge *mlarges_around(struct mlarges *larges, uintptr_t addr)
{
    struct mlarge *found = NULL;
    if (addr < atomic_load_explicit(&larges->lowest, memory_order_relaxed) ||
        addr >= atomic_load_explicit(&larges->highest, memory_order_relaxed)) {
        return NULL;
    }
    lock(larges);
    for (struct list *node = larges->all.next; node != &larges->all && found == NULL; node = node->next) {
        const struct span *span = &of_node(node)->span;
        found = span->addr <= addr && addr < span_end(span) ? of_node(node) : NULL;
    }
    unlock(larges);
    return found;
}

static void note_place_locked(struct mlarges *larges, const struct mlarge *large)
{
    uintptr_t end = span_end(&large->span);
    if (large->span.addr < larges->lowest) {
        atomic_store_explicit(&larges->lowest, large->span.addr, memory_order_relaxed);
    }
    if (end > larges->highest) {
        atomic_store_explicit(&larges->highest, end, memory_order_relaxed);
    }
}

static bool obtain_pages(struct mlarges *larges, struct mlarge *large, size_t bytes)
{
    struct pageheap *pages = larges->set->pages;
    return mapping_alloc(pages, &large->span, bytes, 1) ||
           pageheap_alloc(pages, &large->span, bytes, 1, SPAN_MOVABLE);
}

static size_t rounded(const struct mlarges *larges, size_t size)
{
    size_t page = larges->set->pages->os->page_size;
    return size > (size_t)PTRDIFF_MAX - page ? 0 : bits_align_up(size, page);
}

static struct mlarge *descriptor(struct mlarges *larges, size_t size)
{
    struct mlarge *large = meta_pool_get(larges->pool);
    if (large != NULL) {
        mark_store(&large->span.mark, LARGE_MOVABLE);
        list_init(&large->span.link);
        list_init(&large->span.age);
        atomic_store_explicit(&large->index, 0, memory_order_relaxed);
        atomic_store_explicit(&large->tag, 0, memory_order_relaxed);
        atomic_store_explicit(&large->nested, false, memory_order_relaxed);
        atomic_store_explicit(&large->size, size, memory_order_relaxed);
        atomic_store_explicit(&large->larges, larges, memory_order_relaxed);
    }
    return large;
}

static void descriptor_drop(struct mlarges *larges, struct mlarge *large)
{
    mark_store(&large->span.mark, 0);
    atomic_store_explicit(&large->larges, NULL, memory_order_relaxed);
    meta_pool_put(larges->pool, large);
}

struct mlarge *mlarge_obtain(struct mlarges *larges, size_t size)
{
    size_t bytes = rounded(larges, size);
    if (bytes == 0 || !mchunks_charge(larges->set, bytes)) {
        return NULL;
    }
    struct mlarge *large = descriptor(larges, size);
    if (large == NULL || !obtain_pages(larges, large, bytes)) {
        mchunks_discharge(larges->set, bytes);
        if (large != NULL) {
            descriptor_drop(larges, large);
        }
        return NULL;
    }
    /* A mapping that was kept may be longer. */
    atomic_fetch_add_explicit(&larges->set->held, large->span.bytes - bytes, memory_order_relaxed);
    lock(larges);
    list_push_back(&larges->all, &large->all);
    larges->count++;
    larges->bytes += large->span.bytes;
    note_place_locked(larges, large);
    unlock(larges);
    return large;
}

static void release(struct mlarges *larges, struct mlarge *large)
{
    struct pageheap *pages = larges->set->pages;
    mchunks_discharge(larges->set, large->span.bytes);
    if (large->span.kind == SPAN_OWN) {
        mapping_free(pages, &large->span);
    } else {
        pageheap_free(pages, &large->span);
    }
    descriptor_drop(larges, large);
}

void mlarge_discard(struct mlarges *larges, struct mlarge *large, bool wait)
{
    lock(larges);
    list_remove(&large->all);
    larges->count--;
    larges->bytes -= large->span.bytes;
    if (wait) {
        large->epoch = readers_epoch(larges->set->readers);
        atomic_fetch_add_explicit(&larges->waiting, large->span.bytes, memory_order_relaxed);
        atomic_store_explicit(&large->index, 0, memory_order_relaxed);
        list_push_back(&larges->limbo, &large->all);
    }
    unlock(larges);
    if (wait) {
        mlarges_settle(larges);
    } else {
        release(larges, large);
    }
}

static struct mlarge *passed(struct mlarges *larges, uint64_t horizon)
{
    struct mlarge *large = NULL;
    lock(larges);
    if (!list_empty(&larges->limbo) && of_node(larges->limbo.next)->epoch < horizon) {
        large = of_node(larges->limbo.next);
        list_remove(&large->all);
        atomic_fetch_sub_explicit(&larges->waiting, large->span.bytes, memory_order_relaxed);
    }
    unlock(larges);
    return large;
}

size_t mlarges_settle_one(struct mlarges *larges, uint64_t horizon)
{
    struct mlarge *large = passed(larges, horizon);
    size_t bytes = large != NULL ? large->span.bytes : 0;
    if (large != NULL) {
        release(larges, large);
    }
    return bytes;
}

size_t mlarges_settle(struct mlarges *larges)
{
    size_t sum = 0;
    size_t bytes;
    uint64_t horizon = readers_advance(larges->set->readers);
    while ((bytes = mlarges_settle_one(larges, horizon)) > 0) {
        sum += bytes;
    }
    return sum;
}

void mlarge_kill_locked(struct mlarges *larges, struct mlarge *large)
{
    atomic_store_explicit(&large->index, MLARGE_DEAD, memory_order_release);
    list_remove(&large->all);
    list_push_front(&larges->all, &large->all);
}

struct mlarge *mlarges_dead(struct mlarges *larges)
{
    lock(larges);
    struct mlarge *first = list_empty(&larges->all) ? NULL : of_node(larges->all.next);
    bool dead = first != NULL && atomic_load_explicit(&first->index, memory_order_relaxed) == MLARGE_DEAD;
    unlock(larges);
    return dead ? first : NULL;
}

void mlarges_destroy(struct mlarges *larges)
{
    struct mlarge *large;
    while ((large = passed(larges, UINT64_MAX)) != NULL) {
        release(larges, large);
    }
}

/* Counts what a resize did to the span. */
static void resized(struct mlarges *larges, struct mlarge *large, size_t before)
{
    size_t after = large->span.bytes;
    if (after < before) {
        mchunks_discharge(larges->set, before - after);
    }
    lock(larges);
    larges->bytes = larges->bytes - before + after;
    note_place_locked(larges, large);
    unlock(larges);
}

bool mlarge_fit(struct mlarges *larges, struct mlarge *large, size_t size, bool keep)
{
    size_t before = large->span.bytes;
    size_t bytes = rounded(larges, size);
    if (bytes == 0) {
        return false;
    }
    if (bytes < before && !keep && large->span.kind == SPAN_MOVABLE) {
        pageheap_shrink(larges->set->pages, &large->span, bytes);
        resized(larges, large, before);
    } else if (bytes > before && large->span.kind == SPAN_MOVABLE) {
        if (!mchunks_charge(larges->set, bytes - before)) {
            return false;
        }
        if (!pageheap_extend(larges->set->pages, &large->span, bytes)) {
            mchunks_discharge(larges->set, bytes - before);
            return false;
        }
        resized(larges, large, before);
    } else if (bytes != before) {
        return false;
    }
    atomic_store_explicit(&large->size, size, memory_order_relaxed);
    return true;
}

bool mlarge_remap(struct mlarges *larges, struct mlarge *large, size_t size)
{
    size_t before = large->span.bytes;
    uintptr_t addr = large->span.addr;
    size_t bytes = rounded(larges, size);
    if (large->span.kind != SPAN_OWN || bytes == 0 ||
        (bytes > before && !mchunks_charge(larges->set, bytes - before))) {
        return false;
    }
    if (!mapping_resize(larges->set->pages, &large->span, bytes)) {
        if (bytes > before) {
            mchunks_discharge(larges->set, bytes - before);
        }
        return false;
    }
    resized(larges, large, before);
    if (large->span.addr != addr) {
        lock(larges);
        larges->remapped += before < bytes ? before : bytes;
        unlock(larges);
    }
    atomic_store_explicit(&large->size, size, memory_order_relaxed);
    return true;
}

static size_t verify_list(struct mlarges *larges, struct list *head, size_t *count)
{
    size_t bytes = 0;
    for (struct list *node = head->next; node != head; node = node->next) {
        const struct mlarge *large = of_node(node);
        HM_CHECK(mlarges_find(larges, large->span.addr) == large,
                 "the page map leads to a heap's large blocks");
        HM_CHECK(atomic_load(&large->size) <= large->span.bytes, "a large block's size fits its pages");
        bytes += large->span.bytes;
        ++*count;
    }
    return bytes;
}

void mlarges_verify_locked(struct mlarges *larges)
{
    size_t count = 0;
    size_t limbo = 0;
    HM_CHECK(verify_list(larges, &larges->all, &count) == larges->bytes && count == larges->count,
             "bytes, count = those of large blocks");
    HM_CHECK(verify_list(larges, &larges->limbo, &limbo) == larges->waiting, "waiting = bytes in limbo");
}
