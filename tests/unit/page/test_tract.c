#include "page/tract.h"

#include "base/bits.h"
#include "support/page_suite.h"

TestSuite(tract, .init = setup, .fini = teardown);

Test(tract, the_first_growth_is_small_and_untouched)
{
    fixture_alloc(f, &a, 64 * KIB, 64 * KIB);
    cr_assert_eq(fake_os_break_bytes(&f->fake), 256 * KIB);
    struct pageheap_stats stats = fixture_stats(f);
    cr_assert_eq(stats.live, 64 * KIB);
    cr_assert_eq(stats.clean, 192 * KIB);
    cr_assert_eq(stats.grows, 1);
    cr_assert(a.zero && span_is_zero(&a));
    cr_assert_eq(a.kind, SPAN_LARGE);
    cr_assert_eq(a.source, SOURCE_BREAK);
}

Test(tract, dirty_memory_is_reused_first)
{
    fixture_alloc(f, &a, 4 * PAGE, PAGE);
    memset(span_memory(&a), 1, a.bytes);
    uintptr_t addr = a.addr;
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).dirty, 4 * PAGE, "not joined with the clean run behind");
    fixture_alloc(f, &b, 2 * PAGE, PAGE);
    cr_assert_eq(b.addr, addr);
    cr_assert_not(b.zero);
    cr_assert_eq(fixture_stats(f).reused_dirty, 2 * PAGE);
    cr_assert_eq(fixture_stats(f).dirty, 2 * PAGE, "the rest stays dirty");
}

Test(tract, dirty_and_clean_neighbours_are_joined_before_growing)
{
    fixture_alloc(f, &a, 192 * KIB, PAGE);
    pageheap_free(&f->heap, &a);
    struct pageheap_stats before = fixture_stats(f);
    cr_assert(before.dirty == 192 * KIB && before.clean == 64 * KIB);
    fixture_alloc(f, &b, 256 * KIB - PAGE, PAGE);
    struct pageheap_stats after = fixture_stats(f);
    cr_assert_eq(after.grows, before.grows);
    cr_assert_eq(after.reused_dirty, 192 * KIB);
    cr_assert_eq(after.clean, PAGE, "what isn't needed keeps its sort");
    cr_assert_not(b.zero);
}

/* Below the dirty run there is a clean one of 1 MiB, and a longer clean one on top of the heap. */
static void make_dirty_run(size_t bytes)
{
    fixture_alloc(f, &a, MIB, PAGE);
    fixture_alloc(f, &b, bytes, PAGE);
    fixture_alloc(f, &c, PAGE, PAGE);
    fixture_alloc(f, &d, 16 * MIB, PAGE);
    pageheap_free(&f->heap, &a);
    pageheap_trim(&f->heap, SIZE_MAX);
    pageheap_free(&f->heap, &b);
    cr_assert(fixture_stats(f).dirty == bytes && fixture_stats(f).clean >= MIB);
}

Test(tract, a_dirty_run_is_lengthened_rather_than_a_clean_one_used)
{
    make_dirty_run(256 * KIB);
    fixture_alloc(f, &b, 512 * KIB, PAGE);
    cr_assert_eq(fixture_stats(f).reused_dirty, 256 * KIB);
    cr_assert_eq(fixture_stats(f).dirty, 0);
    cr_assert_eq(span_end(&b), c.addr);
}

Test(tract, a_dirty_run_that_is_less_than_half_waits_for_shorter_requests)
{
    make_dirty_run(256 * KIB - PAGE);
    fixture_alloc(f, &b, 512 * KIB, PAGE);
    cr_assert_eq(fixture_stats(f).dirty, 256 * KIB - PAGE);
    cr_assert(b.zero);
}

Test(tract, free_memory_on_top_counts_when_growing)
{
    fixture_alloc(f, &a, PAGE, PAGE);
    fixture_alloc(f, &b, MIB, PAGE);
    cr_assert_eq(fake_os_break_bytes(&f->fake), PAGE + MIB, "255 pages short only");
    cr_assert_eq(b.addr, span_end(&a));
}

Test(tract, growth_steps_are_an_eighth)
{
    fixture_alloc(f, &a, 16 * MIB, PAGE);
    cr_assert_eq(fake_os_break_bytes(&f->fake), 16 * MIB);
    fixture_alloc(f, &b, PAGE, PAGE);
    cr_assert_eq(fake_os_break_bytes(&f->fake), 18 * MIB);
}

Test(tract, aligned_spans_pack_without_gaps)
{
    static struct span chunk[512];
    fake_os_foreign_sbrk(&f->fake, 3 * (intptr_t)PAGE + 5);
    for (size_t i = 0; i < 512; i++) {
        fixture_alloc(f, &chunk[i], 64 * KIB, 64 * KIB);
        cr_assert(i == 0 || chunk[i].addr == span_end(&chunk[i - 1]));
    }
    struct pageheap_stats stats = fixture_stats(f);
    cr_assert_leq(stats.clean, stats.live / 8 + 256 * KIB);
    for (size_t i = 0; i < 512; i += 2) {
        pageheap_free(&f->heap, &chunk[i]);
    }
    size_t held = stats.from_break;
    for (size_t i = 0; i < 512; i += 2) {
        fixture_alloc(f, &chunk[i], 64 * KIB, 64 * KIB);
    }
    cr_assert_eq(fixture_stats(f).from_break, held);
}

Test(tract, large_alignments_leave_their_rests_free)
{
    for (size_t align = PAGE; align <= 16 * MIB; align *= 2) {
        fixture_alloc(f, &a, 3 * PAGE, align);
        pageheap_verify(&f->heap);
        pageheap_free(&f->heap, &a);
    }
    cr_assert_eq(fixture_stats(f).live, 0);
    cr_assert_not(pageheap_alloc(&f->heap, &a, PAGE, (size_t)1 << 62, SPAN_LARGE));
    cr_assert_not(pageheap_alloc(&f->heap, &a, SIZE_MAX, PAGE, SPAN_LARGE));
    cr_assert_not(pageheap_alloc(&f->heap, &a, (size_t)PTRDIFF_MAX, PAGE, SPAN_LARGE));
    pageheap_verify(&f->heap);
}

Test(tract, memory_is_mapped_where_the_break_ends)
{
    fixture_drop(f);
    f = fixture_make(&fixture_options, 256 * KIB, 0);
    fixture_alloc(f, &a, 200 * KIB, PAGE);
    fixture_alloc(f, &b, 200 * KIB, PAGE);
    cr_assert_eq(a.source, SOURCE_BREAK);
    cr_assert_eq(b.source, SOURCE_MAP);
    struct pageheap_stats stats = fixture_stats(f);
    cr_assert_eq(stats.from_map, 256 * KIB);
    pageheap_free(&f->heap, &a);
    pageheap_free(&f->heap, &b);
    pageheap_verify(&f->heap);
    cr_assert_eq(f->heap.source.mappings, 1);
}

Test(tract, a_foreign_break_is_no_obstacle)
{
    fixture_alloc(f, &a, 256 * KIB, PAGE);
    char *foreign = fake_os_foreign_sbrk(&f->fake, 1000);
    memset(foreign, 9, 1000);
    cr_assert_not(pageheap_extend(&f->heap, &a, 300 * KIB));
    fixture_alloc(f, &b, 256 * KIB, PAGE);
    cr_assert_geq(b.addr, (uintptr_t)foreign + 1000);
    memset(span_memory(&a), 1, a.bytes);
    memset(span_memory(&b), 2, b.bytes);
    pageheap_free(&f->heap, &a);
    pageheap_free(&f->heap, &b);
    pageheap_trim(&f->heap, 0);
    pageheap_verify(&f->heap);
    cr_assert_eq(foreign[0], 9);
    cr_assert_eq(foreign[999], 9);
}

/* Spans of 64 KiB at multiples of it and of 72 KiB anywhere, until there is no more. Returns how many. */
static size_t fill(struct span *spans, size_t most)
{
    size_t count = 0;
    bool done = true;
    while (done && count < most) {
        bool chunk = count % 9 == 0 || count % 9 == 4;
        done = pageheap_alloc(&f->heap, &spans[count], (chunk ? 64 : 72) * KIB, chunk ? 64 * KIB : PAGE,
                              SPAN_LARGE);
        count += done;
    }
    pageheap_verify(&f->heap);
    return count;
}

Test(tract, memory_under_a_limit_does_not_break_into_pieces)
{
    static struct span spans[1024];
    fake_os_limit(&f->fake, 36 * MIB);
    cr_assert_not(f->heap.scarce);
    size_t first = fill(spans, 1024);
    cr_assert(f->heap.scarce);
    size_t count = first;
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < count; i++) {
            pageheap_free(&f->heap, &spans[round % 2 == 0 ? i : count - 1 - i]);
        }
        count = fill(spans, 1024);
        cr_assert_geq(count, first + first / 20, "round %d: %zu, first %zu", round, count, first);
    }
}

Test(tract, a_step_for_which_the_page_map_has_no_room_becomes_shorter)
{
    const size_t leaf_range = (size_t)PAGE << PAGEMAP_LEAF_BITS;
    fixture_drop(f);
    f = fixture_make(&fixture_options, 3 * leaf_range, 0);
    uintptr_t border = bits_align_up(f->fake.arena + MIB, leaf_range);
    fake_os_foreign_sbrk(&f->fake, (intptr_t)(border - 320 * KIB - f->fake.break_at));
    fixture_alloc(f, &a, 256 * KIB, PAGE);
    cr_assert_eq(span_end(&a), border - 64 * KIB);
    fake_os_refuse_kind(&f->fake, FAKE_MAP, true);
    fixture_alloc(f, &b, 32 * KIB, PAGE);
    fixture_alloc(f, &c, 32 * KIB, PAGE);
    cr_assert_eq(span_end(&c), border);
    cr_assert_not(pageheap_alloc(&f->heap, &d, 32 * KIB, PAGE, SPAN_LARGE));
    fake_os_refuse_kind(&f->fake, FAKE_MAP, false);
    fixture_alloc(f, &d, 32 * KIB, PAGE);
    cr_assert_eq(d.addr, border);
    pageheap_verify(&f->heap);
}

Test(tract, huge_page_advice_follows_the_options)
{
    fixture_alloc(f, &a, 4 * MIB, PAGE);
    cr_assert_eq(f->fake.calls[FAKE_HUGE], 1, "for the page map's leaf only");
    struct pageheap_options options = fixture_options;
    options.huge_always = true;
    pageheap_options_set(&f->heap, &options);
    fixture_alloc(f, &b, 4 * MIB, PAGE);
    cr_assert_eq(f->fake.last_advice, OS_HUGE_ALWAYS);
    cr_assert_geq(f->fake.last_huge.end, span_end(&b));
    options.huge_always = false;
    options.huge_never = true;
    pageheap_options_set(&f->heap, &options);
    fixture_alloc(f, &c, 8 * MIB, PAGE);
    cr_assert_eq(f->fake.last_advice, OS_HUGE_NEVER);
    cr_assert_geq(f->fake.last_huge.end, span_end(&c));
}

static uintptr_t find(size_t bytes, size_t align)
{
    struct tract tract;
    lock_acquire(&f->heap.lock);
    cr_assert(tract_get_locked(&f->heap, bytes, align, &tract));
    lock_release(&f->heap.lock);
    return tract.addr;
}

/* 1 MiB of free pages between spans that are with their users, `keep` bytes in all. */
static struct span *free_run_make(size_t keep)
{
    fixture_alloc(f, &b, PAGE, PAGE);
    fixture_alloc(f, &a, MIB, PAGE);
    fixture_alloc(f, &c, keep - PAGE, PAGE);
    uintptr_t addr = a.addr;
    pageheap_free(&f->heap, &a);
    struct span *run = runs_find(&f->heap.dirty, MIB, PAGE);
    cr_assert(run != NULL && run->addr == addr && run->bytes == MIB);
    return run;
}

Test(tract, aligned_requests_go_to_the_upper_end_while_space_is_scarce)
{
    struct span *run = free_run_make(64 * KIB);
    uintptr_t low = bits_align_up(run->addr, 64 * KIB);
    uintptr_t high = bits_align_down(span_end(run) - 64 * KIB, 64 * KIB);
    cr_assert_eq(find(64 * KIB, 64 * KIB), low, "neither end is aligned");
    f->heap.scarce = true;
    cr_assert_eq(find(64 * KIB, 64 * KIB), high);
    cr_assert_eq(find(64 * KIB, PAGE), run->addr, "what needs no alignment may grow there");
    fixture_alloc(f, &d, 64 * KIB, 64 * KIB);
    cr_assert_eq(d.addr, high);
    pageheap_verify(&f->heap);
}

Test(tract, a_heap_that_is_nearly_empty_is_filled_from_the_lower_end)
{
    struct span *run = free_run_make(4 * PAGE);
    f->heap.scarce = true;
    uintptr_t low = bits_align_up(run->addr, 64 * KIB);
    cr_assert_eq(find(64 * KIB, 64 * KIB), low);
    fixture_alloc(f, &d, 64 * KIB, 64 * KIB);
    cr_assert_eq(d.addr, low);
    cr_assert_gt(find(64 * KIB, 64 * KIB), low + 64 * KIB, "no longer");
}

Test(tract, neighbours_are_joined_within_bounds)
{
    static struct span pages[80];
    for (size_t i = 0; i < 80; i++) {
        fixture_alloc(f, &pages[i], PAGE, PAGE);
    }
    fixture_alloc(f, &a, 256 * KIB - 80 * PAGE % (256 * KIB), PAGE);
    for (size_t i = 0; i < 80; i += 2) {
        pageheap_free(&f->heap, &pages[i]);
    }
    pageheap_trim(&f->heap, 0);
    for (size_t i = 1; i < 80; i += 2) {
        pageheap_free(&f->heap, &pages[i]);
    }
    cr_assert_eq(f->heap.dirty.count, 40, "dirty and clean ones in turn");
    size_t grows = fixture_stats(f).grows;
    find(32 * PAGE, PAGE);
    cr_assert_eq(fixture_stats(f).grows, grows);
    find(33 * PAGE, PAGE);
    cr_assert_eq(fixture_stats(f).grows, grows + 1);
}

Test(tract, taking_counts_what_was_dirty)
{
    struct tract tract;
    fixture_alloc(f, &a, 4 * PAGE, PAGE);
    uintptr_t addr = a.addr;
    pageheap_free(&f->heap, &a);
    lock_acquire(&f->heap.lock);
    cr_assert(tract_behind_locked(&f->heap, addr, SOURCE_BREAK, 6 * PAGE),
              "two pages of the clean run behind");
    cr_assert(tract_get_locked(&f->heap, 64 * PAGE, PAGE, &tract), "both runs together, to the last page");
    cr_assert(tract.addr == addr && tract.first->dirty);
    cr_assert_eq(tract_take_locked(&f->heap, &tract, 6 * PAGE), 4 * PAGE);
    f->heap.stats.live += 6 * PAGE;
    lock_release(&f->heap.lock);
    pageheap_verify(&f->heap);
    cr_assert_eq(f->heap.dirty.count, 0);
}
