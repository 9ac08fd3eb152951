#include "observe/stats.h"

#include <pthread.h>

#include "support/env.h"
#include "unit/observe/observe_fixture.h"

#define BLOCKS 500

Test(observe_stats, an_unused_core_has_nothing)
{
    struct fixture *fixture = fixture_make();
    struct observation seen;
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.mapped, 0);
    cr_assert_eq(seen.stats.served, 0);
    cr_assert_eq(seen.stats.live_blocks, 0);
    cr_assert_eq(seen.stats.threads, 1);
    cr_assert_gt(seen.stats.metadata, sizeof(struct theap) - 1);
    fixture_drop(fixture);
}

/* The bins, which are this thread's own, say independently of the marks what is cached. */
static size_t binned_bytes(struct theap *heap)
{
    size_t bytes = 0;
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        bytes += bins_count(heap, class) * class_bytes[class];
    }
    return bytes;
}

Test(observe_stats, live_and_cached_bytes_in_chunks_are_exact)
{
    static const size_t sizes[] = {1, 32, 33, 100, 624, 625, 1024, 3000, 10000, 16384};
    struct fixture *fixture = fixture_make();
    struct observation seen;
    void *block[BLOCKS];
    size_t live = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = fixture_alloc(fixture, fixture->heap, sizes[i % 10]);
        live += fixture_usable(fixture, block[i]);
    }
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.live, live);
    cr_assert_eq(seen.stats.live_blocks, BLOCKS);
    cr_assert_eq(seen.all.live, live);
    cr_assert_eq(seen.stats.cached, binned_bytes(fixture->heap));
    cr_assert_eq(seen.class[class_of(100)].live_blocks, BLOCKS / 10);
    cr_assert_eq(seen.class[class_of(100)].live, BLOCKS / 10 * class_bytes[class_of(100)]);
    for (size_t i = 0; i < BLOCKS; i += 2) {
        live -= fixture_usable(fixture, block[i]);
        fixture_free(fixture, fixture->heap, block[i]);
    }
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.live, live);
    cr_assert_eq(seen.stats.live_blocks, BLOCKS / 2);
    cr_assert_eq(seen.stats.cached, binned_bytes(fixture->heap));
    cr_assert_gt(seen.stats.refills, 0);
    cr_assert_gt(seen.stats.flushes, 0);
    for (size_t i = 1; i < BLOCKS; i += 2) {
        fixture_free(fixture, fixture->heap, block[i]);
    }
    theap_drop_bins(fixture->heap, true);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.live + seen.stats.cached + seen.stats.chunks, 0);
    fixture_drop(fixture);
}

Test(observe_stats, holes_and_dead_granules_are_told_apart)
{
    struct fixture *fixture = fixture_make();
    struct observation seen;
    void *block[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = fixture_alloc(fixture, fixture->heap, 64);
    }
    theap_drop_bins(fixture->heap, true);
    fixture_observe(fixture, &seen);
    size_t dead = seen.all.dead;
    size_t holes = seen.all.holes;
    for (size_t i = 0; i < BLOCKS; i += 2) {
        fixture_free(fixture, fixture->heap, block[i]);
    }
    theap_drop_bins(fixture->heap, true);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.all.dead, dead + BLOCKS / 2 * 64);
    cr_assert_eq(seen.all.holes, holes);
    lock_acquire(&fixture->heap->lock);
    theap_sweep_all_locked(fixture->heap);
    lock_release(&fixture->heap->lock);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.all.dead, 0);
    cr_assert_eq(seen.all.holes, holes + dead + BLOCKS / 2 * 64);
    cr_assert_gt(seen.stats.sweeps, 0);
    fixture_drop(fixture);
}

Test(observe_stats, large_blocks_are_live_then_cached_then_gone)
{
    struct fixture *fixture = fixture_make();
    struct observation seen;
    void *medium = fixture_alloc(fixture, fixture->heap, 60 * KIB);
    void *larger = fixture_alloc(fixture, fixture->heap, 1000 * KIB);
    size_t bytes = fixture_usable(fixture, medium);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.live, bytes + 1000 * KIB);
    cr_assert_eq(seen.stats.live_blocks, 2);
    cr_assert_eq(seen.class[class_of(60 * KIB)].live, bytes);
    cr_assert_eq(seen.class[OBSERVE_LARGER].live, 1000 * KIB);
    cr_assert_eq(seen.stats.requested, 1060 * KIB);
    cr_assert_eq(seen.stats.served, 2);
    fixture_free(fixture, fixture->heap, medium);
    fixture_free(fixture, fixture->heap, larger);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.live, 0);
    cr_assert_eq(seen.stats.cached, bytes);
    cr_assert_eq(seen.class[class_of(60 * KIB)].cached_blocks, 1);
    theap_drop_bins(fixture->heap, true);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.cached, 0);
    cr_assert_eq(seen.stats.live_blocks, 0);
    fixture_drop(fixture);
}

Test(observe_stats, a_span_on_its_way_to_or_from_the_user_is_no_block)
{
    struct fixture *fixture = fixture_make();
    struct observation seen;
    struct span span = {.mark = 0};
    cr_assert(pageheap_alloc(&fixture->core->pages, &span, 64 * KIB, 1, SPAN_LARGE));
    observe_take(fixture->core, &seen);
    cr_assert_eq(seen.stats.live_blocks, 0);
    cr_assert_eq(seen.stats.live, 0);
    pageheap_free(&fixture->core->pages, &span);
    fixture_drop(fixture);
}

Test(observe_stats, own_mappings_are_live_then_kept_then_purged)
{
    struct fixture *fixture = fixture_make();
    struct observation seen;
    void *small = fixture_alloc(fixture, fixture->heap, 10);
    void *own = fixture_alloc(fixture, fixture->heap, 16 * MIB);
    void *kept = fixture_alloc(fixture, fixture->heap, 2 * MIB);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.own, 18 * MIB);
    cr_assert_eq(seen.class[OBSERVE_OWN].live_blocks, 2);
    cr_assert_eq(seen.stats.live, 18 * MIB + fixture_usable(fixture, small));
    own = core_realloc(fixture->core, fixture->heap, own, 20 * MIB);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.class[OBSERVE_OWN].live, 22 * MIB);
    fixture_free(fixture, fixture->heap, kept);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.own, 22 * MIB);
    cr_assert_eq(seen.stats.own_kept, 2 * MIB);
    cr_assert_eq(seen.class[OBSERVE_OWN].live_blocks, 1);
    fixture_free(fixture, fixture->heap, own);
    core_trim(fixture->core, fixture->heap, 0);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.own, 0);
    cr_assert_gt(seen.stats.purged, 21 * MIB);
    cr_assert_gt(seen.stats.purges, 0);
    fixture_drop(fixture);
}

Test(observe_stats, requested_is_estimated_from_the_calls_that_missed)
{
    struct fixture *fixture = fixture_make();
    struct observation seen;
    for (size_t i = 0; i < BLOCKS; i++) {
        fixture_alloc(fixture, fixture->heap, 49);
    }
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.live, BLOCKS * 64);
    cr_assert_eq(seen.stats.requested, BLOCKS * 49);
    fixture_drop(fixture);
}

Test(observe_stats, served_counts_blocks_made_anew)
{
    struct fixture *fixture = fixture_make();
    struct observation seen;
    fixture_free(fixture, fixture->heap, fixture_alloc(fixture, fixture->heap, 100));
    fixture_observe(fixture, &seen);
    size_t served = seen.stats.served;
    cr_assert_eq(served, seen.stats.cached / class_bytes[class_of(100)]);
    for (int i = 0; i < 1000; i++) {
        fixture_free(fixture, fixture->heap, fixture_alloc(fixture, fixture->heap, 100));
    }
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.served, served);
    core_aligned(fixture->core, fixture->heap, 1024, 2000);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.served, served + 1);
    fixture_drop(fixture);
}

Test(observe_stats, blocks_freed_by_another_thread_leave_their_heap)
{
    struct fixture *fixture = fixture_make();
    struct theap *other = core_attach(fixture->core);
    struct observation seen;
    void *keeper = fixture_alloc(fixture, fixture->heap, 200);
    void *block = fixture_alloc(fixture, fixture->heap, 200);
    fixture_observe(fixture, &seen);
    size_t live = seen.stats.live;
    size_t cached = seen.stats.cached;
    fixture_free(fixture, other, block);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.remote_frees, 1);
    cr_assert_eq(seen.stats.live, live - fixture_usable(fixture, keeper));
    cr_assert_eq(seen.stats.cached, cached);
    cr_assert_eq(seen.stats.threads, 2);
    core_detach(fixture->core, fixture->heap);
    fixture->heap = other;
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.threads, 1);
    cr_assert_eq(seen.stats.orphans, 1);
    cr_assert_eq(seen.stats.live_blocks, 1);
    cr_assert_eq(seen.stats.cached, 0);
    cr_assert_eq(seen.heap[0].state, THEAP_ORPHAN);
    fixture_drop(fixture);
}

Test(observe_stats, pages_handed_out_again_avoid_faults)
{
    struct fixture *fixture = fixture_make();
    struct observation seen;
    fixture_free(fixture, fixture->heap, fixture_alloc(fixture, fixture->heap, 512 * KIB));
    theap_drop_bins(fixture->heap, true);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.faults_avoided, 0);
    cr_assert_eq(seen.stats.dirty, 512 * KIB);
    fixture_alloc(fixture, fixture->heap, 512 * KIB);
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.stats.faults_avoided, 512 * KIB / fixture->base.fake.os.page_size);
    fixture_drop(fixture);
}

Test(observe_stats, refusals_are_counted)
{
    struct fixture *fixture = fixture_make();
    struct observation seen;
    fake_os_limit(&fixture->base.fake, 4 * MIB);
    cr_assert_null(core_malloc(fixture->core, fixture->heap, 64 * MIB));
    fixture_observe(fixture, &seen);
    cr_assert_gt(seen.stats.os_refusals, 0);
    fixture_drop(fixture);
}

Test(observe_stats, heaps_beyond_the_rows_are_summed_all_the_same)
{
    struct fixture *fixture = fixture_make();
    struct observation seen;
    for (int i = 0; i < OBSERVE_HEAPS + 4; i++) {
        fixture_alloc(fixture, core_attach(fixture->core), 64);
    }
    fixture_observe(fixture, &seen);
    cr_assert_eq(seen.heaps, OBSERVE_HEAPS);
    cr_assert_eq(seen.heaps_left_out, 5);
    cr_assert_eq(seen.stats.live_blocks, OBSERVE_HEAPS + 4);
    fixture_drop(fixture);
}

/* Under a race detector this is the test; otherwise it shows that no figure can run away. */

#define THREADS 3

struct busy {
    struct fixture *fixture;
    _Atomic(void *) shared[64]; /* blocks that any thread frees */
    _Atomic bool stop;
    size_t steps;
};

static void *work(void *argument)
{
    struct busy *busy = argument;
    struct fixture *fixture = busy->fixture;
    struct theap *heap = core_attach(fixture->core);
    uint32_t random = (uint32_t)(uintptr_t)heap | 1;
    for (size_t i = 0; i < busy->steps; i++) {
        random = random * 1664525 + 1013904223;
        size_t bytes = random >> 8 & 0xff;
        bytes = bytes < 8 ? 3 * MIB : bytes < 32 ? bytes * 4 * KIB : bytes * 8;
        void *block = core_malloc(fixture->core, heap, bytes);
        if (block != NULL && (random >> 16 & 3) == 0) {
            void *resized = core_realloc(fixture->core, heap, block, bytes + bytes / 2);
            block = resized != NULL ? resized : block;
        }
        block = atomic_exchange(&busy->shared[random >> 24 & 63], block);
        if (block != NULL) {
            core_free(fixture->core, heap, block);
        }
        if (i % 1000 == 999) {
            core_detach(fixture->core, heap);
            heap = core_attach(fixture->core);
        }
    }
    core_detach(fixture->core, heap);
    return NULL;
}

static void *watch(void *argument)
{
    struct busy *busy = argument;
    while (!atomic_load(&busy->stop)) {
        struct observation seen;
        observe_take(busy->fixture->core, &seen);
        check_row(&seen.all);
        cr_assert_leq(seen.all.live, seen.stats.live);
    }
    return NULL;
}

Test(observe_stats, may_be_taken_while_other_threads_allocate, .timeout = 100)
{
    struct busy *busy = calloc(1, sizeof(*busy));
    pthread_t thread[THREADS];
    pthread_t watcher;
    struct observation seen;
    busy->fixture = fixture_make();
    busy->steps = test_scale(100000);
    pthread_create(&watcher, NULL, watch, busy);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&thread[i], NULL, work, busy);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    atomic_store(&busy->stop, true);
    pthread_join(watcher, NULL);
    size_t live = 0;
    for (int i = 0; i < 64; i++) {
        void *block = atomic_load(&busy->shared[i]);
        live += block != NULL ? fixture_usable(busy->fixture, block) : 0;
    }
    fixture_observe(busy->fixture, &seen);
    cr_assert_eq(seen.stats.live, live);
    cr_assert_eq(seen.stats.cached, 0);
    cr_assert_gt(seen.stats.remote_frees, 0);
    fixture_drop(busy->fixture);
    free(busy);
}
