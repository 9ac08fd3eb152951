#define _GNU_SOURCE 1

#include <pthread.h>
#include <unistd.h>

#include "movable/spare.h"
#include "support/assert_panic.h"
#include "support/growing_fixture.h"

static struct growing_fixture fixture;
static struct hm_heap *heap;

static void setup(void)
{
    growing_fixture_init(&fixture, 2);
    heap = growing_fixture_heap(&fixture, NULL);
}

static void teardown(void)
{
    growing_fixture_end(&fixture, heap);
}

TestSuite(growing, .init = setup, .fini = teardown);

Test(growing, handles_name_blocks)
{
    hm_handle a = g_alloc(heap, 100);
    hm_handle b = g_alloc(heap, 0);
    cr_assert(a != 0 && b != 0 && a != b);
    g_fill(g_pin(heap, a), 100, 1);
    cr_assert_eq(g_size(heap, a), 100);
    cr_assert_eq(g_size(heap, b), 0);
    cr_assert_eq((uintptr_t)hm_deref(heap, a) % 16, 0);
    cr_assert_neq(hm_deref(heap, a), hm_deref(heap, b));
    cr_assert_eq(g_free(heap, a), MOVABLE_BUSY);
    cr_assert(g_filled(hm_deref(heap, a), 100, 1));
    g_unpin(heap, a);
    cr_assert_eq(g_free(heap, a), MOVABLE_OK);
    cr_assert_eq(g_free(heap, a), MOVABLE_STALE);
    cr_assert_null(hm_deref(heap, a));
    cr_assert_eq(g_size(heap, a), SIZE_MAX);
    cr_assert_eq(g_free(heap, b), MOVABLE_OK);
}

Test(growing, foreign_handles_are_stale)
{
    hm_handle a = g_alloc(heap, 10);
    cr_assert_eq(g_free(heap, a + ((uint64_t)1 << 54)), MOVABLE_STALE);
    cr_assert_eq(g_free(heap, a + ((uint64_t)1 << 32)), MOVABLE_STALE);
    cr_assert_eq(g_free(heap, a | 1), MOVABLE_STALE);
    cr_assert_eq(g_free(heap, a | UINT32_MAX), MOVABLE_STALE);
    cr_assert_eq(heap->kind->resize(heap, a + ((uint64_t)1 << 32), 5), MOVABLE_STALE);
    cr_assert_eq(g_free(heap, a), MOVABLE_OK);
}

Test(growing, calloc_is_zero_in_reused_memory)
{
    for (size_t size = 1; size < 300 * KIB; size = size * 3 + 1) {
        hm_handle a = g_alloc(heap, size);
        memset(hm_deref(heap, a), 0xff, size);
        g_free(heap, a);
        hm_handle b;
        cr_assert_eq(heap->kind->alloc(heap, size, true, &b), MOVABLE_OK);
        const char *block = hm_deref(heap, b);
        cr_assert(block[0] == 0 && memcmp(block, block + 1, size - 1) == 0);
        g_free(heap, b);
    }
}

Test(growing, resize_keeps_contents_and_handle)
{
    static const size_t sizes[] = {10,        500,      501, 64 * KIB, 65 * KIB, 1 * MIB,  3 * MIB,
                                   200 * KIB, 64 * KIB, 100, 20,       0,        90 * KIB, 1};
    hm_handle a = g_alloc(heap, 10);
    size_t size = 10;
    g_fill(hm_deref(heap, a), size, 5);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cr_assert_eq(heap->kind->resize(heap, a, sizes[i]), MOVABLE_OK);
        size = size < sizes[i] ? size : sizes[i];
        cr_assert_eq(g_size(heap, a), sizes[i]);
        cr_assert(g_filled(hm_deref(heap, a), size, 5), "%zu", sizes[i]);
        size = sizes[i];
        g_fill(hm_deref(heap, a), size, 5);
        heap->kind->verify(heap);
    }
    g_pin(heap, a);
    cr_assert_eq(heap->kind->resize(heap, a, 5), MOVABLE_BUSY);
    cr_assert_eq(heap->kind->resize(heap, a, 5 * MIB), MOVABLE_BUSY);
    heap->kind->verify(heap);
    g_unpin(heap, a);
    cr_assert_eq(g_free(heap, a), MOVABLE_OK);
}

Test(growing, read_sections_see_blocks_as_they_were)
{
    hm_handle a = g_alloc(heap, 1000);
    hm_handle b = g_alloc(heap, 1000);
    g_fill(hm_deref(heap, a), 1000, 1);
    g_fill(hm_deref(heap, b), 1000, 2);
    heap->kind->read_enter(heap);
    const void *old_a = hm_deref(heap, a);
    const void *old_b = hm_deref(heap, b);
    cr_assert_eq(heap->kind->resize(heap, a, 100), MOVABLE_OK);
    cr_assert_eq(g_free(heap, b), MOVABLE_OK);
    for (size_t i = 0; i < 5000; i++) {
        memset(hm_deref(heap, g_alloc(heap, 1000)), 0, 1000);
    }
    cr_assert(g_filled(old_a, 1000, 1));
    cr_assert(g_filled(old_b, 1000, 2));
    heap->kind->read_leave(heap);
    cr_assert(g_filled(hm_deref(heap, a), 100, 1));
    heap->kind->read_synchronize(heap);
}

static struct reader *no_reader(void)
{
    return NULL;
}

static void *stay_inside(void *inside)
{
    heap->kind->read_enter(heap);
    atomic_store((atomic_bool *)inside, true);
    usleep(20000);
    atomic_store((atomic_bool *)inside, false);
    heap->kind->read_leave(heap);
    return NULL;
}

Test(growing, a_thread_without_a_record_waits_for_others_only, .timeout = 20)
{
    static atomic_bool inside;
    pthread_t thread;
    fixture.env.reader = no_reader;
    heap->kind->read_enter(heap);
    heap->kind->read_enter(heap);
    heap->kind->read_synchronize(heap);
    pthread_create(&thread, NULL, stay_inside, &inside);
    while (!atomic_load(&inside)) {
        usleep(100);
    }
    heap->kind->read_synchronize(heap);
    cr_assert_not(atomic_load(&inside));
    pthread_join(thread, NULL);
    heap->kind->read_leave(heap);
    heap->kind->read_synchronize(heap);
    heap->kind->read_leave(heap);
    cr_assert_eq(atomic_load(&fixture.readers.crowd), 0);
}

static void leave(void *unused)
{
    (void)unused;
    heap->kind->read_leave(heap);
}

Test(growing, a_section_is_left_as_often_as_entered)
{
    assert_panic(leave, NULL, "hm_read_leave in heap 7 (unnamed): no read section is open");
    heap->kind->read_enter(heap);
    heap->kind->read_enter(heap);
    leave(NULL);
    leave(NULL);
    assert_panic(leave, NULL, "hm_read_leave in heap 7 (unnamed): no read section is open");
}

Test(growing, sections_are_left_where_they_were_counted)
{
    fixture.env.reader = no_reader;
    heap->kind->read_enter(heap);
    heap->kind->read_enter(heap);
    fixture.env.reader = growing_fixture_self;
    heap->kind->read_enter(heap);
    leave(NULL);
    leave(NULL);
    cr_assert_eq(atomic_load(&fixture.readers.crowd), 1);
    /* In a child of fork there is no crowd, but its thread may leave it. */
    readers_fork_child(&fixture.readers, growing_fixture_self());
    leave(NULL);
    assert_panic(leave, NULL, "no read section is open");
}

static void *leave_as_another(void *unused)
{
    leave(unused);
    return NULL;
}

Test(growing, a_thread_without_a_record_leaves_no_section_of_others)
{
    pthread_t thread;
    fixture.env.reader = no_reader;
    heap->kind->read_enter(heap);
    pthread_create(&thread, NULL, leave_as_another, NULL);
    pthread_join(thread, NULL);
    cr_assert_eq(atomic_load(&fixture.readers.crowd), 1);
    leave(NULL);
    cr_assert_eq(atomic_load(&fixture.readers.crowd), 0);
}

Test(growing, statistics_count_blocks)
{
    hm_handle a = g_alloc(heap, 20);
    hm_handle b = g_alloc(heap, 100 * KIB);
    struct hm_movable_stats stats = g_stats(heap);
    cr_assert_eq(stats.live_blocks, 2);
    cr_assert_eq(stats.live_bytes, 20 + 100 * KIB);
    cr_assert_eq(stats.granule_bytes, 32 + 100 * KIB);
    g_pin(heap, b);
    cr_assert_eq(g_stats(heap).pinned_blocks, 1);
    g_unpin(heap, b);
    g_free(heap, a);
    g_free(heap, b);
    stats = g_stats(heap);
    cr_assert_eq(stats.live_blocks, 0);
    cr_assert_eq(stats.live_bytes, 0);
    cr_assert_eq(stats.granule_bytes, 0);
}

Test(growing, compaction_empties_sparse_chunks)
{
    enum { COUNT = 100000 };
    hm_handle *handles = calloc(COUNT, sizeof *handles);
    for (size_t i = 0; i < COUNT; i++) {
        handles[i] = g_alloc(heap, 240);
        g_fill(hm_deref(heap, handles[i]), 240, i);
    }
    uint64_t random = 88172645463325252u;
    for (size_t i = 0; i < COUNT; i++) {
        if (g_random(&random) % 10 < 8) {
            cr_assert_eq(g_free(heap, handles[i]), MOVABLE_OK);
            handles[i] = 0;
        }
    }
    heap->kind->verify(heap);
    struct hm_compact_result result = g_compact(heap);
    heap->kind->verify(heap);
    struct hm_movable_stats stats = g_stats(heap);
    cr_assert(result.done);
    cr_assert_gt(result.moved_blocks, 10000);
    cr_assert_gt(result.released_bytes, 15 * MIB);
    cr_assert_leq(stats.held_bytes - stats.metadata_bytes, stats.granule_bytes + stats.granule_bytes / 20);
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert(handles[i] == 0 || g_filled(hm_deref(heap, handles[i]), 240, i));
    }
    free(handles);
}

/* A look takes no lane's lock, so it doesn't see what a lane knows alone. */
Test(growing, a_look_says_what_statistics_say_but_for_lanes)
{
    static hm_handle handles[4000];
    for (int i = 0; i < 4000; i++) {
        handles[i] = g_alloc(heap, 1000);
    }
    for (int i = 0; i < 4000; i += 3) {
        cr_assert_eq(g_free(heap, handles[i]), MOVABLE_OK);
    }
    g_alloc(heap, MIB);
    struct movable_view view;
    heap->kind->look(heap, &view);
    struct hm_movable_stats stats = g_stats(heap);
    cr_assert_gt(view.free_bytes, MIB);
    cr_assert_leq(view.free_bytes, stats.free_bytes);
    cr_assert_leq(stats.free_bytes - view.free_bytes, MIB + LANE_SPARES * SPARE_BYTES_MAX);
    cr_assert_leq(view.held_bytes, stats.held_bytes);
    cr_assert_leq(stats.held_bytes - view.held_bytes, MIB);
    evacuate_detach_locked(growing_of(heap));
    heap->kind->look(heap, &view);
    stats = g_stats(heap);
    cr_assert_eq(view.free_bytes, stats.free_bytes);
    cr_assert_eq(view.held_bytes, stats.held_bytes);
}

static size_t stirred(void)
{
    struct movable_view view;
    heap->kind->look(heap, &view);
    return view.stirred_bytes;
}

Test(growing, what_the_program_does_stirs_and_compaction_does_not)
{
    enum { BLOCKS = 16000, STRIDE = 1008, BYTES = BLOCKS * STRIDE };
    static hm_handle handles[BLOCKS];
    size_t before = stirred();
    for (int i = 0; i < BLOCKS; i++) {
        handles[i] = g_alloc(heap, 1000);
    }
    cr_assert_geq(stirred() - before, BYTES);
    cr_assert_leq(stirred() - before, BYTES + MIB);
    before = stirred();
    for (int i = 0; i < BLOCKS; i++) {
        cr_assert(i % 3 == 0 || g_free(heap, handles[i]) == MOVABLE_OK);
    }
    cr_assert_geq(stirred() - before, BYTES / 3 * 2 - BYTES / 16);
    cr_assert_leq(stirred() - before, BYTES / 3 * 2 + BYTES / 16);
    before = stirred();
    g_compact(heap);
    cr_assert_gt(g_stats(heap).moved_bytes, BYTES / 4);
    cr_assert_leq(stirred() - before + BYTES / 16, BYTES / 8);
}

Test(growing, the_block_made_last_makes_room_for_the_next_one)
{
    hm_handle first = g_alloc(heap, 1000);
    hm_handle second = g_alloc(heap, 1000);
    uintptr_t place = (uintptr_t)hm_deref(heap, second);
    cr_assert_eq(g_free(heap, second), MOVABLE_OK);
    second = g_alloc(heap, 2000);
    cr_assert_eq((uintptr_t)hm_deref(heap, second), place);
    heap->kind->read_enter(heap);
    cr_assert_eq(g_free(heap, second), MOVABLE_OK);
    second = g_alloc(heap, 2000);
    cr_assert_neq((uintptr_t)hm_deref(heap, second), place);
    heap->kind->read_leave(heap);
    cr_assert_eq(g_free(heap, first), MOVABLE_OK);
}
