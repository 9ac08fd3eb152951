#define _GNU_SOURCE 1
#include "support/page_fixture.h"

#include <sys/mman.h>

#include "base/bits.h"

static struct fixture *f;
static struct span a, b, c, d;

static void setup(void)
{
    f = fixture_make(&fixture_options, 0, 0);
}

static void teardown(void)
{
    fixture_drop(f);
}

TestSuite(pageheap, .init = setup, .fini = teardown);

Test(pageheap, the_first_growth_is_small_and_untouched)
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

Test(pageheap, dirty_memory_is_reused_first)
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

Test(pageheap, neighbours_coalesce_at_once)
{
    struct span *order[] = {&a, &c, &b};
    fixture_alloc(f, &a, PAGE, PAGE);
    fixture_alloc(f, &b, PAGE, PAGE);
    fixture_alloc(f, &c, PAGE, PAGE);
    fixture_alloc(f, &d, PAGE, PAGE);
    size_t runs[] = {1, 2, 1};
    for (int i = 0; i < 3; i++) {
        pageheap_free(&f->heap, order[i]);
        pageheap_verify(&f->heap);
        cr_assert_eq(f->heap.dirty.count, runs[i]);
    }
    cr_assert_eq(f->heap.dirty.bytes, 3 * PAGE);
}

Test(pageheap, dirty_and_clean_neighbours_are_joined_before_growing)
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

Test(pageheap, free_memory_on_top_counts_when_growing)
{
    fixture_alloc(f, &a, PAGE, PAGE);
    fixture_alloc(f, &b, MIB, PAGE);
    cr_assert_eq(fake_os_break_bytes(&f->fake), PAGE + MIB, "255 pages short only");
    cr_assert_eq(b.addr, span_end(&a));
}

Test(pageheap, growth_steps_are_an_eighth)
{
    fixture_alloc(f, &a, 64 * MIB, PAGE);
    cr_assert_eq(fake_os_break_bytes(&f->fake), 64 * MIB);
    fixture_alloc(f, &b, PAGE, PAGE);
    cr_assert_eq(fake_os_break_bytes(&f->fake), 72 * MIB);
}

Test(pageheap, aligned_spans_pack_without_gaps)
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

Test(pageheap, large_alignments_leave_their_rests_free)
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

/* Right above the break's arena, where a kernel might put it too: half of the arena is set aside for this. */
static void *map_above_break(const struct os *os, size_t bytes)
{
    const struct fake_os *fake = os->context;
    void *want = (void *)(fake->arena + fake->arena_bytes);
    void *got = mmap(want, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return got == want ? got : NULL;
}

Test(pageheap, neighbours_of_different_sources_stay_apart)
{
    fixture_drop(f);
    struct pageheap_options options = fixture_options;
    options.decay_ms = -1;
    f = fixture_make(&options, 512 * KIB, 0);
    f->fake.arena_bytes /= 2;
    fixture_alloc(f, &a, 256 * KIB, PAGE);
    f->fake.os.map = map_above_break;
    fixture_alloc(f, &b, 256 * KIB, PAGE);
    cr_assert_eq(b.addr, span_end(&a));
    cr_assert_eq(b.source, SOURCE_MAP);
    pageheap_free(&f->heap, &a);
    pageheap_free(&f->heap, &b);
    pageheap_verify(&f->heap);
    cr_assert_eq(f->heap.dirty.count, 2);
    f->fake.arena_bytes *= 2;
}

Test(pageheap, memory_is_mapped_where_the_break_ends)
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

Test(pageheap, a_foreign_break_is_no_obstacle)
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

Test(pageheap, memory_under_a_limit_does_not_break_into_pieces)
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

Test(pageheap, short_clean_runs_join_what_is_freed_beside_them_when_space_is_scarce)
{
    struct span e;
    fixture_alloc(f, &a, 64 * KIB, PAGE);
    fixture_alloc(f, &b, 32 * KIB, PAGE);
    fixture_alloc(f, &c, 256 * KIB, PAGE);
    fixture_alloc(f, &d, 128 * KIB, PAGE);
    fixture_alloc(f, &e, PAGE, PAGE);
    pageheap_free(&f->heap, &b);
    pageheap_free(&f->heap, &d);
    pageheap_trim(&f->heap, 0);
    size_t clean = fixture_stats(f).clean;
    pageheap_free(&f->heap, &a);
    cr_assert_eq(fixture_stats(f).dirty, 64 * KIB, "space isn't scarce");
    f->heap.scarce = true;
    pageheap_free(&f->heap, &c);
    cr_assert_eq(fixture_stats(f).dirty, (64 + 32 + 256) * KIB, "and the run behind the short one");
    cr_assert_eq(fixture_stats(f).clean, clean - 32 * KIB, "the one of 128 KiB stays");
    cr_assert_eq(f->heap.dirty.count, 1);
}

Test(pageheap, a_step_for_which_the_page_map_has_no_room_becomes_shorter)
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

Test(pageheap, huge_page_advice_follows_the_options)
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
