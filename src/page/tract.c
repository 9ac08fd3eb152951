#include "page/tract.h"

#include "base/bits.h"
#include "base/check.h"
#include "page/filing.h"
#include "page/huge.h"

#define GROW_SHARE    8
#define GROW_MIN      ((size_t)256 << 10)
#define GROW_MAX      ((size_t)64 << 20)
#define CHAIN_PIECES  32  /* neighbouring runs looked at for one request */
#define CHAIN_RUNS    256 /* runs whose neighbourhood is looked at before the OS is asked */
#define DIRTY_RUNS    8   /* of the longest dirty ones, which are looked at before clean ones are */
#define EMPTY_SHARE   32  /* of the most that was ever in use: a heap that is nearly empty */
#define RESERVE_SPLIT 4   /* descriptors one allocation may need: two growths, a split, the later free */

size_t tract_take_locked(struct pageheap *heap, const struct tract *tract, size_t bytes)
{
    uintptr_t hi = tract->addr + bytes;
    size_t dirty = 0;
    struct span *run = tract->first;
    while (run != NULL) {
        uintptr_t start = run->addr > tract->addr ? run->addr : tract->addr;
        uintptr_t end = span_end(run) < hi ? span_end(run) : hi;
        struct span *next = end < hi ? filing_after_locked(heap, end, run->source) : NULL;
        dirty += run->dirty ? end - start : 0;
        filing_cut_locked(heap, run, tract->addr, hi);
        run = next;
    }
    return dirty;
}

/* Looks for the tract in the run and its neighbours of both sorts. */
static bool tract_around(struct pageheap *heap, struct span *run, size_t bytes, size_t align,
                         struct tract *tract)
{
    struct span *first = run;
    struct span *next;
    uintptr_t end = span_end(run);
    int pieces = 1;
    bool fits = runs_place(first->addr, end, bytes, align, &tract->addr);
    while (!fits && pieces++ < CHAIN_PIECES && (next = filing_after_locked(heap, end, run->source)) != NULL) {
        end = span_end(next);
        fits = runs_place(first->addr, end, bytes, align, &tract->addr);
    }
    while (!fits && pieces++ < CHAIN_PIECES &&
           (next = filing_before_locked(heap, first->addr, run->source)) != NULL) {
        first = next;
        fits = runs_place(first->addr, end, bytes, align, &tract->addr);
    }
    while (fits && span_end(first) <= tract->addr) {
        first = filing_after_locked(heap, span_end(first), run->source);
    }
    tract->first = first;
    return fits;
}

/* Neighbours of both sorts that serve together what none serves alone: every such group has one in the
 * smaller index. */
static bool tract_join(struct pageheap *heap, size_t bytes, size_t align, struct tract *tract)
{
    if (heap->dirty.bytes + heap->clean.bytes < bytes) {
        return false;
    }
    const struct runs *fewer = heap->dirty.count < heap->clean.count ? &heap->dirty : &heap->clean;
    struct span *run = runs_smaller(fewer, NULL);
    for (int i = 0; run != NULL && i < CHAIN_RUNS; i++) {
        if (tract_around(heap, run, bytes, align, tract)) {
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

/* The tract, if at least half of it is that of the dirty run: as little below it as alignment and what is free above allow. */
static bool tract_over(struct pageheap *heap, struct span *run, size_t bytes, size_t align,
                       struct tract *tract)
{
    struct span *first = run;
    struct span *next;
    uintptr_t lowest = span_end(run) - bytes;
    uintptr_t end = span_end(run);
    int pieces = 1;
    while (end - run->addr < bytes && pieces++ < CHAIN_PIECES &&
           (next = filing_after_locked(heap, end, run->source)) != NULL) {
        end = span_end(next);
    }
    while (first->addr > lowest && pieces++ < CHAIN_PIECES &&
           (next = filing_before_locked(heap, first->addr, run->source)) != NULL) {
        first = next;
    }
    uintptr_t addr = bits_align_down(end - bytes < run->addr ? end - bytes : run->addr, align);
    uintptr_t from = addr > run->addr ? addr : run->addr;
    uintptr_t to = addr + bytes < span_end(run) ? addr + bytes : span_end(run);
    if (addr < first->addr || end < addr + bytes || to < from + bytes / 2) {
        return false;
    }
    while (span_end(first) <= addr) {
        first = filing_after_locked(heap, span_end(first), run->source);
    }
    *tract = (struct tract){.first = first, .addr = addr};
    return true;
}

/* A dirty run that is too short, and clean ones around it: less is touched anew than in clean runs alone. */
static bool tract_lengthen(struct pageheap *heap, size_t bytes, size_t align, struct tract *tract)
{
    struct span *run = runs_smaller(&heap->dirty, NULL);
    for (int i = 0; run != NULL && i < DIRTY_RUNS; i++) {
        if (run->bytes >= bytes / 2 && tract_over(heap, run, bytes, align, tract)) {
            return true;
        }
        run = runs_smaller(&heap->dirty, run);
    }
    return false;
}

static bool tract_find(struct pageheap *heap, size_t bytes, size_t align, struct tract *tract)
{
    struct span *run = runs_find(&heap->dirty, bytes, align);
    if (run == NULL) {
        if (tract_lengthen(heap, bytes, align, tract)) {
            return true;
        }
        run = runs_find(&heap->clean, bytes, align);
    }
    if (run == NULL) {
        return tract_join(heap, bytes, align, tract);
    }
    tract->first = run;
    tract->addr = place(heap, run, bytes, align);
    return true;
}

static size_t grow_step(const struct pageheap *heap, size_t need)
{
    size_t step = (heap->source.from_break + heap->source.from_map) / GROW_SHARE;
    step = step < GROW_MIN ? GROW_MIN : step;
    step = bits_align_up(step > GROW_MAX ? GROW_MAX : step, heap->os->page_size);
    return step < need ? need : huge_step_locked(heap, step);
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
    } else if (heap->options.huge_always && grown->bytes >= HUGE_AREA) {
        os->huge(os, addr, grown->bytes, OS_HUGE_ALWAYS);
    }
    if (grown->source == SOURCE_MAP) {
        uintptr_t end = grown->addr + grown->bytes;
        source_mappings_drop(&heap->source, filing_joined_locked(heap, grown->addr, end));
    }
    return filing_add_locked(heap, grown, false, 0);
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

/* How far the break must rise so that the tract fits on its top, the free runs there included. */
static size_t break_need(struct pageheap *heap, size_t bytes, size_t align)
{
    uintptr_t end = heap->source.break_end;
    uintptr_t start = end;
    struct span *top = filing_before_locked(heap, end, SOURCE_BREAK);
    for (int pieces = 0; top != NULL && pieces < CHAIN_PIECES - 1; pieces++) {
        start = top->addr;
        top = filing_before_locked(heap, start, SOURCE_BREAK);
    }
    start = bits_align_up(start, align);
    return start + bytes > end ? start + bytes - end : 0;
}

/* Asks the OS: on top of the break first, where what is free there counts, then anywhere. */
static bool tract_grow(struct pageheap *heap, size_t bytes, size_t align, struct tract *tract)
{
    struct span *run = NULL;
    size_t need = heap->source.break_end != 0 ? break_need(heap, bytes, align) : 0;
    if (need > 0 && need <= PTRDIFF_MAX) {
        run = grow(heap, source_extend, need);
    }
    if (run != NULL && tract_around(heap, run, bytes, align, tract)) {
        return true;
    }
    run = grow(heap, source_grow, bytes + align - heap->os->page_size);
    heap->scarce = heap->scarce || run == NULL;
    return run != NULL && tract_around(heap, run, bytes, align, tract);
}

bool tract_get_locked(struct pageheap *heap, size_t bytes, size_t align, struct tract *tract)
{
    return meta_pool_reserve(&heap->run_pool, heap->reserved + RESERVE_SPLIT) &&
           (tract_find(heap, bytes, align, tract) || tract_grow(heap, bytes, align, tract));
}

/* Free bytes right behind `end`; at least `need` unless there are fewer. */
static size_t free_behind(struct pageheap *heap, uintptr_t end, enum span_source source, size_t need)
{
    size_t bytes = 0;
    struct span *run;
    while (bytes < need && (run = filing_after_locked(heap, end + bytes, source)) != NULL) {
        bytes += run->bytes;
    }
    return bytes;
}

bool tract_behind_locked(struct pageheap *heap, uintptr_t end, enum span_source source, size_t need)
{
    size_t have = free_behind(heap, end, source, need);
    if (have >= need) {
        return true;
    }
    return source == SOURCE_BREAK && end + have == heap->source.break_end &&
           meta_pool_reserve(&heap->run_pool, heap->reserved + 1) &&
           grow(heap, source_extend, need - have) != NULL;
}
