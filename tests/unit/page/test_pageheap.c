#include "support/page_suite.h"

TestSuite(pageheap, .init = setup, .fini = teardown);

Test(pageheap, both_ends_of_a_span_lead_to_it)
{
    fixture_alloc(f, &a, 5 * PAGE - 1, 1);
    cr_assert_eq(a.bytes, 5 * PAGE);
    cr_assert_eq(pagemap_get(&f->map, a.addr), &a);
    cr_assert_eq(pagemap_get(&f->map, span_end(&a) - 1), &a);
    cr_assert_null(pagemap_get(&f->map, a.addr + 2 * PAGE));
    pageheap_free(&f->heap, &a);
    cr_assert_eq(a.kind, SPAN_NONE);
    cr_assert_neq(pagemap_get(&f->map, a.addr), &a);
}

Test(pageheap, extending_takes_what_is_behind)
{
    fixture_alloc(f, &a, 2 * PAGE, PAGE);
    fixture_alloc(f, &b, 2 * PAGE, PAGE);
    fixture_alloc(f, &c, 2 * PAGE, PAGE);
    span_mark(&a, 0, PAGE, 42);
    cr_assert_not(pageheap_extend(&f->heap, &a, 3 * PAGE), "b is in the way");
    pageheap_free(&f->heap, &b);
    cr_assert(pageheap_extend(&f->heap, &a, 2 * PAGE + 1));
    cr_assert_eq(a.bytes, 3 * PAGE);
    cr_assert_not(pageheap_extend(&f->heap, &a, 5 * PAGE), "c is in the way");
    cr_assert_eq(a.bytes, 3 * PAGE);
    cr_assert(pageheap_extend(&f->heap, &a, PAGE), "it has that already");
    cr_assert_eq(a.bytes, 3 * PAGE);
    cr_assert(span_marked(&a, 2 * PAGE, PAGE, 42));
    cr_assert_eq(pagemap_get(&f->map, a.addr + PAGE), NULL);
    cr_assert(pageheap_extend(&f->heap, &c, 10 * MIB), "from the break");
    cr_assert_eq(c.bytes, 10 * MIB);
    pageheap_verify(&f->heap);
}

Test(pageheap, shrinking_gives_the_end_back)
{
    fixture_alloc(f, &a, 10 * PAGE, PAGE);
    fixture_alloc(f, &b, PAGE, PAGE);
    span_mark(&a, 0, PAGE, 42);
    pageheap_shrink(&f->heap, &a, 3 * PAGE + 1);
    cr_assert_eq(a.bytes, 4 * PAGE);
    cr_assert_eq(fixture_stats(f).dirty, 6 * PAGE);
    pageheap_shrink(&f->heap, &a, 4 * PAGE);
    cr_assert_eq(a.bytes, 4 * PAGE);
    fixture_alloc(f, &c, 6 * PAGE, PAGE);
    cr_assert_eq(c.addr, span_end(&a));
    cr_assert(span_marked(&a, 4 * PAGE, PAGE, 42));
    cr_assert_eq(pagemap_get(&f->map, span_end(&a) - 1), &a);
}

Test(pageheap, a_shrunk_span_leaves_no_entry_inside_the_run_behind)
{
    fixture_alloc(f, &a, 10 * PAGE, PAGE);
    fixture_alloc(f, &b, 10 * PAGE, PAGE);
    fixture_alloc(f, &c, PAGE, PAGE);
    uintptr_t last = span_end(&a) - 1;
    pageheap_free(&f->heap, &b);
    pageheap_shrink(&f->heap, &a, PAGE);
    pageheap_verify(&f->heap);
    cr_assert_eq(f->heap.dirty.count, 1);
    cr_assert_null(pagemap_get(&f->map, last));
}

Test(pageheap, memory_under_a_limit_is_found_again)
{
    struct pageheap_options options = fixture_options;
    options.dirty_floor = 64 * MIB;
    pageheap_options_set(&f->heap, &options);
    fixture_alloc(f, &a, MIB, PAGE);
    fixture_alloc(f, &b, 8 * MIB, PAGE);
    size_t leaf = sizeof(struct pagemap_leaf);
    fake_os_limit(&f->fake, f->fake.mapped + fake_os_break_bytes(&f->fake) + leaf + 64 * KIB);
    cr_assert_not(pageheap_alloc(&f->heap, &c, 8 * MIB, PAGE, SPAN_LARGE));
    pageheap_verify(&f->heap);
    pageheap_free(&f->heap, &b);
    cr_assert(mapping_alloc(&f->heap, &c, 8 * MIB, PAGE), "the top of the break makes room for it");
    mapping_free(&f->heap, &c);
    cr_assert_eq(fixture_stats(f).own_cached, 8 * MIB);
    fixture_alloc(f, &d, 8 * MIB, PAGE);
    pageheap_verify(&f->heap);
}

Test(pageheap, freeing_needs_no_memory_for_descriptors)
{
    static struct span span[3000];
    for (size_t i = 0; i < 3000; i++) {
        fixture_alloc(f, &span[i], PAGE, PAGE);
    }
    fake_os_refuse_kind(&f->fake, FAKE_RESERVE, true);
    fake_os_refuse_kind(&f->fake, FAKE_MAP, true);
    f->meta.left = 0;
    for (size_t i = 0; i < 3000; i += 2) {
        pageheap_free(&f->heap, &span[i]);
    }
    struct pageheap_stats stats = fixture_stats(f);
    cr_assert_eq(stats.live, 1500 * PAGE);
}

Test(pageheap, pages_purged_by_their_user_are_clean)
{
    const struct os *os = &f->fake.os;
    fixture_alloc(f, &a, 64 * PAGE, PAGE);
    fixture_alloc(f, &b, PAGE, PAGE);
    fixture_alloc(f, &c, 64 * PAGE, PAGE);
    size_t clean = f->heap.clean.bytes;
    cr_assert(os->purge(os, span_memory(&a), a.bytes));
    pageheap_free_clean(&f->heap, &a);
    cr_assert_eq(a.kind, SPAN_NONE);
    cr_assert_eq(f->heap.dirty.bytes, 0);
    cr_assert_eq(f->heap.clean.bytes, clean + 64 * PAGE);
    cr_assert_eq(fixture_stats(f).live, 65 * PAGE);
    fixture_alloc(f, &a, 64 * PAGE, PAGE);
    cr_assert(a.zero);
    /* On top of the break, it is lowered. */
    cr_assert(os->purge(os, span_memory(&c), c.bytes));
    size_t trims = f->heap.stats.trims;
    pageheap_free_clean(&f->heap, &c);
    cr_assert_eq(fixture_stats(f).trims, trims + 1);
}
