#include "support/growing_heap.h"

TestSuite(reset, .fini = teardown, .timeout = 20);

Test(reset, nothing_is_left)
{
    static hm_handle handles[6000];
    static void *slots[10];
    use(NULL);
    for (size_t i = 0; i < 6000; i++) {
        handles[i] = g_alloc(heap, i % 1000 == 0 ? 100 * KIB : i % 700);
    }
    for (size_t i = 0; i < 10; i++) {
        cr_assert_eq(heap->kind->slot_alloc(heap, &slots[i], i < 9 ? 50 : MIB), MOVABLE_OK);
    }
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    struct hm_movable_stats stats = g_stats(heap);
    cr_assert(stats.live_blocks == 0 && stats.live_bytes == 0 && stats.granule_bytes == 0 &&
              stats.slots == 0);
    cr_assert_lt(stats.held_bytes - stats.metadata_bytes, 2 * MIB, "one empty chunk is kept");
    cr_assert_eq(growing->chunks.count, 1);
    cr_assert_eq(growing->larges.count, 0);
    heap->kind->verify(heap);
    for (size_t i = 0; i < 6000; i++) {
        cr_assert_null(hm_deref(heap, handles[i]));
        cr_assert_eq(g_free(heap, handles[i]), MOVABLE_STALE);
    }
    for (size_t i = 0; i < 10; i++) {
        cr_assert_null(slots[i]);
    }
    for (size_t i = 0; i < 6000; i++) {
        hm_handle handle = g_alloc(heap, 30);
        cr_assert(handle != 0 && handle != handles[i]);
    }
}

Test(reset, a_pinned_block_keeps_all)
{
    static hm_handle handles[100];
    static void *slot;
    use(NULL);
    for (size_t i = 0; i < 100; i++) {
        handles[i] = g_alloc(heap, 200);
        g_fill(hm_deref(heap, handles[i]), 200, i);
    }
    cr_assert_eq(heap->kind->slot_alloc(heap, &slot, 20), MOVABLE_OK);
    g_pin(heap, handles[60]);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_BUSY);
    heap->kind->verify(heap);
    for (size_t i = 0; i < 100; i++) {
        cr_assert(g_filled(hm_deref(heap, handles[i]), 200, i));
        cr_assert_not_null(g_pin(heap, handles[i]), "nobody moves it any more");
        g_unpin(heap, handles[i]);
    }
    cr_assert_not_null(slot);
    cr_assert_eq(g_stats(heap).live_blocks, 101);
    g_unpin(heap, handles[60]);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    cr_assert_null(slot);
}

Test(reset, variables_that_hold_something_else_are_left_alone)
{
    static void *slots[2];
    use(NULL);
    cr_assert_eq(heap->kind->slot_alloc(heap, &slots[0], 20), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_alloc(heap, &slots[1], 20), MOVABLE_OK);
    slots[0] = &heap;
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    cr_assert_eq(slots[0], &heap);
    cr_assert_null(slots[1]);
}

Test(reset, bytes_are_wiped_if_wanted)
{
    use(&(struct hm_movable_options){.flags = HM_MOVABLE_ZERO_ON_FREE});
    hm_handle handle = g_alloc(heap, 100);
    char *block = hm_deref(heap, handle);
    memset(block, 'x', 100);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    cr_assert_eq(growing->chunks.count, 1, "it is still there");
    cr_assert(block[0] == 0 && memcmp(block, block + 1, 99) == 0);
}

Test(reset, sections_keep_what_was_there)
{
    use(NULL);
    hm_handle small = g_alloc(heap, 100);
    hm_handle large = g_alloc(heap, MIB);
    heap->kind->read_enter(heap);
    char *a = hm_deref(heap, small);
    char *b = hm_deref(heap, large);
    g_fill(a, 100, 1);
    g_fill(b, MIB, 2);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    for (int i = 0; i < 500; i++) {
        memset(hm_deref(heap, g_alloc(heap, 3000)), 0, 3000);
    }
    memset(hm_deref(heap, g_alloc(heap, MIB)), 0, MIB);
    cr_assert(g_filled(a, 100, 1) && g_filled(b, MIB, 2));
    heap->kind->read_leave(heap);
}

Test(reset, a_heap_that_is_destroyed_leaves_no_memory_in_use)
{
    static void *slot;
    use(NULL);
    struct pageheap *pages = &growing->env->core->pages;
    struct pageheap_stats before;
    struct pageheap_stats after;
    pageheap_stats_get(pages, &before);
    struct hm_heap *other = growing_create(&fixture.env, 8, &(struct hm_movable_options){.name = "other"});
    cr_assert_not_null(other);
    for (size_t i = 0; i < 5000; i++) {
        cr_assert_neq(g_alloc(other, i), 0);
    }
    g_alloc(other, 3 * MIB);
    cr_assert_eq(other->kind->slot_alloc(other, &slot, 40), MOVABLE_OK);
    g_pin(other, g_alloc(other, 5));
    other->kind->destroy(other);
    cr_assert_null(slot);
    pageheap_stats_get(pages, &after);
    cr_assert_eq(after.live, before.live);
    cr_assert_eq(after.own, before.own);
}
