#include "support/page_suite.h"

TestSuite(purge, .init = setup, .fini = teardown);

static void options_change(int64_t decay_ms, size_t dirty_floor, size_t trim_bytes)
{
    struct pageheap_options options = fixture_options;
    options.decay_ms = decay_ms;
    options.dirty_floor = dirty_floor;
    options.trim_bytes = trim_bytes;
    pageheap_options_set(&f->heap, &options);
}

/* A span of `bytes` with memory that stays in use above it, so that it isn't the top of the break. */
static void alloc_below_top(struct span *span, size_t bytes)
{
    static struct span top[8];
    static size_t used;
    fixture_alloc(f, span, bytes, PAGE);
    fixture_alloc(f, &top[used++], PAGE, PAGE);
}

Test(purge, runs_go_when_they_have_aged)
{
    alloc_below_top(&a, 512 * KIB);
    memset(span_memory(&a), 1, a.bytes);
    pageheap_free(&f->heap, &a);
    f->fake.now_ms += 499;
    cr_assert_not(pageheap_pending(&f->heap));
    pageheap_tick(&f->heap);
    cr_assert_eq(fixture_stats(f).dirty, 512 * KIB);
    f->fake.now_ms += 1;
    cr_assert(pageheap_pending(&f->heap));
    pageheap_tick(&f->heap);
    cr_assert_not(pageheap_pending(&f->heap));
    struct pageheap_stats stats = fixture_stats(f);
    cr_assert_eq(stats.dirty, 0);
    cr_assert_eq(stats.purges, 1);
    cr_assert_eq(stats.purged, 512 * KIB);
    cr_assert_eq(f->fake.purged_bytes, 512 * KIB);
    fixture_alloc(f, &b, 512 * KIB, PAGE);
    cr_assert(b.zero && span_is_zero(&b));
}

Test(purge, a_free_purges_what_has_aged)
{
    alloc_below_top(&a, 512 * KIB);
    alloc_below_top(&b, PAGE);
    pageheap_free(&f->heap, &a);
    f->fake.now_ms += 600;
    pageheap_free(&f->heap, &b);
    cr_assert_eq(fixture_stats(f).dirty, PAGE);
}

Test(purge, a_small_fresh_part_keeps_no_old_run)
{
    alloc_below_top(&a, 512 * KIB);
    pageheap_free(&f->heap, &a);
    for (int i = 0; i < 6; i++) {
        f->fake.now_ms += 90;
        fixture_alloc(f, &b, 16 * KIB, PAGE);
        pageheap_free(&f->heap, &b);
    }
    cr_assert_eq(fixture_stats(f).dirty, 0);
}

Test(purge, the_bound_purges_the_oldest_at_once)
{
    options_change(500, 256 * KIB, SIZE_MAX);
    alloc_below_top(&a, 200 * KIB);
    alloc_below_top(&b, 100 * KIB);
    uintptr_t addr = a.addr;
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).dirty, 200 * KIB);
    pageheap_free(&f->heap, &b);
    cr_assert_eq(fixture_stats(f).dirty, 100 * KIB);
    cr_assert_eq(f->fake.last_purge.start, addr);
}

Test(purge, the_bound_grows_with_live_memory)
{
    options_change(500, 0, SIZE_MAX);
    alloc_below_top(&c, 16 * MIB);
    alloc_below_top(&a, 2 * MIB);
    alloc_below_top(&b, 64 * KIB);
    uintptr_t a_end = span_end(&a);
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).dirty, 2 * MIB);
    pageheap_free(&f->heap, &b);
    /* Of a long run only the upper end goes, not much more than what is too much. */
    cr_assert_eq(fixture_stats(f).dirty, 2 * MIB + 64 * KIB - 256 * KIB);
    cr_assert_eq(f->fake.last_purge.start, a_end - 256 * KIB);
}

Test(purge, zero_decay_purges_at_once_and_minus_one_never)
{
    options_change(0, MIB, SIZE_MAX);
    alloc_below_top(&a, 64 * KIB);
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).dirty, 0);
    options_change(-1, 0, SIZE_MAX);
    alloc_below_top(&a, 8 * MIB);
    pageheap_free(&f->heap, &a);
    f->fake.now_ms += 1u << 30;
    cr_assert_not(pageheap_pending(&f->heap));
    pageheap_tick(&f->heap);
    cr_assert_eq(fixture_stats(f).dirty, 8 * MIB);
    options_change(500, 0, SIZE_MAX);
    cr_assert_eq(fixture_stats(f).dirty, 0, "changed options take effect at once");
}

/* 1 MiB is dirty in pieces that serve nobody. */
static void make_idle(void)
{
    options_change(100000, 4 * MIB, SIZE_MAX);
    alloc_below_top(&a, MIB);
    alloc_below_top(&c, 4 * MIB);
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).dirty, MIB);
}

Test(purge, what_serves_nobody_goes_before_more_is_held)
{
    make_idle();
    size_t held = f->heap.held_most;
    fixture_alloc(f, &a, 512 * KIB, PAGE);
    cr_assert_eq(fixture_stats(f).purges, 0, "the request was served by it");
    pageheap_free(&f->heap, &a);
    fixture_alloc(f, &b, MIB + 4 * KIB, PAGE);
    cr_assert_eq(fixture_stats(f).dirty, 0);
    cr_assert_eq(f->heap.held_most, held + 4 * KIB);
    cr_assert_eq(f->heap.grow_credit, f->heap.used_most - MIB);
}

Test(purge, growing_in_place_purges_too)
{
    options_change(100000, 4 * MIB, SIZE_MAX);
    alloc_below_top(&a, MIB);
    fixture_alloc(f, &b, 4 * MIB, PAGE);
    pageheap_free(&f->heap, &a);
    size_t held = f->heap.held_most;
    cr_assert(pageheap_extend(&f->heap, &b, 6 * MIB));
    cr_assert_eq(fixture_stats(f).dirty, 0);
    cr_assert_eq(f->heap.held_most, held + MIB);
}

Test(purge, a_few_idle_pages_stay)
{
    options_change(100000, 4 * MIB, SIZE_MAX);
    alloc_below_top(&a, 256 * KIB);
    pageheap_free(&f->heap, &a);
    fixture_alloc(f, &b, 4 * MIB, PAGE);
    cr_assert_eq(fixture_stats(f).dirty, 256 * KIB);
}

Test(purge, without_credit_more_is_held)
{
    make_idle();
    f->heap.grow_credit = 0;
    f->heap.grow_credit_at = f->fake.now_ms;
    uint64_t begin = f->fake.now_ms;
    f->heap.used_most = 64 * MIB;
    fixture_alloc(f, &b, 2 * MIB, PAGE);
    cr_assert_eq(fixture_stats(f).dirty, MIB);
    f->fake.now_ms = begin + 100;
    fixture_alloc(f, &a, 2 * MIB, PAGE);
    cr_assert_eq(fixture_stats(f).dirty, 0, "time gives new credit");
}

Test(purge, the_bound_holds_when_more_is_in_use)
{
    options_change(100000, 0, SIZE_MAX);
    alloc_below_top(&a, 4 * MIB);
    pageheap_free(&f->heap, &a);
    fixture_alloc(f, &a, 4 * MIB, PAGE);
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).dirty, 4 * MIB, "held");
    f->heap.grow_credit = 0;
    f->heap.used_most = 64 * MIB;
    f->heap.grow_credit_at = f->fake.now_ms;
    fixture_alloc(f, &b, 5 * MIB, PAGE);
    cr_assert_leq(fixture_stats(f).dirty, pageheap_bound(&f->heap));
}

Test(purge, regret_teaches_to_hold)
{
    options_change(500, 0, SIZE_MAX);
    alloc_below_top(&a, 4 * MIB);
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).dirty, 0);
    f->fake.now_ms += 400;
    fixture_alloc(f, &a, 4 * MIB, PAGE);
    cr_assert_eq(fixture_stats(f).hold, 4 * MIB);
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).dirty, 4 * MIB);
    fixture_alloc(f, &a, 4 * MIB, PAGE);
    cr_assert_not(a.zero);
    f->fake.now_ms += 1100;
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).hold, MIB, "halved twice");
    cr_assert_eq(fixture_stats(f).dirty, 0);
}

Test(purge, what_is_held_and_in_use_stays_within_nine_eighths_of_the_peak)
{
    options_change(500, 0, SIZE_MAX);
    alloc_below_top(&a, 4 * MIB);
    fixture_alloc(f, &b, 4 * MIB, PAGE);
    pageheap_free(&f->heap, &b);
    fixture_alloc(f, &b, 4 * MIB, PAGE);
    cr_assert_geq(fixture_stats(f).hold, 3 * MIB);
    size_t used = fixture_stats(f).live;
    cr_assert_eq(pageheap_bound(&f->heap), used / 8, "at the peak");
    pageheap_shrink(&f->heap, &b, 3 * MIB);
    cr_assert_eq(pageheap_bound(&f->heap), MIB + used / 8, "below it");
}

Test(purge, no_regret_after_the_decay)
{
    options_change(500, 0, SIZE_MAX);
    alloc_below_top(&a, 4 * MIB);
    pageheap_free(&f->heap, &a);
    f->fake.now_ms += 501;
    fixture_alloc(f, &a, 4 * MIB, PAGE);
    cr_assert_eq(fixture_stats(f).hold, 0);
}

Test(purge, the_break_is_lowered_when_its_top_is_purged)
{
    fixture_alloc(f, &a, 64 * KIB, PAGE);
    fixture_alloc(f, &b, 512 * KIB, PAGE);
    pageheap_free(&f->heap, &b);
    f->fake.now_ms += 500;
    pageheap_tick(&f->heap);
    struct pageheap_stats stats = fixture_stats(f);
    cr_assert_eq(fake_os_break_bytes(&f->fake), 64 * KIB);
    cr_assert_eq(stats.trims, 1);
    cr_assert_eq(stats.from_break, 64 * KIB);
    cr_assert_eq(stats.dirty + stats.clean, 0);
    cr_assert_eq(f->fake.calls[FAKE_PURGE], 0);
}

Test(purge, a_short_top_is_purged_in_place)
{
    options_change(0, 0, MIB);
    fixture_alloc(f, &a, 64 * KIB, PAGE);
    fixture_alloc(f, &b, 512 * KIB, PAGE);
    pageheap_free(&f->heap, &b);
    cr_assert_eq(fixture_stats(f).trims, 0);
    cr_assert_eq(f->fake.calls[FAKE_PURGE], 1);
    cr_assert_eq(fixture_stats(f).clean, fake_os_break_bytes(&f->fake) - 64 * KIB, "one clean run");
    cr_assert_eq(f->heap.clean.count, 1);
}

Test(purge, a_moved_break_is_purged_in_place)
{
    options_change(0, 0, 64 * KIB);
    fixture_alloc(f, &a, 512 * KIB, PAGE);
    fake_os_foreign_sbrk(&f->fake, 100);
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).trims, 0);
    cr_assert_eq(f->fake.purged_bytes, 512 * KIB);
}

Test(purge, a_refusal_pauses_purging)
{
    options_change(500, 0, SIZE_MAX);
    alloc_below_top(&a, 512 * KIB);
    alloc_below_top(&b, 512 * KIB);
    fake_os_refuse_kind(&f->fake, FAKE_PURGE, true);
    memset(span_memory(&a), 1, a.bytes);
    pageheap_free(&f->heap, &a);
    pageheap_free(&f->heap, &b);
    cr_assert_eq(f->fake.calls[FAKE_PURGE], 1, "not tried again at once");
    cr_assert_eq(fixture_stats(f).dirty, MIB);
    fake_os_refuse_kind(&f->fake, FAKE_PURGE, false);
    f->fake.now_ms += 499;
    pageheap_tick(&f->heap);
    cr_assert_eq(fixture_stats(f).dirty, MIB);
    f->fake.now_ms += 1;
    pageheap_tick(&f->heap);
    cr_assert_eq(fixture_stats(f).dirty, 0);
    fixture_alloc(f, &c, 512 * KIB, PAGE);
    cr_assert(c.zero && span_is_zero(&c));
}

Test(purge, free_regions_are_unmapped)
{
    struct pageheap_options options = fixture_options;
    options.use_break = false;
    pageheap_options_set(&f->heap, &options);
    fixture_alloc(f, &a, 8 * MIB, PAGE);
    fixture_alloc(f, &b, MIB, PAGE);
    pageheap_free(&f->heap, &a);
    pageheap_free(&f->heap, &b);
    f->fake.now_ms += 500;
    pageheap_tick(&f->heap);
    struct pageheap_stats stats = fixture_stats(f);
    cr_assert_eq(stats.dirty, 0);
    cr_assert_leq(stats.from_map, MIB);
    pageheap_trim(&f->heap, 0);
    cr_assert_eq(fixture_stats(f).from_map, 0);
    cr_assert_eq(f->heap.source.mappings, 0);
    cr_assert_eq(f->fake.mapped, f->meta.mapped + 2 * PAGE + f->fake.calls[FAKE_HUGE] * 2 * MIB,
                 "but metadata");
}

Test(purge, trimming_gives_all_back_but_what_is_kept)
{
    fixture_alloc(f, &a, 64 * KIB, PAGE);
    alloc_below_top(&b, 300 * KIB);
    fixture_alloc(f, &c, 8 * MIB, PAGE);
    memset(span_memory(&b), 1, b.bytes);
    memset(span_memory(&c), 1, c.bytes);
    pageheap_free(&f->heap, &b);
    options_change(-1, 64 * MIB, SIZE_MAX);
    pageheap_free(&f->heap, &c);
    struct pageheap_stats before = fixture_stats(f);
    size_t given = pageheap_trim(&f->heap, 100 * KIB);
    struct pageheap_stats after = fixture_stats(f);
    cr_assert_eq(after.dirty, 0);
    cr_assert_eq(before.from_break - after.from_break, after.trimmed);
    cr_assert_eq(after.from_break, 64 * KIB + 300 * KIB + PAGE + 100 * KIB);
    cr_assert_geq(given, 8 * MIB);
    cr_assert_eq(pageheap_trim(&f->heap, 100 * KIB), 0, "nothing is left to give");
    cr_assert_eq(pageheap_trim(&f->heap, 0), 100 * KIB);
    fixture_alloc(f, &b, 300 * KIB, PAGE);
    cr_assert(b.zero && span_is_zero(&b));
}

Test(purge, a_trim_splits_no_mapping_for_little)
{
    static struct span span[64];
    struct pageheap_options options = fixture_options;
    options.use_break = false;
    pageheap_options_set(&f->heap, &options);
    fixture_alloc(f, &a, 16 * MIB, PAGE);
    pageheap_shrink(&f->heap, &a, PAGE);
    for (size_t i = 0; i < 64; i++) {
        fixture_alloc(f, &span[i], 4 * PAGE, PAGE);
    }
    fixture_alloc(f, &b, 2 * MIB, PAGE);
    fixture_alloc(f, &c, PAGE, PAGE);
    for (size_t i = 0; i < 64; i += 2) {
        pageheap_free(&f->heap, &span[i]);
    }
    pageheap_free(&f->heap, &b);
    pageheap_trim(&f->heap, 0);
    cr_assert_eq(fixture_stats(f).clean, 32 * 4 * PAGE);
    cr_assert_eq(f->heap.source.mappings, 2, "split where 2 MiB were free");
}
