#include "support/growing_fixture.h"

static struct growing_fixture fixture;
static struct hm_heap *heap;
static struct mlarges *larges;

static void setup(void)
{
    growing_fixture_init(&fixture, 1);
    heap = growing_fixture_heap(&fixture, NULL);
    larges = &growing_of(heap)->larges;
}

static void teardown(void)
{
    growing_fixture_end(&fixture, heap);
}

TestSuite(mlarge, .init = setup, .fini = teardown);

Test(mlarge, pages_are_exactly_those_of_the_block)
{
    hm_handle a = g_alloc(heap, 100 * KIB + 1);
    struct mlarge *large = mlarges_find(larges, (uintptr_t)hm_deref(heap, a));
    cr_assert_not_null(large);
    cr_assert_eq(large->span.bytes, 104 * KIB);
    cr_assert_eq(atomic_load(&large->size), 100 * KIB + 1);
    cr_assert_null(mlarges_find(larges, large->span.addr + 4096));
    cr_assert_eq(mlarges_around(larges, large->span.addr + 5000), large);
    cr_assert_null(mlarges_around(larges, large->span.addr + 104 * KIB));
    cr_assert_null(mlarges_around(larges, (uintptr_t)&a));
    cr_assert_eq(larges->bytes, 104 * KIB);
    g_free(heap, a);
    cr_assert_eq(larges->bytes, 0);
    cr_assert_eq(larges->count, 0);
}

/* Each block that gets a slot asks this: it would make threads wait for each other. */
Test(mlarge, addresses_far_from_all_blocks_take_no_lock, .timeout = 10)
{
    hm_handle a = g_alloc(heap, 100 * KIB);
    const struct mlarge *large = mlarges_find(larges, (uintptr_t)hm_deref(heap, a));
    lock_acquire(&larges->set->lock);
    cr_assert_null(mlarges_around(larges, (uintptr_t)&a));
    cr_assert_null(mlarges_around(larges, large->span.addr - 1));
    cr_assert_null(mlarges_around(larges, span_end(&large->span)));
    lock_release(&larges->set->lock);
    g_free(heap, a);
}

Test(mlarge, growing_moves_pages_not_bytes)
{
    hm_handle a = g_alloc(heap, 4 * MIB);
    g_fill(hm_deref(heap, a), 4 * MIB, 3);
    hm_handle b = g_alloc(heap, 4 * MIB);
    size_t remaps = fixture.core.fake.calls[FAKE_REMAP];
    cr_assert_eq(heap->kind->resize(heap, a, 64 * MIB), MOVABLE_OK);
    cr_assert_eq(fixture.core.fake.calls[FAKE_REMAP], remaps + 1);
    cr_assert(g_filled(hm_deref(heap, a), 4 * MIB, 3));
    cr_assert_eq(heap->kind->resize(heap, a, 1 * MIB), MOVABLE_OK);
    cr_assert_eq(larges->bytes, 5 * MIB);
    cr_assert_eq(atomic_load(&growing_of(heap)->chunks.held), 5 * MIB);
    cr_assert(g_filled(hm_deref(heap, a), 1 * MIB, 3));
    g_free(heap, a);
    g_free(heap, b);
}

Test(mlarge, readers_keep_what_was_freed_and_resized)
{
    hm_handle a = g_alloc(heap, 1 * MIB);
    hm_handle b = g_alloc(heap, 1 * MIB);
    g_fill(hm_deref(heap, a), 1 * MIB, 1);
    g_fill(hm_deref(heap, b), 1 * MIB, 2);
    heap->kind->read_enter(heap);
    const void *old_a = hm_deref(heap, a);
    const void *old_b = hm_deref(heap, b);
    cr_assert_eq(heap->kind->resize(heap, a, 300 * KIB), MOVABLE_OK);
    cr_assert_eq(heap->kind->resize(heap, a, 8 * MIB), MOVABLE_OK);
    cr_assert_eq(g_free(heap, b), MOVABLE_OK);
    cr_assert(g_filled(old_a, 1 * MIB, 1));
    cr_assert(g_filled(old_b, 1 * MIB, 2));
    cr_assert(g_filled(hm_deref(heap, a), 300 * KIB, 1));
    cr_assert_geq(g_stats(heap).waiting_bytes, 2 * MIB);
    heap->kind->read_leave(heap);
    g_compact(heap);
    cr_assert_eq(g_stats(heap).waiting_bytes, 0);
    g_free(heap, a);
}

Test(mlarge, the_page_heap_serves_when_no_mapping_can_be_had)
{
    hm_handle first = g_alloc(heap, 100);
    g_free(heap, first);
    fake_os_refuse_kind(&fixture.core.fake, FAKE_MAP, true);
    hm_handle a = g_alloc(heap, 200 * KIB);
    cr_assert_neq(a, 0);
    struct mlarge *large = mlarges_find(larges, (uintptr_t)hm_deref(heap, a));
    cr_assert_eq(large->span.kind, SPAN_MOVABLE);
    g_fill(hm_deref(heap, a), 200 * KIB, 4);
    cr_assert_eq(heap->kind->resize(heap, a, 100 * KIB), MOVABLE_OK);
    cr_assert_eq(large->span.bytes, 100 * KIB);
    cr_assert_eq(heap->kind->resize(heap, a, 2 * MIB), MOVABLE_OK);
    cr_assert(g_filled(hm_deref(heap, a), 100 * KIB, 4));
    fake_os_refuse_kind(&fixture.core.fake, FAKE_MAP, false);
    g_free(heap, a);
}
