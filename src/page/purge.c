#include "page/purge.h"

#include "base/bits.h"
#include "base/check.h"
#include "page/filing.h"
#include "page/mapping.h"

#define LIVE_SHARE 8
#define UNMAP_MIN                                                                                            \
    ((size_t)4 << 20) /* shorter free regions are purged: faulting is cheaper than mapping again */
#define SPLIT_MIN      ((size_t)1 << 20)   /* a trim may split a mapping for no less than this */
#define PURGE_BATCH    ((size_t)32 << 20)  /* purged by age for one holding of the lock */
#define PURGE_MIN      ((size_t)256 << 10) /* of a long run no less than this is purged at a time, */
#define PURGE_SHARE    16                  /* nor less than this share of the bound */
#define IDLE_FLOOR     16                  /* dirty memory may raise the peak by this share of the floor, */
#define IDLE_SHARE     128                 /* or of what is in use */
#define CREDIT_MIN     ((size_t)32 << 20)  /* credit for purging to grow, a second, */
#define CREDIT_SHARE   8                   /* or this share of what is in use */
#define REFUSED_MS_MIN 100

/* Decay in milliseconds as an unsigned period; -1 becomes the longest. */
static uint64_t decay_of(const struct pageheap *heap)
{
    return heap->options.decay_ms < 0 ? UINT64_MAX : (uint64_t)heap->options.decay_ms;
}

static uint64_t sum_capped(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

static uint64_t refused_until(const struct pageheap *heap)
{
    uint64_t pause = decay_of(heap) < REFUSED_MS_MIN ? REFUSED_MS_MIN : decay_of(heap);
    return heap->refused ? sum_capped(heap->refused_at, pause) : 0;
}

static void refuse(struct pageheap *heap, uint64_t now)
{
    heap->stats.refusals++;
    heap->refused = true;
    heap->refused_at = now;
}

/* What is next to go: a dirty run or a kept mapping, whichever is older. */
struct oldest {
    struct span *span;
    bool kept;
};

static struct oldest oldest_get(struct pageheap *heap)
{
    struct span *run = list_empty(&heap->ages) ? NULL : LIST_ENTRY(heap->ages.next, struct span, age);
    struct span *kept =
        list_empty(&heap->own_cached) ? NULL : LIST_ENTRY(heap->own_cached.next, struct span, age);
    bool take_kept = kept != NULL && (run == NULL || kept->stamp < run->stamp);
    return (struct oldest){.span = take_kept ? kept : run, .kept = take_kept};
}

static void due_set(struct pageheap *heap)
{
    struct span *span = oldest_get(heap).span;
    uint64_t due = span == NULL ? UINT64_MAX : sum_capped(span->stamp, decay_of(heap));
    uint64_t until = refused_until(heap);
    due = due < until ? until : due;
    atomic_store_explicit(&heap->due, due, memory_order_relaxed);
}

static size_t in_use(const struct pageheap *heap)
{
    return heap->stats.live + heap->stats.own;
}

void purge_used_locked(struct pageheap *heap)
{
    if (heap->peak < in_use(heap)) {
        heap->peak = in_use(heap);
    }
    if (heap->used_most < in_use(heap)) {
        heap->grow_credit += in_use(heap) - heap->used_most;
        heap->used_most = in_use(heap);
    }
}

/* hold halves every decay_ms without regret, and so does what the peak has over the present. */
static void hold_fade(struct pageheap *heap, uint64_t now)
{
    uint64_t decay = decay_of(heap);
    if (heap->stats.hold == 0 || decay == 0 || now - heap->held_at < decay) {
        return;
    }
    uint64_t periods = (now - heap->held_at) / decay;
    size_t over = heap->peak - in_use(heap);
    heap->stats.hold = periods < 64 ? heap->stats.hold >> periods : 0;
    heap->peak = in_use(heap) + (periods < 64 ? over >> periods : 0);
    heap->held_at += periods * decay;
}

/* What is held may fill up what was in use at the peak with what could be dirty then: less, and a program whose
 * use goes up and down a little would purge and fault all the time. */
size_t purge_bound_locked(struct pageheap *heap, uint64_t now)
{
    hold_fade(heap, now);
    size_t hold = heap->stats.hold == 0 ? 0 : heap->peak + heap->peak / LIVE_SHARE - in_use(heap);
    hold = hold < heap->stats.hold ? hold : heap->stats.hold;
    size_t bound = in_use(heap) / LIVE_SHARE;
    bound = bound < heap->options.dirty_floor ? heap->options.dirty_floor : bound;
    bound = bound < hold ? hold : bound;
    return heap->options.decay_ms < 0 ? SIZE_MAX : heap->options.decay_ms == 0 ? 0 : bound;
}

void purge_returned_locked(struct pageheap *heap, size_t bytes, uint64_t now)
{
    if (now - heap->returned_at > decay_of(heap)) {
        heap->returned = 0;
    }
    heap->returned += bytes;
    heap->returned_at = now;
}

void purge_regret_locked(struct pageheap *heap, size_t bytes)
{
    if (heap->returned == 0 || bytes == 0) {
        return;
    }
    uint64_t now = heap->os->now_ms(heap->os);
    if (now - heap->returned_at > decay_of(heap)) {
        heap->returned = 0;
        return;
    }
    hold_fade(heap, now);
    if (heap->stats.hold == 0) {
        heap->peak = in_use(heap);
    }
    size_t regret = bytes < heap->returned ? bytes : heap->returned;
    heap->returned -= regret;
    heap->stats.hold += regret;
    heap->held_at = now;
}

/* The upper `bytes` of a run, with the clean neighbours that touch them. */
static struct grown surroundings(struct pageheap *heap, const struct span *run, size_t bytes)
{
    bool whole = bytes == run->bytes;
    struct span *before = whole ? filing_before_locked(heap, run->addr, run->source) : NULL;
    struct span *after = filing_after_locked(heap, span_end(run), run->source);
    uintptr_t lo = before != NULL ? before->addr : span_end(run) - bytes;
    uintptr_t hi = after != NULL ? span_end(after) : span_end(run);
    return (struct grown){.addr = lo, .bytes = hi - lo, .source = run->source};
}

/* Takes free memory that is gone out of its runs. `hi` is the end of a run. */
static void forget(struct pageheap *heap, uintptr_t lo, uintptr_t hi, enum span_source source)
{
    while (hi > lo) {
        struct span *run = filing_before_locked(heap, hi, source);
        HM_CHECK(run != NULL, "only free memory is given back");
        uintptr_t start = run->addr;
        filing_cut_locked(heap, run, lo, hi);
        hi = start;
    }
}

static bool lower(struct pageheap *heap, uintptr_t lo, uintptr_t hi)
{
    if (!source_lower(&heap->source, lo, hi - lo)) {
        return false;
    }
    forget(heap, lo, hi, SOURCE_BREAK);
    heap->stats.trims++;
    heap->stats.trimmed += hi - lo;
    return true;
}

static bool unmap(struct pageheap *heap, uintptr_t lo, uintptr_t hi)
{
    if (!source_unmap(&heap->source, lo, hi - lo, filing_joined_locked(heap, lo, hi))) {
        return false;
    }
    forget(heap, lo, hi, SOURCE_MAP);
    return true;
}

/* Gives the upper `bytes` of the run back with their address space if that is worth it. */
static bool run_return(struct pageheap *heap, const struct span *run, size_t bytes)
{
    struct grown area = surroundings(heap, run, bytes);
    uintptr_t lo = area.addr;
    uintptr_t hi = lo + area.bytes;
    if (area.source == SOURCE_BREAK) {
        return hi == heap->source.break_end && area.bytes >= heap->options.trim_bytes && lower(heap, lo, hi);
    }
    return area.bytes >= UNMAP_MIN && filing_joined_locked(heap, lo, hi) == 0 && unmap(heap, lo, hi);
}

void purge_return_locked(struct pageheap *heap, const struct span *run)
{
    run_return(heap, run, run->bytes);
}

/* The upper end goes first: on top of the break it can be given back for good. Returns how many bytes went, 0
 * when the OS refused. */
static size_t run_purge(struct pageheap *heap, struct span *run, size_t bytes, uint64_t now)
{
    /* What is left of a run keeps its descriptor; the clean part may need one. */
    if (bytes < run->bytes && !meta_pool_reserve(&heap->run_pool, heap->reserved + 1)) {
        bytes = run->bytes;
    }
    struct grown pages = {.addr = span_end(run) - bytes, .bytes = bytes, .source = run->source};
    if (!run_return(heap, run, bytes)) {
        if (now < refused_until(heap)) {
            return 0;
        }
        if (!heap->os->purge(heap->os, (void *)pages.addr, pages.bytes)) {
            refuse(heap, now);
            return 0;
        }
        filing_cut_locked(heap, run, pages.addr, pages.addr + pages.bytes);
        filing_add_locked(heap, &pages, false, now);
    }
    heap->stats.purges++;
    heap->stats.purged += bytes;
    return bytes;
}

/* Gives the oldest back, of a run about `most` bytes. Returns how many, 0 when there are none or the OS
 * refused. */
static size_t oldest_purge(struct pageheap *heap, size_t most, uint64_t now)
{
    struct oldest oldest = oldest_get(heap);
    if (oldest.span == NULL) {
        return 0;
    }
    size_t bytes = oldest.span->bytes;
    if (!oldest.kept) {
        bytes = bytes / 2 > most ? bits_align_up(most, heap->os->page_size) : bytes;
        return run_purge(heap, oldest.span, bytes, now);
    }
    if (now < refused_until(heap)) {
        return 0;
    }
    if (!mapping_drop_locked(heap, oldest.span)) {
        refuse(heap, now);
        return 0;
    }
    return bytes;
}

/* At most a batch, so that other threads get the lock between two. */
static void aged_purge(struct pageheap *heap, uint64_t now)
{
    size_t done = 0;
    size_t bytes = 1;
    struct span *span = oldest_get(heap).span;
    while (bytes > 0 && done < PURGE_BATCH && span != NULL &&
           sum_capped(span->stamp, decay_of(heap)) <= now) {
        bytes = oldest_purge(heap, PURGE_BATCH, now);
        done += bytes;
        span = oldest_get(heap).span;
    }
}

void purge_settle_locked(struct pageheap *heap, uint64_t now)
{
    size_t bound = purge_bound_locked(heap, now);
    size_t step = bound / PURGE_SHARE > PURGE_MIN ? bound / PURGE_SHARE : PURGE_MIN;
    size_t bytes = 1;
    while (bytes > 0 && heap->dirty.bytes + heap->stats.own_cached > bound) {
        size_t excess = heap->dirty.bytes + heap->stats.own_cached - bound;
        bytes = oldest_purge(heap, excess > step ? excess : step, now);
        purge_returned_locked(heap, bytes, now);
    }
    aged_purge(heap, now);
    due_set(heap);
}

size_t pageheap_bound(struct pageheap *heap)
{
    lock_acquire(&heap->lock);
    size_t bound = purge_bound_locked(heap, heap->os->now_ms(heap->os));
    lock_release(&heap->lock);
    return bound;
}

/* Dirty and kept memory that may be there when the heap grows. */
static size_t idle_allowed(const struct pageheap *heap)
{
    size_t share = in_use(heap) / IDLE_SHARE;
    size_t least = heap->options.dirty_floor / IDLE_FLOOR;
    return share > least ? share : least;
}

static size_t idle(const struct pageheap *heap)
{
    return heap->dirty.bytes + heap->stats.own_cached;
}

static void credit_add(struct pageheap *heap, uint64_t now)
{
    size_t rate = in_use(heap) / CREDIT_SHARE > CREDIT_MIN ? in_use(heap) / CREDIT_SHARE : CREDIT_MIN;
    uint64_t since = now - heap->grow_credit_at < 1000 ? now - heap->grow_credit_at : 1000;
    heap->grow_credit += rate / 1000 * since;
    heap->grow_credit = heap->grow_credit < heap->used_most ? heap->grow_credit : heap->used_most;
    heap->grow_credit_at = now;
}

/* Purges while more is held than ever before, as far as the credit goes. */
static void hold_no_more(struct pageheap *heap, uint64_t now)
{
    size_t bytes = 1;
    credit_add(heap, now);
    while (bytes > 0 && in_use(heap) + idle(heap) > heap->held_most && heap->grow_credit > 0) {
        size_t excess = in_use(heap) + idle(heap) - heap->held_most;
        bytes = oldest_purge(heap, excess > PURGE_MIN ? excess : PURGE_MIN, now);
        heap->grow_credit -= bytes < heap->grow_credit ? bytes : heap->grow_credit;
    }
}

void purge_to_grow_locked(struct pageheap *heap)
{
    if (in_use(heap) + idle(heap) <= heap->held_most) {
        return;
    }
    if (heap->options.decay_ms >= 0 && idle(heap) > idle_allowed(heap)) {
        uint64_t now = heap->os->now_ms(heap->os);
        /* What may be held has become less, as more is in use. */
        purge_settle_locked(heap, now);
        hold_no_more(heap, now);
        due_set(heap);
    }
    size_t held = in_use(heap) + idle(heap);
    heap->held_most = held > heap->held_most ? held : heap->held_most;
}

bool pageheap_pending(const struct pageheap *heap)
{
    uint64_t due = atomic_load_explicit(&heap->due, memory_order_relaxed);
    return due != UINT64_MAX && due <= heap->os->now_ms(heap->os);
}

void pageheap_tick(struct pageheap *heap)
{
    while (pageheap_pending(heap)) {
        lock_acquire(&heap->lock);
        purge_settle_locked(heap, heap->os->now_ms(heap->os));
        lock_release(&heap->lock);
    }
}

/* Lowers the break as far as what is free on top of it allows, but for `keep` bytes. */
static size_t top_lower(struct pageheap *heap, size_t keep)
{
    uintptr_t end = heap->source.break_end;
    uintptr_t start = end;
    struct span *top;
    while (start != 0 && (top = filing_before_locked(heap, start, SOURCE_BREAK)) != NULL) {
        start = top->addr;
    }
    if (end - start <= keep) {
        return 0;
    }
    size_t bytes = bits_align_down(end - start - keep, heap->os->page_size);
    return bytes > 0 && lower(heap, end - bytes, end) ? bytes : 0;
}

/* Unmaps free mapped runs, but for short ones amid a region: each would cost one more mapping. */
static size_t regions_unmap(struct pageheap *heap, const struct runs *runs)
{
    size_t bytes = 0;
    struct span *next;
    for (struct span *run = runs_smaller(runs, NULL); run != NULL; run = next) {
        next = runs_smaller(runs, run);
        uintptr_t lo = run->addr;
        uintptr_t hi = span_end(run);
        bool worth =
            run->source == SOURCE_MAP && (hi - lo >= SPLIT_MIN || filing_joined_locked(heap, lo, hi) < 2);
        if (worth && unmap(heap, lo, hi)) {
            bytes += hi - lo;
        }
    }
    return bytes;
}

static size_t kept_drop(struct pageheap *heap)
{
    size_t before = heap->stats.own_cached;
    struct list *next;
    for (struct list *at = heap->own_cached.next; at != &heap->own_cached; at = next) {
        next = at->next;
        mapping_drop_locked(heap, LIST_ENTRY(at, struct span, age));
    }
    return before - heap->stats.own_cached;
}

size_t purge_room_locked(struct pageheap *heap)
{
    size_t bytes = kept_drop(heap) + top_lower(heap, 0);
    bytes += regions_unmap(heap, &heap->clean);
    bytes += regions_unmap(heap, &heap->dirty);
    due_set(heap);
    return bytes;
}

size_t pageheap_trim(struct pageheap *heap, size_t keep)
{
    lock_acquire(&heap->lock);
    uint64_t now = heap->os->now_ms(heap->os);
    heap->refused = false;
    size_t bytes = kept_drop(heap) + top_lower(heap, keep);
    size_t purged = heap->stats.purged;
    size_t gone = 1;
    while (gone > 0 && !list_empty(&heap->ages)) {
        struct span *run = LIST_ENTRY(heap->ages.next, struct span, age);
        gone = run_purge(heap, run, run->bytes, now);
    }
    bytes += heap->stats.purged - purged;
    regions_unmap(heap, &heap->clean);
    due_set(heap);
    lock_release(&heap->lock);
    return bytes;
}

void pageheap_options_set(struct pageheap *heap, const struct pageheap_options *options)
{
    lock_acquire(&heap->lock);
    heap->options = *options;
    heap->source.use_break = options->use_break;
    purge_settle_locked(heap, heap->os->now_ms(heap->os));
    lock_release(&heap->lock);
}
