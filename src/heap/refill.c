#include "heap/refill.h"

#include "base/check.h"
#include "base/stat.h"
#include "heap/bins.h"
#include "heap/core.h"
#include "heap/large.h"
#include "heap/remote.h"

#define FIRST_BATCH_BYTES 256u /* what a bin's first refill fetches, */
#define FIRST_BATCH       2u   /* and in blocks */

/* Address of a hole with room for `granules`, if even at an even granule; sweeps as long as there is something to sweep, and until
 * `order`, unless NULL, has all that it wants: then NULL. */
static void *find_hole_locked(struct theap *heap, unsigned granules, bool even, struct carve_order *order)
{
    for (;;) {
        void *at = holes_find(&heap->holes, granules);
        if (at != NULL && even && ((uintptr_t)at & GRANULE_BYTES) != 0 &&
            holes_length(&heap->holes, at) == granules) {
            at = holes_find(&heap->holes, granules + 1);
        }
        if (at != NULL) {
            return at;
        }
        struct chunk *chunk = theap_most_dead_locked(heap);
        if (chunk == NULL) {
            return NULL;
        }
        theap_sweep_locked(heap, chunk, order);
        if (order != NULL && order->got == order->want) {
            return NULL;
        }
    }
}

static unsigned fill_locked(struct theap *heap, unsigned class, unsigned want, struct entry *out, bool *zero)
{
    struct carve_order order = {.class = class, .want = want, .out = out, .zero = zero};
    const unsigned granules = class_granules(class);
    struct chunk *carved = NULL;
    theap_drain_locked(heap);
    while (order.got < want) {
        const void *at = find_hole_locked(heap, granules, class >= CLASS_EXACT, &order);
        if (at == NULL) {
            break;
        }
        struct chunk *chunk = table_find(&heap->core->table, (uintptr_t)at);
        if (chunk != carved && carved != NULL) {
            theap_rebucket_locked(heap, carved);
        }
        carved = chunk;
        order.got += carve_blocks(&heap->holes, chunk, chunk_granule((uintptr_t)at), class, want - order.got,
                                  out + order.got, zero);
    }
    if (carved != NULL) {
        theap_rebucket_locked(heap, carved);
    }
    stat_add(&heap->used, (size_t)order.got * granules);
    return order.got;
}

/* What make_room has tried. */
struct tried {
    bool idle;
    bool all;
};

/* More room when the holes can't serve: what waits in idle bins, chunks of ended threads, then new ones, then, once, all that
 * the heap hides. */
static bool make_room(struct theap *heap, unsigned granules, struct tried *tried)
{
    if (!tried->idle) {
        tried->idle = true;
        if (bins_age(heap)) {
            return true;
        }
        large_age(heap);
    }
    if (core_adopt(heap->core, heap, granules) || theap_add_chunk(heap)) {
        return true;
    }
    if (tried->all) {
        return false;
    }
    tried->all = true;
    theap_drop_bins(heap, true);
    lock_acquire(&heap->lock);
    theap_sweep_all_locked(heap);
    lock_release(&heap->lock);
    return true;
}

static unsigned next_batch(struct theap *heap, unsigned class)
{
    struct bin_info *info = &heap->info[class];
    unsigned limit = bins_max_batch(class);
    unsigned batch = info->batch;
    if (batch == 0) {
        batch = FIRST_BATCH_BYTES / class_bytes[class];
        batch = batch < 1 ? 1 : batch;
        batch = batch > FIRST_BATCH ? FIRST_BATCH : batch;
    }
    unsigned doubled = 2 * batch < limit ? 2 * batch : limit;
    info->batch = (uint8_t)doubled;
    return batch < limit ? batch : limit;
}

/* Up to `want` blocks to `out`; 0: memory is exhausted. */
static unsigned fetch(struct theap *heap, unsigned class, size_t bytes, unsigned want, struct entry *out,
                      bool *zero)
{
    struct tried tried = {.idle = false};
    for (;;) {
        lock_acquire(&heap->lock);
        unsigned got = fill_locked(heap, class, want, out, zero);
        if (got > 0) {
            stat_add(&heap->stats.refills, 1);
            stat_add(&heap->stats.carved, got);
            stat_add(&heap->stats.sampled_requested, bytes);
            stat_add(&heap->stats.sampled_granted, class_bytes[class]);
        }
        lock_release(&heap->lock);
        if (got > 0 || !make_room(heap, class_granules(class) + 1, &tried)) {
            return got;
        }
    }
}

void *refill_bin(struct theap *heap, unsigned class, size_t bytes, bool *zero)
{
    struct entry one;
    remote_pay(heap);
    theap_follow_mode(heap);
    unsigned want = heap->closed ? 1 : next_batch(heap, class);
    unsigned room = heap->closed ? 0 : bins_reserve(heap, class, want);
    bool in_bin = room >= want;
    struct entry *out = in_bin ? bins_end(heap, class) : &one;
    /* One block at most where the cache can't take more. *zero is what is known of the last hole's blocks, and the newest is
     * one of them. */
    unsigned got = fetch(heap, class, bytes, in_bin ? want : 1, out, zero);
    if (got == 0) {
        return NULL;
    }
    struct entry newest = out[got - 1];
    if (in_bin) {
        bins_advance(heap, class, got - 1);
    }
    mark_to_user(newest.mark);
    pageheap_tick(&heap->core->pages);
    return newest.block;
}

static bool carve_aligned_locked(struct theap *heap, unsigned class, size_t align, struct entry *out,
                                 bool *zero)
{
    unsigned granules = class_granules(class);
    unsigned step = (unsigned)(align / GRANULE_BYTES);
    theap_drain_locked(heap);
    /* A hole of just the size may happen to lie right; one that is longer by the alignment always does. */
    unsigned lengths[2] = {granules, granules + step};
    for (unsigned i = 0; i < 2; i++) {
        void *at =
            i == 0 ? holes_find(&heap->holes, lengths[i]) : find_hole_locked(heap, lengths[i], false, NULL);
        if (at != NULL) {
            struct chunk *chunk = table_find(&heap->core->table, (uintptr_t)at);
            unsigned granule = chunk_granule((uintptr_t)at);
            if (carve_aligned(&heap->holes, chunk, granule, class, align, out, zero)) {
                stat_add(&heap->stats.carved, 1);
                stat_add(&heap->used, granules);
                theap_rebucket_locked(heap, chunk);
                return true;
            }
        }
    }
    return false;
}

void *refill_aligned(struct theap *heap, unsigned class, size_t align, bool *zero)
{
    struct tried tried = {.idle = false};
    for (;;) {
        struct entry one;
        lock_acquire(&heap->lock);
        bool carved = carve_aligned_locked(heap, class, align, &one, zero);
        lock_release(&heap->lock);
        if (carved) {
            mark_to_user(one.mark);
            return one.block;
        }
        unsigned granules = class_granules(class) + (unsigned)(align / GRANULE_BYTES);
        if (!make_room(heap, granules, &tried)) {
            return NULL;
        }
    }
}
