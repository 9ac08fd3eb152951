#include "page/huge.h"

#include "base/bits.h"
#include "page/filing.h"
#include "page/purge.h"

#define HUGE_HEAP    ((size_t)32 << 20)  /* in use: the rest of an area is a sixteenth of it at most */
#define SPAN_MAX     ((size_t)256 << 10) /* chunks, and blocks that are kept in bins */
#define SLOW_NS      1000000             /* first touches of as many pages take three quarters of it */
#define PAUSE_MS_MIN 256                 /* 2 % of the time goes to slow ones at worst */
#define PAUSE_MS_MAX 65536
#define FILE_RUNS    2 /* descriptors for what is filed below and above the span */

static bool may_fill(const struct pageheap *heap)
{
    return heap->stats.live >= HUGE_HEAP && !heap->options.huge_never && !heap->options.huge_always;
}

size_t huge_step_locked(const struct pageheap *heap, size_t step)
{
    uintptr_t end = heap->source.break_end;
    return may_fill(heap) ? bits_align_up(end + step, HUGE_AREA) - end : step;
}

/* Whether the pages are none, or lie in the clean run beside the span. */
static bool clean_in(const struct grown *pages, const struct span *run)
{
    uintptr_t end = pages->addr + pages->bytes;
    return pages->bytes == 0 ||
           (run != NULL && !run->dirty && run->addr <= pages->addr && end <= span_end(run));
}

/* Takes the pages out of the run, so that nobody else gets them meanwhile. */
static void take(struct pageheap *heap, struct span *run, const struct grown *pages)
{
    if (pages->bytes > 0) {
        filing_cut_locked(heap, run, pages->addr, pages->addr + pages->bytes);
        heap->stats.live += pages->bytes;
    }
}

static void file(struct pageheap *heap, const struct grown *pages, bool dirty)
{
    if (pages->bytes > 0) {
        heap->stats.live -= pages->bytes;
        filing_add_locked(heap, pages, dirty, heap->os->now_ms(heap->os));
    }
}

/* Nobody waits for the lock while the kernel clears 2 MiB. */
static bool fill_unlocked(struct pageheap *heap, uintptr_t area)
{
    lock_release(&heap->lock);
    uint64_t took = heap->os->fill_huge(heap->os, (void *)area, HUGE_AREA);
    lock_acquire(&heap->lock);
    if (took > 0 && took <= SLOW_NS) {
        heap->huge_pause /= 2;
    } else {
        uint64_t pause = heap->huge_pause * 2;
        pause = pause < PAUSE_MS_MIN ? PAUSE_MS_MIN : pause > PAUSE_MS_MAX ? PAUSE_MS_MAX : pause;
        heap->huge_pause = pause;
        heap->huge_again = heap->os->now_ms(heap->os) + pause;
        heap->stats.huge_pauses++;
    }
    heap->stats.huge += took > 0 ? HUGE_AREA : 0;
    return took > 0;
}

/* `below` and `above` are what the area has besides the span. */
static void fill_around(struct pageheap *heap, const struct span *span, const struct grown *below,
                        const struct grown *above)
{
    struct span *before = filing_before_locked(heap, span->addr, below->source);
    struct span *after = filing_after_locked(heap, span_end(span), above->source);
    if (!clean_in(below, before) || !clean_in(above, after) ||
        !meta_pool_reserve(&heap->run_pool, heap->reserved + FILE_RUNS)) {
        return;
    }
    heap->reserved += FILE_RUNS;
    take(heap, before, below);
    take(heap, after, above);
    purge_to_grow_locked(heap);
    bool filled = fill_unlocked(heap, below->addr);
    if (filled) {
        purge_regret_locked(heap, below->bytes + above->bytes);
    }
    file(heap, below, filled);
    file(heap, above, filled);
    heap->reserved -= FILE_RUNS;
}

void huge_fill_locked(struct pageheap *heap, const struct span *span)
{
    if (!may_fill(heap) || span->bytes > SPAN_MAX || heap->os->now_ms(heap->os) < heap->huge_again) {
        return;
    }
    uintptr_t area = bits_align_down(span->addr, HUGE_AREA);
    uintptr_t end = area + HUGE_AREA;
    struct grown below = {.addr = area, .bytes = span->addr - area, .source = span->source};
    struct grown above = {.addr = span_end(span), .bytes = end - span_end(span), .source = span->source};
    if (span_end(span) <= end) {
        fill_around(heap, span, &below, &above);
    }
}
