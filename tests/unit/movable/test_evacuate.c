#include "support/assert_panic.h"
#include "support/child.h"
#include "support/growing_heap.h"

enum { COUNT = 20000, SIZE = 480 };

static hm_handle handles[COUNT];

/* Blocks in a row, of which every n-th stays. */
static void fill_sparsely(size_t n)
{
    for (size_t i = 0; i < COUNT; i++) {
        handles[i] = g_alloc(heap, SIZE);
        g_fill(hm_deref(heap, handles[i]), SIZE, i);
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (i % n != 0) {
            cr_assert_eq(g_free(heap, handles[i]), MOVABLE_OK);
            handles[i] = 0;
        }
    }
}

static bool contents_are_right(void)
{
    bool right = true;
    for (size_t i = 0; i < COUNT; i++) {
        right = right && (handles[i] == 0 || g_filled(hm_deref(heap, handles[i]), SIZE, i));
    }
    return right;
}

static void check_contents(void)
{
    cr_assert(contents_are_right());
}

static double waste(void)
{
    struct hm_movable_stats stats = g_stats(heap);
    return (double)(stats.held_bytes - stats.metadata_bytes) / (double)stats.granule_bytes;
}

Test(evacuate, everything_sparse_moves, .fini = teardown)
{
    use(NULL);
    fill_sparsely(5);
    cr_assert_gt(waste(), 4);
    size_t purged = fixture.core.fake.purged_bytes;
    struct hm_compact_result result = g_compact(heap);
    cr_assert(result.done);
    cr_assert_leq(waste(), 1.05);
    cr_assert_geq(fixture.core.fake.purged_bytes - purged, 7 * MIB);
    cr_assert_eq(result.skipped_pinned + result.skipped_vetoed + result.skipped_lost + result.skipped_slots,
                 0);
    check_contents();
}

Test(evacuate, what_is_dense_stays, .fini = teardown)
{
    use(NULL);
    for (size_t i = 0; i < COUNT; i++) {
        handles[i] = g_alloc(heap, SIZE);
    }
    cr_assert_eq(g_compact(heap).moved_blocks, 0);
}

static struct hm_compact_result tend(unsigned worth)
{
    struct hm_compact_result sum = {0};
    bool done = false;
    while (!done) {
        struct hm_compact_result result = heap->kind->tend(heap, (struct hm_budget){.bytes = MIB}, worth);
        sum.moved_bytes += result.moved_bytes;
        done = result.done;
    }
    return sum;
}

Test(evacuate, a_chunk_is_emptied_if_it_is_worth_it, .fini = teardown)
{
    use(NULL);
    fill_sparsely(2);
    cr_assert_eq(tend(60).moved_bytes, 0);
    cr_assert_gt(waste(), 1.8);
    cr_assert_gt(tend(40).moved_bytes, COUNT / 3 * SIZE);
    cr_assert_lt(waste(), 1.6, "%f", waste());
    check_contents();
}

Test(evacuate, budgets_are_kept, .fini = teardown)
{
    use(NULL);
    fill_sparsely(5);
    struct hm_compact_result result;
    size_t steps = 0;
    do {
        result = heap->kind->compact(heap, (struct hm_budget){.bytes = 10000}, true);
        cr_assert_leq(result.moved_bytes, 10000 + SIZE);
        heap->kind->verify(heap);
        steps++;
    } while (!result.done);
    cr_assert_geq(steps, COUNT / 5 * SIZE / (10000 + SIZE));
    /* The chunks that lanes have, and an empty one that is kept for them. */
    cr_assert_leq(waste(), 2, "%f", waste());
    cr_assert_geq(g_stats(heap).steps, steps);
    cr_assert_gt(g_stats(heap).longest_step_ns, 0);
    check_contents();
}

Test(evacuate, pinned_blocks_stay_and_the_pages_between_go, .fini = teardown)
{
    use(NULL);
    fill_sparsely(5);
    void *address[COUNT / 100];
    for (size_t i = 0; i < COUNT / 100; i++) {
        address[i] = g_pin(heap, handles[i * 100]);
    }
    struct hm_compact_result result = g_compact(heap);
    cr_assert_geq(result.skipped_pinned, COUNT / 100);
    cr_assert(result.done);
    cr_assert_eq(g_stats(heap).pinned_blocks, COUNT / 100);
    for (size_t i = 0; i < COUNT / 100; i++) {
        cr_assert_eq(hm_deref(heap, handles[i * 100]), address[i]);
    }
    check_contents();
    /* At most two pages a pin are held, whatever surrounds it. */
    cr_assert_leq(g_stats(heap).free_bytes, COUNT / 100 * 2 * 4096 + 64 * KIB);
    heap->kind->verify(heap);
    for (size_t i = 0; i < COUNT / 100; i++) {
        g_unpin(heap, handles[i * 100]);
    }
    g_compact(heap);
    check_contents();
}

static bool (*purge)(const struct os *os, void *addr, size_t bytes);
static size_t longest_purge;

static bool note_purge(const struct os *os, void *addr, size_t bytes)
{
    longest_purge = bytes > longest_purge ? bytes : longest_purge;
    return purge(os, addr, bytes);
}

Test(evacuate, no_call_takes_long, .fini = teardown)
{
    use(NULL);
    fill_sparsely(20);
    for (size_t i = 0; i < COUNT; i += 4000) {
        g_pin(heap, handles[i]);
    }
    purge = fixture.core.fake.os.purge;
    fixture.core.fake.os.purge = note_purge;
    longest_purge = 0;
    size_t purged = fixture.core.fake.purged_bytes;
    while (
        !heap->kind->compact(heap, (struct hm_budget){.bytes = 64 * KIB, .nanoseconds = 100000}, true).done) {
        heap->kind->verify(heap);
    }
    cr_assert_geq(fixture.core.fake.purged_bytes - purged, 4 * MIB);
    cr_assert_leq(longest_purge, 64 * KIB + 16 * KIB);
    check_contents();
    for (size_t i = 0; i < COUNT; i += 4000) {
        g_unpin(heap, handles[i]);
    }
}

static size_t asked;
static size_t moved;
static size_t wrong;
static bool agree;

static bool on_move(void *context, enum hm_move what, void *from, void *to, size_t size)
{
    wrong += context != &asked || size != SIZE || from == to;
    if (what == HM_MOVED) {
        moved++;
        wrong += memcmp(from, to, size) != 0;
    } else {
        asked++;
    }
    return agree && asked % 2 == 0;
}

Test(evacuate, on_move_is_asked_and_told, .fini = teardown)
{
    use(&(struct hm_movable_options){.on_move = on_move, .context = &asked});
    fill_sparsely(5);
    agree = false;
    struct hm_compact_result result = g_compact(heap);
    cr_assert_eq(result.moved_blocks, 0);
    cr_assert_eq(result.skipped_vetoed, asked);
    cr_assert_gt(asked, 0);
    agree = true;
    result = g_compact(heap);
    cr_assert_eq(result.moved_blocks, moved);
    cr_assert_gt(moved, 0);
    cr_assert_eq(wrong, 0);
    check_contents();
}

Test(evacuate, read_sections_keep_the_old_place, .fini = teardown)
{
    use(NULL);
    fill_sparsely(5);
    heap->kind->read_enter(heap);
    const void *old[COUNT / 5];
    for (size_t i = 0; i < COUNT / 5; i++) {
        old[i] = hm_deref(heap, handles[i * 5]);
    }
    size_t purged = fixture.core.fake.purged_bytes;
    struct hm_compact_result result = g_compact(heap);
    cr_assert_gt(result.moved_blocks, 0);
    cr_assert_gt(result.waiting_bytes, 5 * MIB);
    cr_assert_eq(fixture.core.fake.purged_bytes, purged);
    for (size_t i = 0; i < COUNT; i++) {
        hm_handle handle = g_alloc(heap, SIZE);
        memset(hm_deref(heap, handle), 0xee, SIZE);
        g_free(heap, handle);
    }
    for (size_t i = 0; i < COUNT / 5; i++) {
        cr_assert(g_filled(old[i], SIZE, i * 5));
    }
    heap->kind->read_leave(heap);
    g_compact(heap);
    cr_assert_leq(waste(), 1.1, "%f", waste());
    check_contents();
}

Test(evacuate, slots_move_when_they_may, .fini = teardown)
{
    static void *slot[COUNT];
    use(NULL);
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert_eq(heap->kind->slot_alloc(heap, &slot[i], SIZE), MOVABLE_OK);
        g_fill(slot[i], SIZE, i);
    }
    for (size_t i = 0; i < COUNT; i++) {
        hm_handle handle;
        cr_assert_eq(heap->kind->slot_find(heap, &slot[i], &handle), MOVABLE_OK);
        if (i % 5 != 0) {
            cr_assert_eq(g_free(heap, handle), MOVABLE_OK);
            cr_assert_null(slot[i]);
        }
    }
    struct hm_compact_result result;
    size_t skipped = 0;
    do {
        result = heap->kind->compact(heap, (struct hm_budget){.bytes = MIB}, false);
        cr_assert_eq(result.moved_blocks, 0);
        skipped += result.skipped_slots;
    } while (!result.done);
    cr_assert_gt(skipped, 0);
    void *lost = slot[500];
    slot[500] = NULL;
    cr_assert_eq(heap->kind->slot_check(heap), 1);
    result = g_compact(heap);
    cr_assert_geq(result.skipped_lost, 1);
    cr_assert_gt(result.moved_blocks, COUNT / 6);
    slot[500] = lost;
    cr_assert_eq(heap->kind->slot_check(heap), 0);
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert(slot[i] == NULL || g_filled(slot[i], SIZE, i));
        cr_assert(slot[i] == NULL || heap->kind->slot_of(heap, slot[i]) == &slot[i]);
    }
}

Test(evacuate, a_request_over_the_limit_compacts, .fini = teardown)
{
    use(&(struct hm_movable_options){.max_bytes = 12 * MIB});
    fill_sparsely(5);
    for (size_t i = 0; i < COUNT; i++) {
        if (handles[i] == 0 && i % 5 < 3) {
            handles[i] = g_alloc(heap, SIZE + 40);
            cr_assert_neq(handles[i], 0, "%zu", i);
            g_fill(hm_deref(heap, handles[i]), SIZE, i);
        }
    }
    hm_handle large = g_alloc(heap, 3 * MIB);
    cr_assert_neq(large, 0);
    g_free(heap, large);
    cr_assert_leq(atomic_load(&growing->chunks.held), 12 * MIB);
    check_contents();
    cr_assert_eq(g_alloc(heap, 12 * MIB), 0);
}

Test(evacuate, without_rescue_the_request_fails, .fini = teardown)
{
    use(&(struct hm_movable_options){.max_bytes = 12 * MIB, .flags = HM_MOVABLE_NO_RESCUE});
    fill_sparsely(5);
    cr_assert_eq(g_alloc(heap, 6 * MIB), 0);
    g_compact(heap);
    cr_assert_neq(g_alloc(heap, 6 * MIB), 0);
}

static void overflow(void *arg)
{
    (void)arg;
    hm_handle a = g_alloc(heap, 24);
    hm_handle b = g_alloc(heap, 24);
    memset(hm_deref(heap, a), 'x', 40);
    g_free(heap, b);
}

static void overflow_met_by_compaction(void *arg)
{
    (void)arg;
    fill_sparsely(5);
    memset(hm_deref(heap, handles[1000]), 'x', SIZE + 16);
    g_compact(heap);
}

Test(evacuate, overflows_are_noticed, .fini = teardown)
{
    use(NULL);
    assert_panic(overflow, NULL, "was overwritten, perhaps by the block before it");
    assert_panic(overflow_met_by_compaction, NULL, "was overwritten, perhaps by the block before it");
}

static void fork_inside(void *arg)
{
    (void)arg;
    heap->kind->fork_child(heap);
    bool before = contents_are_right();
    g_compact(heap);
    heap->kind->verify(heap);
    exit(before && contents_are_right() ? 7 : 1);
}

Test(evacuate, a_child_of_fork_goes_on, .fini = teardown)
{
    use(NULL);
    fill_sparsely(5);
    heap->kind->fork_prepare(heap);
    struct child child = child_run(fork_inside, NULL);
    heap->kind->fork_parent(heap);
    cr_assert_eq(child.code, 7, "%s", child.errors);
    g_compact(heap);
    check_contents();
}

Test(evacuate, a_heap_that_does_not_change_comes_to_rest, .fini = teardown)
{
    use(NULL);
    enum { BLOCKS = 12000 };
    uint64_t state = 1;
    for (size_t i = 0; i < BLOCKS; i++) {
        handles[i] = g_alloc(heap, 64 + g_random(&state) % 2000);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (g_random(&state) % 4 == 0) {
            cr_assert_eq(g_free(heap, handles[i]), MOVABLE_OK);
        }
    }
    struct hm_budget budget = {.bytes = 64 * KIB};
    while (!heap->kind->compact(heap, budget, false).done) {
    }
    size_t before = g_stats(heap).moved_bytes;
    cr_assert_gt(before, MIB);
    for (int i = 0; i < 200; i++) {
        cr_assert(heap->kind->compact(heap, budget, false).done);
    }
    cr_assert_eq(g_stats(heap).moved_bytes, before);
    cr_assert_eq(g_stats(heap).waiting_bytes, 0);
}

Test(evacuate, many_large_blocks_are_given_back_in_many_steps, .fini = teardown)
{
    use(NULL);
    enum { BLOCKS = 200 };
    for (size_t i = 0; i < BLOCKS; i++) {
        handles[i] = g_alloc(heap, 256 * KIB);
    }
    heap->kind->read_enter(heap);
    for (size_t i = 0; i < BLOCKS; i++) {
        cr_assert_eq(g_free(heap, handles[i]), MOVABLE_OK);
    }
    cr_assert_eq(g_stats(heap).waiting_bytes, BLOCKS * 256 * KIB);
    heap->kind->read_leave(heap);
    heap->kind->compact(heap, (struct hm_budget){.nanoseconds = 1}, false);
    cr_assert_gt(g_stats(heap).waiting_bytes, BLOCKS / 2 * 256 * KIB);
    g_compact(heap);
    cr_assert_eq(g_stats(heap).waiting_bytes, 0);
}
