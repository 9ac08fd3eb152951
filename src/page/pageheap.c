#include "page/pageheap.h"

#include <assert.h>

#include "base/bits.h"
#include "base/check.h"
#include "page/filing.h"
#include "page/huge.h"
#include "page/purge.h"
#include "page/tract.h"

static_assert(sizeof(struct span) <= (size_t)2 * HM_CACHE_LINE, "a descriptor is two cache lines at most");

void pageheap_init(struct pageheap *heap, const struct os *os, struct pagemap *map, struct meta *meta,
                   const struct pageheap_options *options)
{
    lock_init(&heap->lock, LOCK_RANK_PAGEHEAP);
    heap->os = os;
    heap->options = *options;
    heap->map = map;
    heap->meta = meta;
    meta_pool_init(&heap->run_pool, meta, bits_align_up(sizeof(struct span), HM_CACHE_LINE));
    source_init(&heap->source, os, options->use_break);
    runs_init(&heap->dirty, bits_log2(os->page_size), &heap->bin[0]);
    runs_init(&heap->clean, bits_log2(os->page_size), &heap->bin[1]);
    list_init(&heap->ages);
    list_init(&heap->large);
    list_init(&heap->own);
    list_init(&heap->own_cached);
    atomic_init(&heap->due, UINT64_MAX);
}

bool pageheap_round(const struct pageheap *heap, size_t *bytes, size_t *align)
{
    size_t page = heap->os->page_size;
    size_t sum;
    HM_ASSERT(*bytes > 0 && bits_is_power(*align), "bytes > 0, align a power of two");
    if (!bits_add(*bytes, *align, &sum) || sum > (size_t)PTRDIFF_MAX - page) {
        return false;
    }
    *bytes = bits_align_up(*bytes, page);
    *align = *align < page ? page : *align;
    return true;
}

static bool alloc_locked(struct pageheap *heap, struct span *span, size_t bytes, size_t align,
                         enum span_kind kind)
{
    struct tract tract;
    if (!tract_get_locked(heap, bytes, align, &tract) &&
        !(purge_room_locked(heap) > 0 && tract_get_locked(heap, bytes, align, &tract))) {
        return false;
    }
    enum span_source source = tract.first->source;
    size_t dirty = tract_take_locked(heap, &tract, bytes);
    heap->stats.reused_dirty += dirty;
    heap->stats.live += bytes;
    purge_used_locked(heap);
    heap->reserved++;
    purge_regret_locked(heap, bytes - dirty);
    span->addr = tract.addr;
    span->bytes = bytes;
    span->kind = (uint8_t)kind;
    span->source = (uint8_t)source;
    span->dirty = false;
    span->zero = dirty == 0;
    atomic_store_explicit(&span->owner, NULL, memory_order_relaxed);
    if (kind == SPAN_LARGE) {
        list_push_back(&heap->large, &span->link);
    }
    pagemap_enter(heap->map, span);
    if (dirty == 0) {
        huge_fill_locked(heap, span);
    }
    purge_to_grow_locked(heap);
    return true;
}

bool pageheap_alloc(struct pageheap *heap, struct span *span, size_t bytes, size_t align, enum span_kind kind)
{
    if (!pageheap_round(heap, &bytes, &align)) {
        return false;
    }
    lock_acquire(&heap->lock);
    bool done = alloc_locked(heap, span, bytes, align, kind);
    lock_release(&heap->lock);
    return done;
}

/* Files pages that were handed out as dirty. */
static void pages_free(struct pageheap *heap, const struct grown *pages)
{
    uint64_t now = heap->os->now_ms(heap->os);
    heap->stats.live -= pages->bytes;
    struct span *run = filing_add_locked(heap, pages, true, now);
    if (heap->scarce) {
        filing_close_gaps_locked(heap, run, now);
    }
    purge_settle_locked(heap, now);
}

/* Takes the pages from their user; the run descriptor that was promised for them is free to be used. */
static struct grown span_leave(struct pageheap *heap, struct span *span)
{
    HM_CHECK(pagemap_get(heap->map, span->addr) == span, "a span that is freed is in the page map");
    pagemap_clear(heap->map, span);
    if (span->kind == SPAN_LARGE) {
        list_remove(&span->link);
    }
    span->kind = SPAN_NONE;
    heap->reserved--;
    return (struct grown){.addr = span->addr, .bytes = span->bytes, .source = span->source};
}

void pageheap_free(struct pageheap *heap, struct span *span)
{
    lock_acquire(&heap->lock);
    struct grown pages = span_leave(heap, span);
    pages_free(heap, &pages);
    lock_release(&heap->lock);
}

void pageheap_free_clean(struct pageheap *heap, struct span *span)
{
    lock_acquire(&heap->lock);
    struct grown pages = span_leave(heap, span);
    heap->stats.live -= pages.bytes;
    heap->stats.purges++;
    heap->stats.purged += pages.bytes;
    purge_return_locked(heap, filing_add_locked(heap, &pages, false, 0));
    lock_release(&heap->lock);
}

bool pageheap_extend(struct pageheap *heap, struct span *span, size_t bytes)
{
    size_t align = 1;
    if (!pageheap_round(heap, &bytes, &align)) {
        return false;
    }
    if (bytes <= span->bytes) {
        return true;
    }
    size_t need = bytes - span->bytes;
    lock_acquire(&heap->lock);
    uintptr_t end = span_end(span);
    bool done = tract_behind_locked(heap, end, span->source, need);
    if (done) {
        struct tract tract = {.first = filing_after_locked(heap, end, span->source), .addr = end};
        size_t dirty = tract_take_locked(heap, &tract, need);
        heap->stats.reused_dirty += dirty;
        heap->stats.live += need;
        purge_used_locked(heap);
        purge_regret_locked(heap, need - dirty);
        pagemap_clear(heap->map, span);
        span->bytes = bytes;
        span->zero = span->zero && dirty == 0;
        pagemap_enter(heap->map, span);
        purge_to_grow_locked(heap);
    }
    lock_release(&heap->lock);
    return done;
}

void pageheap_shrink(struct pageheap *heap, struct span *span, size_t bytes)
{
    size_t align = 1;
    if (!pageheap_round(heap, &bytes, &align) || bytes >= span->bytes) {
        return;
    }
    lock_acquire(&heap->lock);
    if (meta_pool_reserve(&heap->run_pool, heap->reserved + 1)) {
        struct grown rest = {
            .addr = span->addr + bytes, .bytes = span->bytes - bytes, .source = span->source};
        pagemap_clear(heap->map, span);
        span->bytes = bytes;
        pagemap_enter(heap->map, span);
        pages_free(heap, &rest);
    }
    lock_release(&heap->lock);
}

void pageheap_stats_get(struct pageheap *heap, struct pageheap_stats *stats)
{
    lock_acquire(&heap->lock);
    *stats = heap->stats;
    stats->dirty = heap->dirty.bytes;
    stats->clean = heap->clean.bytes;
    stats->from_break = heap->source.from_break;
    stats->from_map = heap->source.from_map;
    stats->refusals += heap->source.refusals;
    lock_release(&heap->lock);
}
