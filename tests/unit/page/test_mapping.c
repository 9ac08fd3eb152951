#include "support/page_suite.h"

TestSuite(mapping, .init = setup, .fini = teardown);

static void map_alloc(struct span *span, size_t bytes, size_t align)
{
    cr_assert(mapping_alloc(&f->heap, span, bytes, align));
    cr_assert_eq(span->addr % align, 0);
    cr_assert_eq(span->kind, SPAN_OWN);
}

Test(mapping, a_block_is_a_mapping)
{
    size_t mapped = f->fake.mapped;
    map_alloc(&a, 3 * MIB + 1, PAGE);
    cr_assert_eq(a.bytes, 3 * MIB + PAGE);
    cr_assert(a.zero && span_is_zero(&a));
    cr_assert_eq(fixture_stats(f).own, a.bytes);
    cr_assert_eq(fixture_stats(f).from_map, 0, "counted apart");
    cr_assert_eq(pagemap_get(&f->map, a.addr), &a);
    cr_assert_eq(pagemap_get(&f->map, span_end(&a) - 1), &a);
    cr_assert_gt(f->fake.mapped, mapped + a.bytes);
    cr_assert_eq(fake_os_break_bytes(&f->fake), 0);
    mapping_free(&f->heap, &a);
    cr_assert_eq(a.kind, SPAN_NONE);
}

Test(mapping, alignment_leaves_no_slack)
{
    map_alloc(&a, PAGE, PAGE);
    size_t leaves = f->fake.calls[FAKE_HUGE];
    size_t mapped = f->fake.mapped;
    map_alloc(&b, MIB, 8 * MIB);
    leaves = f->fake.calls[FAKE_HUGE] - leaves;
    cr_assert_eq(f->fake.mapped, mapped + MIB + leaves * sizeof(struct pagemap_leaf));
    cr_assert_not(mapping_alloc(&f->heap, &a, PAGE, (size_t)1 << 62));
}

Test(mapping, a_freed_mapping_is_kept_and_serves_again)
{
    map_alloc(&b, MIB, PAGE);
    map_alloc(&a, MIB, PAGE);
    memset(span_memory(&a), 1, a.bytes);
    uintptr_t addr = a.addr;
    mapping_free(&f->heap, &b);
    pageheap_trim(&f->heap, 0);
    mapping_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).own_cached, MIB);
    cr_assert_eq(pagemap_get(&f->map, addr)->kind, SPAN_KEPT);
    map_alloc(&a, 700 * KIB, PAGE);
    cr_assert_neq(a.addr, addr, "less than 3/4 of it");
    map_alloc(&b, 800 * KIB, PAGE);
    cr_assert_eq(b.addr, addr);
    cr_assert_eq(b.bytes, MIB);
    cr_assert_not(b.zero);
    cr_assert_eq(fixture_stats(f).own_cached, 0);
    cr_assert_eq(fixture_stats(f).reused_dirty, MIB);
}

Test(mapping, what_is_kept_goes_before_more_is_held)
{
    map_alloc(&a, MIB, PAGE);
    mapping_free(&f->heap, &a);
    map_alloc(&a, 700 * KIB, PAGE);
    cr_assert_eq(fixture_stats(f).own_cached, 0);
    map_alloc(&b, MIB, PAGE);
    mapping_free(&f->heap, &b);
    size_t held = f->heap.held_most;
    cr_assert(mapping_resize(&f->heap, &a, 900 * KIB));
    cr_assert_eq(fixture_stats(f).own_cached, 0);
    cr_assert_eq(f->heap.held_most, held);
}

Test(mapping, the_closest_kept_mapping_serves)
{
    static struct span span[3];
    size_t bytes[] = {300 * KIB, 256 * KIB, 320 * KIB};
    for (int i = 0; i < 3; i++) {
        map_alloc(&span[i], bytes[i], PAGE);
    }
    uintptr_t addr = span[1].addr;
    for (int i = 0; i < 3; i++) {
        mapping_free(&f->heap, &span[i]);
    }
    map_alloc(&a, 250 * KIB, PAGE);
    cr_assert_eq(a.addr, addr);
}

Test(mapping, kept_mappings_age)
{
    map_alloc(&a, MIB, PAGE);
    mapping_free(&f->heap, &a);
    size_t mapped = f->fake.mapped;
    f->fake.now_ms += 500;
    cr_assert(pageheap_pending(&f->heap));
    pageheap_tick(&f->heap);
    cr_assert_eq(fixture_stats(f).own_cached, 0);
    cr_assert_eq(f->fake.mapped, mapped - MIB);
    cr_assert_eq(f->heap.source.mappings, 0);
}

Test(mapping, the_bound_counts_kept_mappings)
{
    map_alloc(&a, 600 * KIB, PAGE);
    map_alloc(&b, 600 * KIB, PAGE);
    mapping_free(&f->heap, &a);
    mapping_free(&f->heap, &b);
    cr_assert_eq(fixture_stats(f).own_cached, 600 * KIB);
    map_alloc(&a, 600 * KIB, PAGE);
    cr_assert_eq(a.zero, false);
}

Test(mapping, a_loop_over_the_bound_learns_to_keep)
{
    for (int i = 0; i < 10; i++) {
        map_alloc(&a, 64 * MIB, PAGE);
        mapping_free(&f->heap, &a);
    }
    cr_assert_leq(fixture_stats(f).grows, 2);
    cr_assert_eq(fixture_stats(f).hold, 64 * MIB);
    f->fake.now_ms += 500;
    pageheap_tick(&f->heap);
    cr_assert_eq(fixture_stats(f).own_cached, 0);
}

Test(mapping, resizing_keeps_the_contents)
{
    map_alloc(&a, MIB, PAGE);
    span_mark(&a, 0, PAGE, 42);
    cr_assert(mapping_resize(&f->heap, &a, 40 * MIB));
    cr_assert_eq(a.bytes, 40 * MIB);
    cr_assert(span_marked(&a, MIB, PAGE, 42));
    cr_assert(mapping_resize(&f->heap, &a, MIB / 2 - 1));
    cr_assert_eq(a.bytes, MIB / 2);
    cr_assert(span_marked(&a, MIB / 2, PAGE, 42));
    cr_assert_eq(fixture_stats(f).own, MIB / 2);
    cr_assert(mapping_resize(&f->heap, &a, MIB / 2));
    cr_assert_eq(pagemap_get(&f->map, span_end(&a) - 1), &a);
}

Test(mapping, growing_to_768_mib_asks_the_os_once_a_step)
{
    map_alloc(&a, 4 * MIB, PAGE);
    size_t calls = f->fake.all_calls;
    for (size_t bytes = 8 * MIB; bytes <= 768 * MIB; bytes += 4 * MIB) {
        cr_assert(mapping_resize(&f->heap, &a, bytes));
        *(char *)(span_end(&a) - 1) = 1;
    }
    cr_assert_leq(f->fake.all_calls - calls, 191u + 16, "one remap a step, a few leaves");
    mapping_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).own_cached, 0);
}

Test(mapping, a_refused_resize_changes_nothing)
{
    map_alloc(&a, MIB, PAGE);
    span_mark(&a, 0, PAGE, 42);
    fake_os_refuse_kind(&f->fake, FAKE_REMAP, true);
    cr_assert_not(mapping_resize(&f->heap, &a, 2 * MIB));
    cr_assert_not(mapping_resize(&f->heap, &a, MIB / 2));
    cr_assert_not(mapping_resize(&f->heap, &a, SIZE_MAX));
    cr_assert_eq(a.bytes, MIB);
    cr_assert(span_marked(&a, MIB, PAGE, 42));
    cr_assert_eq(pagemap_get(&f->map, a.addr), &a);
    pageheap_verify(&f->heap);
}

Test(mapping, a_block_that_moved_to_new_leaves_is_found)
{
    map_alloc(&a, 4 * MIB, PAGE);
    /* The first growth fills the stock, and takes from it where it happens to need a leaf itself. */
    for (size_t bytes = 8 * MIB; f->heap.stock.leaf[0] == NULL || f->heap.stock.leaf[1] == NULL;
         bytes += MIB) {
        cr_assert(mapping_resize(&f->heap, &a, bytes));
    }
    fake_os_refuse_kind(&f->fake, FAKE_MAP, true);
    cr_assert(mapping_resize(&f->heap, &a, 1536 * MIB), "leaves are in stock");
    cr_assert_eq(pagemap_get(&f->map, a.addr), &a);
    cr_assert_eq(pagemap_get(&f->map, span_end(&a) - 1), &a);
    pageheap_verify(&f->heap);
}

Test(mapping, a_resize_without_leaves_in_stock_is_refused)
{
    map_alloc(&a, MIB, PAGE);
    fake_os_refuse_kind(&f->fake, FAKE_MAP, true);
    cr_assert_not(mapping_resize(&f->heap, &a, 2 * MIB));
    cr_assert_eq(f->fake.calls[FAKE_REMAP], 0);
    cr_assert_eq(a.bytes, MIB);
    pageheap_verify(&f->heap);
}

Test(mapping, a_mapping_without_a_leaf_is_given_back)
{
    map_alloc(&a, MIB, PAGE);
    size_t leaves = f->fake.calls[FAKE_HUGE];
    size_t mapped = f->fake.mapped;
    fake_os_limit(&f->fake, mapped + fake_os_break_bytes(&f->fake) + 1536 * MIB);
    cr_assert_not(mapping_alloc(&f->heap, &b, 1536 * MIB, PAGE), "no room for the leaf of one end");
    cr_assert_eq(f->fake.mapped, mapped + (f->fake.calls[FAKE_HUGE] - leaves) * sizeof(struct pagemap_leaf));
    cr_assert_eq(fixture_stats(f).own, MIB);
}

Test(mapping, a_refused_unmap_keeps_it)
{
    map_alloc(&a, 8 * MIB, PAGE);
    fake_os_refuse_kind(&f->fake, FAKE_UNMAP, true);
    mapping_free(&f->heap, &a);
    cr_assert_eq(a.kind, SPAN_NONE);
    cr_assert_eq(fixture_stats(f).own_cached, 8 * MIB);
    fake_os_refuse_kind(&f->fake, FAKE_UNMAP, false);
    pageheap_trim(&f->heap, 0);
    cr_assert_eq(fixture_stats(f).own_cached, 0);
}

Test(mapping, a_huge_mapping_needs_leaves_for_its_ends_only)
{
    map_alloc(&a, (size_t)3 << 30, PAGE);
    cr_assert_leq(f->fake.calls[FAKE_HUGE], 2);
}

Test(mapping, find_looks_inside)
{
    map_alloc(&a, 64 * MIB, PAGE);
    map_alloc(&b, MIB, PAGE);
    cr_assert_eq(mapping_find(&f->heap, a.addr + 40 * MIB), &a);
    cr_assert_eq(mapping_find(&f->heap, span_end(&b) - 1), &b);
    cr_assert_null(mapping_find(&f->heap, 1));
    mapping_free(&f->heap, &b);
    cr_assert_null(mapping_find(&f->heap, b.addr));
}

Test(mapping, too_many_mappings_are_refused)
{
    f->heap.source.mappings = SOURCE_MAPPINGS_MAX;
    cr_assert_not(mapping_alloc(&f->heap, &a, MIB, PAGE));
    cr_assert(pageheap_alloc(&f->heap, &a, MIB, PAGE, SPAN_LARGE), "the page heap still serves");
}

Test(mapping, large_pages, .init = NULL)
{
    f = fixture_make(&fixture_options, 0, 64 * KIB);
    map_alloc(&a, MIB + 1, 256 * KIB);
    cr_assert_eq(a.bytes, MIB + 64 * KIB);
    memset(span_memory(&a), 1, a.bytes);
    cr_assert(mapping_resize(&f->heap, &a, 3 * MIB));
    pageheap_verify(&f->heap);
}
