#include "base/check.h"
#include "page/filing.h"

static void verify_runs(struct pageheap *heap, const struct runs *runs, bool dirty)
{
    runs_verify(runs);
    for (struct span *run = runs_smaller(runs, NULL); run != NULL; run = runs_smaller(runs, run)) {
        const struct span *next = filing_after_locked(heap, span_end(run), run->source);
        HM_CHECK(run->dirty == dirty, "a run is in the index of its sort");
        HM_CHECK(((run->addr | run->bytes) & (heap->os->page_size - 1)) == 0, "runs are whole pages");
        HM_CHECK(pagemap_get(heap->map, run->addr) == run && pagemap_get(heap->map, span_end(run) - 1) == run,
                 "the page map leads from a run's first and last page to it");
        HM_CHECK(next == NULL || next->dirty != dirty,
                 "no two neighbouring runs of the same source and sort");
        HM_CHECK(list_empty(&run->age) != dirty, "exactly the dirty runs are queued for purging");
    }
}

static size_t verify_blocks(struct pageheap *heap, struct list *head, enum span_kind kind, size_t *count)
{
    size_t bytes = 0;
    for (struct list *at = head->next; at != head; at = at->next) {
        struct span *span =
            kind == SPAN_KEPT ? LIST_ENTRY(at, struct span, age) : LIST_ENTRY(at, struct span, link);
        HM_CHECK(span->kind == kind, "a span is of its list's kind");
        HM_CHECK(pagemap_get(heap->map, span->addr) == span &&
                     pagemap_get(heap->map, span_end(span) - 1) == span,
                 "the page map leads from a one block span's first and last page to it");
        bytes += span->bytes;
        ++*count;
    }
    return bytes;
}

static void verify_ages(struct pageheap *heap)
{
    size_t queued = 0;
    uint64_t oldest = 0;
    for (struct list *at = heap->ages.next; at != &heap->ages; at = at->next) {
        const struct span *run = LIST_ENTRY(at, struct span, age);
        HM_CHECK(run->stamp >= oldest, "the purge queue has the oldest first");
        oldest = run->stamp;
        queued++;
    }
    HM_CHECK(queued == heap->dirty.count, "exactly the dirty runs are queued for purging");
}

void pageheap_verify(struct pageheap *heap)
{
    lock_acquire(&heap->lock);
    const struct source *source = &heap->source;
    verify_runs(heap, &heap->dirty, true);
    verify_runs(heap, &heap->clean, false);
    HM_CHECK(heap->stats.live + heap->dirty.bytes + heap->clean.bytes ==
                 source->from_break + source->from_map,
             "live + dirty + clean = from_break + from_map");
    HM_CHECK(heap->run_pool.free_count >= heap->reserved, "a descriptor is in hand for every span's free");
    size_t large = 0;
    size_t own = 0;
    size_t kept = 0;
    HM_CHECK(verify_blocks(heap, &heap->large, SPAN_LARGE, &large) <= heap->stats.live,
             "spans of one block are part of live");
    HM_CHECK(verify_blocks(heap, &heap->own, SPAN_OWN, &own) == heap->stats.own, "own = sum of own mappings");
    HM_CHECK(verify_blocks(heap, &heap->own_cached, SPAN_KEPT, &kept) == heap->stats.own_cached,
             "own_cached = sum of kept mappings");
    HM_CHECK(large + own <= heap->reserved, "a one block span has a descriptor in reserve");
    HM_CHECK(own + kept <= source->mappings, "every own mapping is a mapping");
    verify_ages(heap);
    lock_release(&heap->lock);
}
