#include "page/pageheap.h"

#include <assert.h>

#include "base/bits.h"
#include "base/check.h"
#include "page/purge.h"

#define GROW_SHARE    8
#define GROW_MIN      ((size_t)256 << 10)
#define GROW_MAX      ((size_t)64 << 20)
#define HUGE_PAGE     ((size_t)2 << 20)
#define CHAIN_PIECES  32                  /* neighbouring runs looked at for one request */
#define CHAIN_RUNS    256                 /* runs whose neighbourhood is looked at before the OS is asked */
#define EMPTY_SHARE   32                  /* of the most that was ever in use: a heap that is nearly empty */
#define GAP_MAX       ((size_t)128 << 10) /* shorter clean runs serve few requests alone */
#define RESERVE_SPLIT 4 /* descriptors one allocation may need: two growths, a split, the later free */

static_assert(sizeof(struct span) <= (size_t)2 * HM_CACHE_LINE, "a descriptor is two cache lines at most");

/* Free pages that serve a request: [addr, addr + bytes), in `first` and the runs right behind it. */
struct window {
    struct span *first;
    uintptr_t addr;
};

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
    runs_init(&heap->dirty, bits_log2(os->page_size));
    runs_init(&heap->clean, bits_log2(os->page_size));
    list_init(&heap->ages);
    list_init(&heap->large);
    list_init(&heap->own);
    list_init(&heap->own_cached);
    atomic_init(&heap->due, UINT64_MAX);
}

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

struct span *pageheap_before_locked(struct pageheap *heap, uintptr_t addr, enum span_source source)
{
    return neighbour(heap, addr - 1, source);
}

struct span *pageheap_after_locked(struct pageheap *heap, uintptr_t addr, enum span_source source)
{
    return neighbour(heap, addr, source);
}

static bool is_region(struct pageheap *heap, uintptr_t addr)
{
    struct span *span = pagemap_get(heap->map, addr);
    return span != NULL && span->source == SOURCE_MAP && span->kind != SPAN_OWN && span->kind != SPAN_KEPT;
}

size_t pageheap_joined_locked(struct pageheap *heap, uintptr_t lo, uintptr_t hi)
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
struct span *pageheap_add_locked(struct pageheap *heap, const struct grown *pages, bool dirty, uint64_t now)
{
    uintptr_t lo = pages->addr;
    uintptr_t hi = lo + pages->bytes;
    struct span *before = same_sort(pageheap_before_locked(heap, lo, pages->source), dirty);
    struct span *after = same_sort(pageheap_after_locked(heap, hi, pages->source), dirty);
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

void pageheap_cut_locked(struct pageheap *heap, struct span *run, uintptr_t lo, uintptr_t hi)
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

/* Takes the window from its runs. Returns how many bytes of it were dirty. */
static size_t window_take(struct pageheap *heap, const struct window *window, size_t bytes)
{
    uintptr_t hi = window->addr + bytes;
    size_t dirty = 0;
    struct span *run = window->first;
    while (run != NULL) {
        uintptr_t start = run->addr > window->addr ? run->addr : window->addr;
        uintptr_t end = span_end(run) < hi ? span_end(run) : hi;
        struct span *next = end < hi ? pageheap_after_locked(heap, end, run->source) : NULL;
        dirty += run->dirty ? end - start : 0;
        pageheap_cut_locked(heap, run, window->addr, hi);
        run = next;
    }
    return dirty;
}

/* Looks for the window in the run and its neighbours of both sorts. */
static bool window_around(struct pageheap *heap, struct span *run, size_t bytes, size_t align,
                          struct window *window)
{
    struct span *first = run;
    struct span *next;
    uintptr_t end = span_end(run);
    int pieces = 1;
    bool fits = runs_place(first->addr, end, bytes, align, &window->addr);
    while (!fits && pieces++ < CHAIN_PIECES &&
           (next = pageheap_after_locked(heap, end, run->source)) != NULL) {
        end = span_end(next);
        fits = runs_place(first->addr, end, bytes, align, &window->addr);
    }
    while (!fits && pieces++ < CHAIN_PIECES &&
           (next = pageheap_before_locked(heap, first->addr, run->source)) != NULL) {
        first = next;
        fits = runs_place(first->addr, end, bytes, align, &window->addr);
    }
    while (fits && span_end(first) <= window->addr) {
        first = pageheap_after_locked(heap, span_end(first), run->source);
    }
    window->first = first;
    return fits;
}

/* Neighbours of both sorts that serve together what none serves alone: every such group has one in the
 * smaller index. */
static bool window_join(struct pageheap *heap, size_t bytes, size_t align, struct window *window)
{
    if (heap->dirty.bytes + heap->clean.bytes < bytes) {
        return false;
    }
    const struct runs *fewer = heap->dirty.count < heap->clean.count ? &heap->dirty : &heap->clean;
    struct span *run = runs_smaller(fewer, NULL);
    for (int i = 0; run != NULL && i < CHAIN_RUNS; i++) {
        if (window_around(heap, run, bytes, align, window)) {
            return true;
        }
        run = runs_smaller(fewer, run);
    }
    return false;
}

/* Where in a run that serves the request it is taken from. While space is scarce, aligned spans go to the upper end of
 * runs, others to the lower, where they may grow: where both sorts meet, pages are left between them. A heap that
 * is nearly empty begins below with both: what is taken first often stays longest, and would split the space. */
static uintptr_t place(const struct pageheap *heap, const struct span *run, size_t bytes, size_t align)
{
    uintptr_t addr = 0;
    bool fits = runs_place(run->addr, span_end(run), bytes, align, &addr);
    HM_CHECK(fits, "a run that was found has room");
    bool upper =
        heap->scarce && align > heap->os->page_size && heap->stats.live > heap->used_most / EMPTY_SHARE;
    return upper ? bits_align_down(span_end(run) - bytes, align) : addr;
}

static bool window_find(struct pageheap *heap, size_t bytes, size_t align, struct window *window)
{
    struct span *run = runs_find(&heap->dirty, bytes, align);
    if (run == NULL) {
        run = runs_find(&heap->clean, bytes, align);
    }
    if (run == NULL) {
        return window_join(heap, bytes, align, window);
    }
    window->first = run;
    window->addr = place(heap, run, bytes, align);
    return true;
}

static size_t grow_step(const struct pageheap *heap, size_t need)
{
    size_t step = (heap->source.from_break + heap->source.from_map) / GROW_SHARE;
    step = step < GROW_MIN ? GROW_MIN : step;
    step = bits_align_up(step > GROW_MAX ? GROW_MAX : step, heap->os->page_size);
    return step < need ? need : step;
}

/* Files new memory as a clean run; NULL and given back if the page map can't take it. */
static struct span *grown_add(struct pageheap *heap, const struct grown *grown)
{
    const struct os *os = heap->os;
    void *addr = (void *)grown->addr;
    if (!pagemap_prepare(heap->map, grown->addr, grown->bytes)) {
        source_return(&heap->source, grown);
        return NULL;
    }
    heap->stats.grows++;
    if (heap->options.huge_never) {
        os->huge(os, addr, grown->bytes, OS_HUGE_NEVER);
    } else if (heap->options.huge_always && grown->bytes >= HUGE_PAGE) {
        os->huge(os, addr, grown->bytes, OS_HUGE_ALWAYS);
    }
    if (grown->source == SOURCE_MAP) {
        uintptr_t end = grown->addr + grown->bytes;
        source_mappings_drop(&heap->source, pageheap_joined_locked(heap, grown->addr, end));
    }
    return pageheap_add_locked(heap, grown, false, 0);
}

typedef bool source_ask(struct source *source, size_t need, size_t want, struct grown *grown);

/* Asks a source for a step, and files what it gives. If that is less than a step, space is scarce. A step for which
 * the page map has no leaf and gets none may be too long where `need` isn't. */
static struct span *grow(struct pageheap *heap, source_ask *ask, size_t need)
{
    struct grown grown;
    size_t want = grow_step(heap, need);
    if (!ask(&heap->source, need, want, &grown)) {
        return NULL;
    }
    heap->scarce = heap->scarce || grown.bytes < want;
    struct span *run = grown_add(heap, &grown);
    if (run == NULL && grown.bytes > need && ask(&heap->source, need, need, &grown)) {
        run = grown_add(heap, &grown);
    }
    return run;
}

/* How far the break must rise so that the window fits on its top, the free runs there included. */
static size_t break_need(struct pageheap *heap, size_t bytes, size_t align)
{
    uintptr_t end = heap->source.break_end;
    uintptr_t start = end;
    struct span *top = pageheap_before_locked(heap, end, SOURCE_BREAK);
    for (int pieces = 0; top != NULL && pieces < CHAIN_PIECES - 1; pieces++) {
        start = top->addr;
        top = pageheap_before_locked(heap, start, SOURCE_BREAK);
    }
    start = bits_align_up(start, align);
    return start + bytes > end ? start + bytes - end : 0;
}

/* Asks the OS: on top of the break first, where what is free there counts, then anywhere. */
static bool window_grow(struct pageheap *heap, size_t bytes, size_t align, struct window *window)
{
    struct span *run = NULL;
    size_t need = heap->source.break_end != 0 ? break_need(heap, bytes, align) : 0;
    if (need > 0 && need <= PTRDIFF_MAX) {
        run = grow(heap, source_extend, need);
    }
    if (run != NULL && window_around(heap, run, bytes, align, window)) {
        return true;
    }
    run = grow(heap, source_grow, bytes + align - heap->os->page_size);
    heap->scarce = heap->scarce || run == NULL;
    return run != NULL && window_around(heap, run, bytes, align, window);
}

static bool window_get(struct pageheap *heap, size_t bytes, size_t align, struct window *window)
{
    return meta_pool_reserve(&heap->run_pool, heap->reserved + RESERVE_SPLIT) &&
           (window_find(heap, bytes, align, window) || window_grow(heap, bytes, align, window));
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
    struct window window;
    if (!window_get(heap, bytes, align, &window) &&
        !(purge_room_locked(heap) > 0 && window_get(heap, bytes, align, &window))) {
        return false;
    }
    enum span_source source = window.first->source;
    size_t dirty = window_take(heap, &window, bytes);
    heap->stats.reused_dirty += dirty;
    heap->stats.live += bytes;
    purge_used_locked(heap);
    heap->reserved++;
    purge_regret_locked(heap, bytes - dirty);
    span->addr = window.addr;
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

/* Makes a short clean run part of the dirty run that it touches. NULL if it isn't short. */
static struct span *gap_join(struct pageheap *heap, const struct span *run, struct span *gap, uint64_t now)
{
    if (gap == NULL || gap->dirty || gap->bytes >= GAP_MAX || gap->bytes > run->bytes) {
        return NULL;
    }
    struct grown pages = {.addr = gap->addr, .bytes = gap->bytes, .source = gap->source};
    pageheap_cut_locked(heap, gap, pages.addr, pages.addr + pages.bytes);
    return pageheap_add_locked(heap, &pages, true, now);
}

/* Joins a dirty run with the short clean ones around it, and what is dirty behind them. */
static void gaps_join(struct pageheap *heap, struct span *run, uint64_t now)
{
    while (run != NULL) {
        struct span *before = pageheap_before_locked(heap, run->addr, run->source);
        struct span *joined = gap_join(heap, run, before, now);
        if (joined == NULL) {
            joined = gap_join(heap, run, pageheap_after_locked(heap, span_end(run), run->source), now);
        }
        run = joined;
    }
}

/* Files pages that were handed out as dirty. */
static void pages_free(struct pageheap *heap, const struct grown *pages)
{
    uint64_t now = heap->os->now_ms(heap->os);
    heap->stats.live -= pages->bytes;
    struct span *run = pageheap_add_locked(heap, pages, true, now);
    if (heap->scarce) {
        gaps_join(heap, run, now);
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
    purge_return_locked(heap, pageheap_add_locked(heap, &pages, false, 0));
    lock_release(&heap->lock);
}

/* Free bytes right behind `end`; at least `need` unless there are fewer. */
static size_t free_behind(struct pageheap *heap, uintptr_t end, enum span_source source, size_t need)
{
    size_t bytes = 0;
    struct span *run;
    while (bytes < need && (run = pageheap_after_locked(heap, end + bytes, source)) != NULL) {
        bytes += run->bytes;
    }
    return bytes;
}

/* Makes sure of `need` free bytes behind `end`. */
static bool make_behind(struct pageheap *heap, uintptr_t end, enum span_source source, size_t need)
{
    size_t have = free_behind(heap, end, source, need);
    if (have >= need) {
        return true;
    }
    return source == SOURCE_BREAK && end + have == heap->source.break_end &&
           meta_pool_reserve(&heap->run_pool, heap->reserved + 1) &&
           grow(heap, source_extend, need - have) != NULL;
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
    bool done = make_behind(heap, end, span->source, need);
    if (done) {
        struct window window = {.first = pageheap_after_locked(heap, end, span->source), .addr = end};
        size_t dirty = window_take(heap, &window, need);
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
