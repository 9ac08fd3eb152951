#include "page/mapping.h"

#include "base/bits.h"
#include "base/check.h"
#include "page/huge.h"
#include "page/purge.h"

#define KEPT_LOOKS 32 /* kept mappings looked at for one request, the youngest first */

static bool serves(const struct span *kept, size_t bytes, size_t align)
{
    return kept->bytes >= bytes && bytes >= kept->bytes / 4 * 3 && (kept->addr & (align - 1)) == 0;
}

/* The closest fit among the youngest. */
static struct span *kept_find(struct pageheap *heap, size_t bytes, size_t align)
{
    struct span *best = NULL;
    struct list *at = heap->own_cached.prev;
    for (int i = 0; i < KEPT_LOOKS && at != &heap->own_cached; i++, at = at->prev) {
        struct span *kept = LIST_ENTRY(at, struct span, age);
        if (serves(kept, bytes, align) && (best == NULL || kept->bytes < best->bytes)) {
            best = kept;
        }
    }
    return best;
}

/* Takes a kept mapping out of the cache and gives its descriptor back. */
static void kept_remove(struct pageheap *heap, struct span *kept)
{
    pagemap_clear(heap->map, kept);
    list_remove(&kept->age);
    heap->stats.own_cached -= kept->bytes;
    kept->kind = SPAN_NONE;
    meta_pool_put(&heap->run_pool, kept);
}

bool mapping_drop_locked(struct pageheap *heap, struct span *kept)
{
    size_t bytes = kept->bytes;
    if (!heap->os->unmap(heap->os, (void *)kept->addr, bytes)) {
        return false;
    }
    kept_remove(heap, kept);
    source_mappings_drop(&heap->source, 1);
    heap->stats.purges++;
    heap->stats.purged += bytes;
    return true;
}

static void own_enter(struct pageheap *heap, struct span *span, uintptr_t addr, size_t bytes, bool zero)
{
    span->addr = addr;
    span->bytes = bytes;
    span->kind = SPAN_OWN;
    span->source = SOURCE_MAP;
    span->dirty = false;
    span->zero = zero;
    atomic_store_explicit(&span->owner, NULL, memory_order_relaxed);
    list_push_back(&heap->own, &span->link);
    heap->stats.own += bytes;
    purge_used_locked(heap);
    heap->reserved++;
    pagemap_enter(heap->map, span);
}

/* Takes the span from its user; the descriptor promised to it stays in reserve. */
static void own_leave(struct pageheap *heap, struct span *span)
{
    pagemap_clear(heap->map, span);
    list_remove(&span->link);
    span->kind = SPAN_NONE;
    heap->stats.own -= span->bytes;
}

/* Keeps a mapping, in the descriptor that was in reserve for it. */
static void kept_add(struct pageheap *heap, uintptr_t addr, size_t bytes, uint64_t now)
{
    struct span *kept = meta_pool_get(&heap->run_pool);
    HM_CHECK(kept != NULL, "a descriptor is in reserve for every own mapping");
    heap->reserved--;
    kept->addr = addr;
    kept->bytes = bytes;
    kept->kind = SPAN_KEPT;
    kept->source = SOURCE_MAP;
    kept->dirty = true;
    kept->zero = false;
    kept->stamp = now;
    atomic_store_explicit(&kept->owner, NULL, memory_order_relaxed);
    list_init(&kept->link);
    list_push_back(&heap->own_cached, &kept->age);
    heap->stats.own_cached += bytes;
    pagemap_enter(heap->map, kept);
}

/* Maps at a multiple of `align` by mapping more and unmapping what is too much. */
static uintptr_t map_aligned(const struct os *os, size_t bytes, size_t align)
{
    size_t slack = align - os->page_size;
    uintptr_t base = (uintptr_t)os->map(os, bytes + slack);
    if (base == 0 || slack == 0) {
        return base;
    }
    uintptr_t addr = bits_align_up(base, align);
    size_t head = addr - base;
    size_t tail = slack - head;
    if (tail > 0 && !os->unmap(os, (void *)(addr + bytes), tail)) {
        os->unmap(os, (void *)base, bytes + slack);
        return 0;
    }
    if (head > 0 && !os->unmap(os, (void *)base, head)) {
        os->unmap(os, (void *)base, head + bytes);
        return 0;
    }
    return addr;
}

/* Only the two pages that will be entered, so that a huge mapping doesn't need leaves for all of it. */
static bool prepare_ends(struct pageheap *heap, uintptr_t addr, size_t bytes)
{
    size_t page = heap->os->page_size;
    return pagemap_prepare(heap->map, addr, page) && pagemap_prepare(heap->map, addr + bytes - page, page);
}

static uintptr_t fresh_map(struct pageheap *heap, size_t bytes, size_t align)
{
    const struct os *os = heap->os;
    if (heap->source.mappings >= SOURCE_MAPPINGS_MAX ||
        !meta_pool_reserve(&heap->run_pool, heap->reserved + 1)) {
        return 0;
    }
    uintptr_t addr = map_aligned(os, bytes, align);
    if (addr == 0) {
        heap->stats.refusals++;
        return 0;
    }
    if (!prepare_ends(heap, addr, bytes)) {
        os->unmap(os, (void *)addr, bytes);
        return 0;
    }
    if (heap->options.huge_never) {
        os->huge(os, (void *)addr, bytes, OS_HUGE_NEVER);
    } else if (heap->options.huge_always && bytes >= HUGE_AREA) {
        os->huge(os, (void *)addr, bytes, OS_HUGE_ALWAYS);
    }
    return addr;
}

static bool alloc_locked(struct pageheap *heap, struct span *span, size_t bytes, size_t align)
{
    struct span *kept = kept_find(heap, bytes, align);
    if (kept != NULL) {
        uintptr_t addr = kept->addr;
        size_t kept_bytes = kept->bytes;
        kept_remove(heap, kept);
        heap->stats.reused_dirty += kept_bytes;
        own_enter(heap, span, addr, kept_bytes, false);
        return true;
    }
    uintptr_t addr = fresh_map(heap, bytes, align);
    if (addr == 0 && purge_room_locked(heap) > 0) {
        addr = fresh_map(heap, bytes, align);
    }
    if (addr == 0) {
        return false;
    }
    heap->source.mappings++;
    heap->stats.grows++;
    purge_regret_locked(heap, bytes);
    own_enter(heap, span, addr, bytes, true);
    purge_to_grow_locked(heap);
    return true;
}

bool mapping_alloc(struct pageheap *heap, struct span *span, size_t bytes, size_t align)
{
    if (!pageheap_round(heap, &bytes, &align)) {
        return false;
    }
    lock_acquire(&heap->lock);
    bool done = alloc_locked(heap, span, bytes, align);
    lock_release(&heap->lock);
    return done;
}

/* Unmapping much memory takes milliseconds, which others needn't wait for. */
static bool unmap_unlocked(struct pageheap *heap, uintptr_t addr, size_t bytes)
{
    lock_release(&heap->lock);
    bool done = heap->os->unmap(heap->os, (void *)addr, bytes);
    lock_acquire(&heap->lock);
    return done;
}

void mapping_free(struct pageheap *heap, struct span *span)
{
    lock_acquire(&heap->lock);
    HM_CHECK(pagemap_get(heap->map, span->addr) == span, "a mapping that is freed is in the page map");
    uint64_t now = heap->os->now_ms(heap->os);
    uintptr_t addr = span->addr;
    size_t bytes = span->bytes;
    own_leave(heap, span);
    if (bytes > purge_bound_locked(heap, now) && unmap_unlocked(heap, addr, bytes)) {
        heap->reserved--;
        source_mappings_drop(&heap->source, 1);
        /* Others had the lock meanwhile, and their clock. */
        now = heap->os->now_ms(heap->os);
        heap->stats.purges++;
        heap->stats.purged += bytes;
        purge_returned_locked(heap, bytes, now);
    } else {
        kept_add(heap, addr, bytes, now);
    }
    purge_settle_locked(heap, now);
    lock_release(&heap->lock);
}

static uintptr_t remap(struct pageheap *heap, const struct span *span, size_t bytes)
{
    const struct os *os = heap->os;
    return (uintptr_t)os->remap(os, (void *)span->addr, span->bytes, bytes);
}

/* The new place is known only when the old one is gone: leaves for it are taken in hand first. */
static bool resize_locked(struct pageheap *heap, struct span *span, size_t bytes)
{
    if (!pagemap_stock(heap->map, &heap->stock)) {
        return false;
    }
    pagemap_clear(heap->map, span);
    uintptr_t addr = remap(heap, span, bytes);
    if (addr == 0 && bytes > span->bytes && purge_room_locked(heap) > 0) {
        addr = remap(heap, span, bytes);
    }
    if (addr != 0) {
        heap->stats.own += bytes;
        heap->stats.own -= span->bytes;
        purge_used_locked(heap);
        span->addr = addr;
        span->bytes = bytes;
        span->zero = false;
        pagemap_prepare_from(heap->map, &heap->stock, addr);
        pagemap_prepare_from(heap->map, &heap->stock, span_end(span) - 1);
    } else {
        heap->stats.refusals++;
    }
    pagemap_enter(heap->map, span);
    purge_to_grow_locked(heap);
    return addr != 0;
}

bool mapping_resize(struct pageheap *heap, struct span *span, size_t bytes)
{
    size_t align = 1;
    if (!pageheap_round(heap, &bytes, &align)) {
        return false;
    }
    if (bytes == span->bytes) {
        return true;
    }
    lock_acquire(&heap->lock);
    bool done = resize_locked(heap, span, bytes);
    lock_release(&heap->lock);
    return done;
}

struct span *mapping_find(struct pageheap *heap, uintptr_t addr)
{
    struct span *found = NULL;
    lock_acquire(&heap->lock);
    for (struct list *at = heap->own.next; at != &heap->own && found == NULL; at = at->next) {
        struct span *span = LIST_ENTRY(at, struct span, link);
        found = span->addr <= addr && addr < span_end(span) ? span : NULL;
    }
    lock_release(&heap->lock);
    return found;
}
