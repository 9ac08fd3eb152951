#include <pthread.h>

#include "movable/spare.h"
#include "support/assert_panic.h"
#include "support/growing_fixture.h"

static struct growing_fixture fixture;
static struct hm_heap *heap;
static size_t passed_on;

static void use(unsigned flags)
{
    struct hm_movable_options options = {.flags = flags};
    growing_fixture_init(&fixture, 2);
    heap = growing_fixture_heap(&fixture, &options);
    passed_on = 0;
}

static void teardown(void)
{
    growing_fixture_end(&fixture, heap);
}

TestSuite(fast, .fini = teardown);

static hm_handle pass_alloc(struct hm_heap *to, size_t size)
{
    passed_on++;
    return g_alloc_general(to, size);
}

static bool pass_free(struct hm_heap *to, hm_handle handle)
{
    passed_on++;
    return g_free_general(to, handle);
}

static hm_handle alloc(size_t size)
{
    return heap->kind->alloc_quick(heap, size, pass_alloc);
}

static bool release(hm_handle handle)
{
    return heap->kind->free_quick(heap, handle, pass_free);
}

static void expect_passed_on(size_t count)
{
    cr_assert_eq(passed_on, count, "%zu were passed on", passed_on);
    passed_on = 0;
}

static struct mentry *entry_of(hm_handle handle)
{
    return heap_entry(heap, handle);
}

static void check_most_calls(unsigned flags)
{
    static hm_handle handles[50];
    use(flags);
    handles[0] = alloc(100);
    expect_passed_on(1);
    for (size_t i = 1; i < 50; i++) {
        handles[i] = alloc(i * 7);
        g_fill(g_pin(heap, handles[i]), i * 7, i);
        g_unpin(heap, handles[i]);
    }
    heap->kind->verify(heap);
    for (size_t i = 1; i < 50; i++) {
        cr_assert_eq(g_size(heap, handles[i]), i * 7);
        cr_assert(g_filled(hm_deref(heap, handles[i]), i * 7, i));
    }
    for (size_t i = 0; i < 50; i++) {
        cr_assert(release(handles[i]));
    }
    expect_passed_on(0);
    struct hm_movable_stats stats = g_stats(heap);
    cr_assert(stats.live_blocks == 0 && stats.live_bytes == 0 && stats.granule_bytes == 0);
    cr_assert_not(release(handles[7]));
    cr_assert_eq(g_free_result, MOVABLE_STALE);
}

Test(fast, most_calls_are_quick)
{
    check_most_calls(0);
}

Test(fast, with_one_owner_too)
{
    check_most_calls(HM_MOVABLE_SINGLE_OWNER);
    cr_assert_eq(growing_of(heap)->lane_offsets, 0);
}

Test(fast, what_is_not_so_simple_is_passed_on)
{
    use(0);
    hm_handle small = alloc(20);
    passed_on = 0;
    hm_handle large = alloc(growing_of(heap)->small_bytes + 1);
    expect_passed_on(1);
    g_pin(heap, small);
    cr_assert_not(release(small));
    cr_assert_eq(g_free_result, MOVABLE_BUSY);
    g_unpin(heap, small);
    cr_assert_not(release(small + ENTRY_USES_OVER), "another heap's");
    cr_assert_not(release(small + (UINT64_C(1) << ENTRY_GENERATION)), "a later one");
    cr_assert_not(release(0));
    cr_assert_not(release(small | UINT32_MAX), "beyond the table");
    expect_passed_on(5);
    cr_assert(release(large));
    expect_passed_on(1);
    cr_assert(release(small));
    expect_passed_on(0);
}

Test(fast, the_last_use_of_an_entry_is_passed_on_and_retires_it)
{
    use(0);
    hm_handle handle = alloc(20);
    cr_assert(release(handle));
    struct mentry *entry = entry_of(handle);
    atomic_store(&entry->word, ENTRY_USES_LAST << ENTRY_GENERATION | ENTRY_FREE);
    passed_on = 0;
    hm_handle last = alloc(20);
    cr_assert_eq((uint32_t)last, (uint32_t)handle);
    cr_assert_eq(entry_uses(last), ENTRY_USES_LAST);
    cr_assert_eq(last >> ENTRY_NUMBER, heap->number);
    expect_passed_on(0);
    cr_assert(release(last));
    expect_passed_on(1);
    cr_assert_eq(entry_word(entry), ENTRY_RETIRED);
    cr_assert_neq((uint32_t)alloc(20), (uint32_t)handle);
}

Test(fast, tagged_and_wiped_blocks_are_freed_wholly)
{
    use(HM_MOVABLE_ZERO_ON_FREE);
    for (int tagged = 0; tagged <= 1; tagged++) {
        hm_handle handle = alloc(64);
        char *block = hm_deref(heap, handle);
        memset(block, 'x', 64);
        cr_assert_eq(heap->kind->tag(heap, handle, tagged ? "name" : NULL), MOVABLE_OK);
        passed_on = 0;
        cr_assert(release(handle));
        expect_passed_on(0);
        cr_assert(block[20] == 0 && memcmp(block + 20, block + 21, 43) == 0, "it is wiped");
    }
    struct hm_movable_stats stats = g_stats(heap);
    cr_assert(stats.live_blocks == 0 && stats.live_bytes == 0 && stats.granule_bytes == 0);
}

Test(fast, the_last_block_makes_room_unless_it_may_be_read)
{
    use(0);
    alloc(1000);
    struct lane *lane = block_lane(growing_of(heap));
    uintptr_t at = lane->at;
    cr_assert(release(alloc(1000)));
    cr_assert_eq(lane->at, at);
    cr_assert_geq(atomic_load(&lane->chunk->touched), at + 1008 - lane->base);
    cr_assert_eq(lane->spares.came, 0);
    heap->kind->read_enter(heap);
    heap->kind->read_leave(heap);
    cr_assert(release(alloc(1000)));
    cr_assert_eq(lane->at, at + 1008);
    cr_assert_eq(lane->spares.came, 1);
}

Test(fast, spare_places_serve_before_the_range_is_gone_on_with)
{
    use(0);
    hm_handle first = alloc(1000);
    struct lane *lane = block_lane(growing_of(heap));
    alloc(1000);
    uintptr_t place = (uintptr_t)hm_deref(heap, first);
    uintptr_t at = lane->at;
    cr_assert(release(first));
    cr_assert_eq(lane->end, at, "the next request asks for it");
    passed_on = 0;
    cr_assert_eq((uintptr_t)hm_deref(heap, alloc(1000)), place);
    cr_assert_eq((uintptr_t)hm_deref(heap, alloc(1000)), at + HEADER_BYTES);
    expect_passed_on(0);
}

/* Threads that meet */

static void *choose(void *arg)
{
    (void)arg;
    return block_lane(growing_of(heap));
}

static struct lane *lane_of_thread(void)
{
    pthread_t thread;
    void *lane;
    pthread_create(&thread, NULL, choose, NULL);
    pthread_join(thread, &lane);
    return lane;
}

Test(fast, threads_choose_lanes_in_turn)
{
    use(0);
    struct growing *growing = growing_of(heap);
    struct lane *mine = block_lane(growing);
    cr_assert_eq(block_lane(growing), mine, "once");
    cr_assert_gt(growing->lane_mask, 0);
    bool seen[GROWING_LANES_MAX] = {false};
    seen[mine - growing->lane] = true;
    for (unsigned i = 0; i < growing->lane_mask; i++) {
        struct lane *other = lane_of_thread();
        cr_assert_not(seen[other - growing->lane]);
        seen[other - growing->lane] = true;
    }
    cr_assert_eq(lane_of_thread(), mine);
}

static void *alloc_elsewhere(void *arg)
{
    hm_handle *handle = arg;
    *handle = alloc(50);
    cr_assert(release(alloc(50)));
    return NULL;
}

/* The lock of the lane that all begin with is held: who waited for it would wait for ever. */
Test(fast, who_finds_the_first_lane_locked_takes_another_one, .timeout = 20)
{
    use(0);
    if (HM_DEBUG) {
        cr_skip_test("debug builds wait, to check the order of locks");
    }
    struct growing *growing = growing_of(heap);
    alloc(10);
    cr_assert_eq(block_lane(growing), &growing->lane[0]);
    hm_handle handle;
    pthread_t thread;
    movable_lock(&growing->lane[0].lock, true);
    pthread_create(&thread, NULL, alloc_elsewhere, &handle);
    pthread_join(thread, NULL);
    movable_unlock(&growing->lane[0].lock, true);
    cr_assert_eq(g_size(heap, handle), 50);
}

/* What an overflow leaves in the header: other bits than before. */
static void overflow(void *arg)
{
    alloc(24);
    hm_handle handle = alloc(24);
    atomic_fetch_xor(header_of((uintptr_t)hm_deref(heap, handle)), *(const uint64_t *)arg);
    release(handle);
}

Test(fast, an_overflow_into_the_header_is_fatal)
{
    uint64_t wrong[] = {1, UINT64_C(1) << 48, HEADER_DEAD, HEADER_DEAD | UINT64_C(1) << 48};
    use(0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_panic(overflow, &wrong[i], "was overwritten, perhaps by the block before it");
    }
}
