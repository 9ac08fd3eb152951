#include "page/filing.h"

#include "base/check.h"

#define GAP_MAX ((size_t)128 << 10) /* shorter clean runs serve few requests alone */

static struct runs *runs_of(struct pageheap *heap, bool dirty)
{
    return dirty ? &heap->dirty : &heap->clean;
}

/* Only the owner says whose span it is, so it is read before anything that another lock may guard. */
static struct span *neighbour(struct pageheap *heap, uintptr_t addr, enum span_source source)
{
    struct span *span = pagemap_get(heap->map, addr);
    bool ours = span != NULL && atomic_load_explicit(&span->owner, memory_order_relaxed) == heap &&
                span->kind == SPAN_FREE && span->source == source;
    return ours ? span : NULL;
}

struct span *filing_before_locked(struct pageheap *heap, uintptr_t addr, enum span_source source)
{
    return neighbour(heap, addr - 1, source);
}

struct span *filing_after_locked(struct pageheap *heap, uintptr_t addr, enum span_source source)
{
    return neighbour(heap, addr, source);
}

static bool is_region(struct pageheap *heap, uintptr_t addr)
{
    struct span *span = pagemap_get(heap->map, addr);
    return span != NULL && span->source == SOURCE_MAP && span->kind != SPAN_OWN && span->kind != SPAN_KEPT;
}

size_t filing_joined_locked(struct pageheap *heap, uintptr_t lo, uintptr_t hi)
{
    return (size_t)is_region(heap, lo - 1) + (size_t)is_region(heap, hi);
}

static void run_index(struct pageheap *heap, struct span *run)
{
    runs_insert(runs_of(heap, run->dirty), run);
    pagemap_enter(heap->map, run);
}

static void run_unindex(struct pageheap *heap, struct span *run)
{
    runs_remove(runs_of(heap, run->dirty), run);
    pagemap_clear(heap->map, run);
}

static struct span *run_new(struct pageheap *heap, enum span_source source, bool dirty)
{
    struct span *run = meta_pool_get(&heap->run_pool);
    HM_CHECK(run != NULL, "descriptors that may be needed are reserved");
    run->bytes = 0;
    run->kind = SPAN_FREE;
    run->source = (uint8_t)source;
    run->dirty = dirty;
    run->zero = false;
    run->mark = 0;
    run->bin = 0;
    atomic_store_explicit(&run->owner, heap, memory_order_relaxed);
    list_init(&run->link);
    list_init(&run->age);
    run->stamp = 0;
    return run;
}

/* The run is in no index any more. */
static void run_discard(struct pageheap *heap, struct span *run)
{
    list_remove(&run->age);
    run->kind = SPAN_NONE;
    atomic_store_explicit(&run->owner, NULL, memory_order_relaxed);
    meta_pool_put(&heap->run_pool, run);
}

static struct span *same_sort(struct span *run, bool dirty)
{
    return run != NULL && run->dirty == dirty ? run : NULL;
}

/* A dirty run is as old as its largest part, so that neither a small old part makes much fresh memory go nor
 * a small fresh one keeps much old memory. */
struct span *filing_add_locked(struct pageheap *heap, const struct grown *pages, bool dirty, uint64_t now)
{
    uintptr_t lo = pages->addr;
    uintptr_t hi = lo + pages->bytes;
    struct span *before = same_sort(filing_before_locked(heap, lo, pages->source), dirty);
    struct span *after = same_sort(filing_after_locked(heap, hi, pages->source), dirty);
    struct span *run = before == NULL || (after != NULL && after->bytes > before->bytes) ? after : before;
    if (before != NULL) {
        lo = before->addr;
        run_unindex(heap, before);
    }
    if (after != NULL) {
        hi = span_end(after);
        run_unindex(heap, after);
    }
    if (before != NULL && after != NULL) {
        run_discard(heap, run == before ? after : before);
    }
    if (run == NULL) {
        run = run_new(heap, pages->source, dirty);
    }
    if (dirty && run->bytes < pages->bytes) {
        list_remove(&run->age);
        list_push_back(&heap->ages, &run->age);
        run->stamp = now;
    }
    run->addr = lo;
    run->bytes = hi - lo;
    run_index(heap, run);
    return run;
}

void filing_cut_locked(struct pageheap *heap, struct span *run, uintptr_t lo, uintptr_t hi)
{
    uintptr_t start = run->addr;
    uintptr_t end = span_end(run);
    run_unindex(heap, run);
    if (start >= lo && end <= hi) {
        run_discard(heap, run);
        return;
    }
    if (start < lo && end > hi) {
        struct span *rest = run_new(heap, run->source, run->dirty);
        rest->addr = hi;
        rest->bytes = end - hi;
        rest->stamp = run->stamp;
        if (run->dirty) {
            list_insert_after(&run->age, &rest->age);
        }
        run_index(heap, rest);
    }
    run->addr = start < lo ? start : hi;
    run->bytes = (start < lo ? lo : end) - run->addr;
    run_index(heap, run);
}

/* Makes a short clean run part of the dirty run that it touches. NULL if it isn't short. */
static struct span *gap_join(struct pageheap *heap, const struct span *run, struct span *gap, uint64_t now)
{
    if (gap == NULL || gap->dirty || gap->bytes >= GAP_MAX || gap->bytes > run->bytes) {
        return NULL;
    }
    struct grown pages = {.addr = gap->addr, .bytes = gap->bytes, .source = gap->source};
    filing_cut_locked(heap, gap, pages.addr, pages.addr + pages.bytes);
    return filing_add_locked(heap, &pages, true, now);
}

void filing_close_gaps_locked(struct pageheap *heap, struct span *run, uint64_t now)
{
    while (run != NULL) {
        struct span *before = filing_before_locked(heap, run->addr, run->source);
        struct span *joined = gap_join(heap, run, before, now);
        if (joined == NULL) {
            joined = gap_join(heap, run, filing_after_locked(heap, span_end(run), run->source), now);
        }
        run = joined;
    }
}
