/* Page heap: hands out spans, takes them back, coalesces at once, gives memory back to the OS.
 *
 * Free runs lie in two indexes: dirty (may be resident, reused first because touching them costs no fault)
 * and clean (zero-filled, not resident). A run never crosses sources, and never mixes dirty with clean: a
 * freed span coalesces with its dirty neighbours at once, a purged one with its clean neighbours. When no
 * dirty run serves a request, a long one may together with its neighbours of both sorts; then clean ones are tried, then any
 * neighbours together, before the OS is asked for more. What is left of them keeps its sort.
 *
 * In a large heap, the area of 2 MiB around a short span that comes from clean runs may be made resident as one huge page
 * (huge.h); what is left of it is dirty then.
 *
 * The OS is asked for steps of an eighth of what is held; when it refuses one, for half as much, and so on
 * down to what is needed. From then on space is scarce, and a freed span is joined with short clean runs
 * beside it, too, which count as dirty then: taken apart by sort, the space between spans would serve less and
 * less each time that a program fills its memory to a limit, frees it and starts over.
 *
 * When dirty runs are purged (kept own mappings count and go as dirty runs do):
 *  - by bound: dirty <= max(dirty_floor, (live + own) / 8, hold), at every free and when more is held than ever before (as `hold`
 * counts for less when more is in use). Beyond it the oldest are purged at once, so
 * memory follows the live set down without waiting for a clock. `hold` is learned: pages that are taken anew
 * from the OS within decay_ms after pages were given back by bound mean that we gave back too much; hold
 * grows by them, and halves every decay_ms without such regret. It counts only as far as what is kept and
 * what is in use together stay within 9/8 of the recent peak of what was in use, which is what the share
 * allowed at that peak;
 *  - by age: runs dirty for longer than decay_ms, at pageheap_tick (called from slow paths) and at every
 * free;
 *  - to grow: when pages that aren't resident are handed out and more would be held (in use, dirty and kept) than ever
 * before, the oldest are purged instead: what is free in pieces that serve nobody doesn't raise the peak. It costs faults when
 * it is used again, so there is a credit for it: as much as was ever in use at once, and each second 32 MiB or an eighth of what
 * is in use. Nothing goes for a few pages (less than a sixteenth of the floor and 1/128 of what is in use).
 *  - decay_ms = 0 purges at once, -1 never.
 * Purging the topmost run of the break lowers the break instead when it is at least trim_bytes long. A run
 * whose purge is refused stays dirty, and purging is not tried again for decay_ms.
 *
 * Failure: alloc and grow return false when the OS gives no more (after purging and trimming to make room
 * under a limit), with the heap as before. Free never fails: descriptors for it are reserved when a span is
 * handed out.
 *
 * Equations: live + dirty.bytes + clean.bytes = source.from_break + source.from_map (own mappings are counted
 * apart; what is being filled as a huge page counts as live meanwhile); no two neighbouring runs of the same source and sort; every run's two page map entries lead to it.
 *
 * Locking: every function takes the heap's lock (LOCK_RANK_PAGEHEAP) unless it says otherwise; those of filing.h,
 * tract.h and purge.h, into which the work is divided, are called with it held. */
#ifndef HM_PAGE_PAGEHEAP_H
#define HM_PAGE_PAGEHEAP_H

#include <stdatomic.h>

#include "os/lock.h"
#include "page/meta.h"
#include "page/pagemap.h"
#include "page/runs.h"
#include "page/source.h"

struct pageheap_options {
    int64_t decay_ms;   /* 0: at once, -1: never */
    size_t dirty_floor; /* bytes that may always stay dirty */
    size_t trim_bytes;  /* lower the break by no less than this */
    bool use_break;
    bool huge_never;  /* thp:never */
    bool huge_always; /* thp:always; neither: huge.h says when */
};

/* One list of everything counted here, for reports and for reading it in one go. */
#define PAGEHEAP_STATS(X)                                                                                    \
    X(live, "bytes handed out as spans")                                                                     \
    X(dirty, "free bytes that may be resident")                                                              \
    X(clean, "free bytes that are not resident")                                                             \
    X(own, "bytes in own mappings with the user")                                                            \
    X(own_cached, "bytes in own mappings kept for reuse")                                                    \
    X(from_break, "bytes held from the program break")                                                       \
    X(from_map, "bytes held from mappings, own mappings not counted")                                        \
    X(hold, "bytes of dirty memory kept because giving them back was regretted")                             \
    X(purges, "purges")                                                                                      \
    X(purged, "bytes purged")                                                                                \
    X(trims, "times the break was lowered")                                                                  \
    X(trimmed, "bytes by which the break was lowered")                                                       \
    X(reused_dirty, "bytes handed out without a page fault, because dirty")                                  \
    X(huge, "bytes made resident as huge pages")                                                             \
    X(huge_pauses, "times a huge page was refused or slow")                                                  \
    X(grows, "times the OS was asked for more")                                                              \
    X(refusals, "calls that the OS refused")

struct pageheap_stats {
#define PAGEHEAP_STAT_FIELD(name, text) size_t name;
    PAGEHEAP_STATS(PAGEHEAP_STAT_FIELD)
#undef PAGEHEAP_STAT_FIELD
};

struct pageheap {
    struct lock lock;
    const struct os *os;
    struct pageheap_options options;
    struct pagemap *map;
    struct meta *meta;
    struct meta_pool run_pool;
    struct source source;
    struct list ages;           /* dirty runs, oldest first */
    struct list large;          /* spans handed out as SPAN_LARGE, by span.link: for reports */
    struct list own;            /* own mappings handed out, by span.link */
    struct list own_cached;     /* own mappings kept for reuse, oldest first, by span.age */
    struct pagemap_stock stock; /* for own mappings that move */
    size_t reserved;            /* run descriptors promised to handed-out spans and own mappings */
    size_t peak;                /* while hold > 0: most bytes in use at once, fading with it */
    size_t used_most;           /* most bytes in use at once, ever */
    size_t held_most;           /* most bytes in use, dirty and kept at once, ever */
    size_t grow_credit;         /* what may be purged so that held_most needn't rise */
    uint64_t grow_credit_at;
    size_t returned; /* bytes given back by bound lately; see `hold` */
    uint64_t returned_at;
    uint64_t held_at;
    bool scarce;  /* the OS once gave less than a step */
    bool refused; /* a purge was refused, at refused_at */
    uint64_t refused_at;
    uint64_t huge_again;  /* huge pages are not asked for before this time */
    uint64_t huge_pause;  /* the last pause, less what quick ones took off it */
    _Atomic uint64_t due; /* when the oldest run or kept mapping is to be purged; UINT64_MAX: never */
    struct pageheap_stats stats;
    struct runs clean;
    struct runs dirty;
    struct list bin[RUNS_BINS * RUNS_INDEXES]; /* of both */
};

/* The instance is zero-filled. */
void pageheap_init(struct pageheap *heap, const struct os *os, struct pagemap *map, struct meta *meta,
                   const struct pageheap_options *options);

/* Fills the caller's descriptor with `bytes` of pages at a multiple of `align` (both > 0 and rounded up to
 * pages here) and enters it in the page map as `kind`. Sets addr, bytes, kind, source, zero, owner = NULL;
 * other members stay as they are. `span` must stay where it is until freed. */
bool pageheap_alloc(struct pageheap *heap, struct span *span, size_t bytes, size_t align,
                    enum span_kind kind);

/* Rounds both up to pages, as pageheap_alloc does. False: they are beyond what can be addressed. Takes no lock. */
bool pageheap_round(const struct pageheap *heap, size_t *bytes, size_t *align);

/* Takes the pages back; the descriptor is the caller's again (kind SPAN_NONE). */
void pageheap_free(struct pageheap *heap, struct span *span);

/* The same for a span whose pages the caller has all purged: they are free without being resident. */
void pageheap_free_clean(struct pageheap *heap, struct span *span);

/* Extends the span into free pages behind it (from the OS if it is on top of the break) so that it has at
 * least `bytes`. */
bool pageheap_extend(struct pageheap *heap, struct span *span, size_t bytes);

/* Gives the pages behind the first `bytes` (rounded up to pages, > 0) back. Nothing happens if no run
 * descriptor can be had. */
void pageheap_shrink(struct pageheap *heap, struct span *span, size_t bytes);

/* Purges what has aged. Cheap when nothing is due. */
void pageheap_tick(struct pageheap *heap);

/* The bytes that free memory may keep resident at the moment (see above). */
size_t pageheap_bound(struct pageheap *heap);

/* True when a tick may have something to do: read without a lock. */
bool pageheap_pending(const struct pageheap *heap);

/* Gives back all that it can: every dirty run, every cached mapping, the top of the break but for `keep`
 * bytes, whole free mapped runs. Returns bytes given back. */
size_t pageheap_trim(struct pageheap *heap, size_t keep);

void pageheap_options_set(struct pageheap *heap, const struct pageheap_options *options);
void pageheap_stats_get(struct pageheap *heap, struct pageheap_stats *stats);

/* Panics with the broken equation. Linear in the number of runs. */
HM_COLD void pageheap_verify(struct pageheap *heap);

#endif
