#define _GNU_SOURCE 1
#include "page/filing.h"

#include <sys/mman.h>

#include "support/page_suite.h"

TestSuite(filing, .init = setup, .fini = teardown);

Test(filing, neighbours_coalesce_at_once)
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

/* Right above the break's arena, where a kernel might put it too: half of the arena is set aside for this. */
static void *map_above_break(const struct os *os, size_t bytes)
{
    const struct fake_os *fake = os->context;
    void *want = (void *)(fake->arena + fake->arena_bytes);
    void *got = mmap(want, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return got == want ? got : NULL;
}

Test(filing, neighbours_of_different_sources_stay_apart)
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

Test(filing, short_clean_runs_join_what_is_freed_beside_them_when_space_is_scarce)
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

Test(filing, runs_are_found_by_both_ends_and_by_source)
{
    fixture_alloc(f, &a, PAGE, PAGE);
    fixture_alloc(f, &b, 3 * PAGE, PAGE);
    fixture_alloc(f, &c, PAGE, PAGE);
    uintptr_t lo = b.addr;
    uintptr_t hi = span_end(&b);
    pageheap_free(&f->heap, &b);
    lock_acquire(&f->heap.lock);
    struct span *run = filing_after_locked(&f->heap, lo, SOURCE_BREAK);
    cr_assert(run != NULL && run->addr == lo && run->bytes == 3 * PAGE);
    cr_assert_eq(filing_before_locked(&f->heap, hi, SOURCE_BREAK), run);
    cr_assert_null(filing_before_locked(&f->heap, hi, SOURCE_MAP));
    cr_assert_null(filing_before_locked(&f->heap, lo, SOURCE_BREAK), "a is with its user");
    cr_assert_null(filing_after_locked(&f->heap, hi, SOURCE_BREAK), "c is with its user");
    atomic_store(&run->owner, &f->map);
    cr_assert_null(filing_after_locked(&f->heap, lo, SOURCE_BREAK), "another heap's run");
    atomic_store(&run->owner, &f->heap);
    lock_release(&f->heap.lock);
}

/* What the user of the pages does to the heap's equations. */
static void cut(struct span *run, uintptr_t lo, uintptr_t hi)
{
    lock_acquire(&f->heap.lock);
    filing_cut_locked(&f->heap, run, lo, hi);
    f->heap.stats.live += hi - lo;
    lock_release(&f->heap.lock);
    pageheap_verify(&f->heap);
}

static struct span *add(uintptr_t addr, size_t bytes, uint64_t now)
{
    struct grown pages = {.addr = addr, .bytes = bytes, .source = SOURCE_BREAK};
    lock_acquire(&f->heap.lock);
    struct span *run = filing_add_locked(&f->heap, &pages, true, now);
    f->heap.stats.live -= bytes;
    lock_release(&f->heap.lock);
    pageheap_verify(&f->heap);
    return run;
}

Test(filing, a_cut_leaves_rests_of_the_same_sort_and_age)
{
    fixture_alloc(f, &a, 8 * PAGE, PAGE);
    fixture_alloc(f, &b, PAGE, PAGE);
    fixture_alloc(f, &c, PAGE, PAGE);
    fixture_alloc(f, &d, PAGE, PAGE);
    uintptr_t lo = a.addr;
    f->fake.now_ms = 5;
    pageheap_free(&f->heap, &a);
    f->fake.now_ms = 9;
    pageheap_free(&f->heap, &c);
    struct span *run = filing_after_locked(&f->heap, lo, SOURCE_BREAK);
    cut(run, lo + 2 * PAGE, lo + 5 * PAGE);
    cr_assert(run->addr == lo && run->bytes == 2 * PAGE && run->dirty && run->stamp == 5);
    struct span *rest = filing_after_locked(&f->heap, lo + 5 * PAGE, SOURCE_BREAK);
    cr_assert(rest != NULL && rest->bytes == 3 * PAGE && rest->dirty && rest->stamp == 5);
    cr_assert_eq(run->age.next, &rest->age, "the younger run stays behind both");
    cut(rest, lo + 5 * PAGE, lo + 6 * PAGE);
    cr_assert(rest->addr == lo + 6 * PAGE && rest->bytes == 2 * PAGE);
    cut(rest, lo + 6 * PAGE, lo + 8 * PAGE);
    cr_assert_null(filing_before_locked(&f->heap, lo + 8 * PAGE, SOURCE_BREAK), "nothing was left");
}

Test(filing, a_dirty_run_is_as_old_as_its_largest_part)
{
    fixture_alloc(f, &a, 8 * PAGE, PAGE);
    fixture_alloc(f, &b, PAGE, PAGE);
    uintptr_t lo = a.addr;
    pageheap_free(&f->heap, &a);
    cut(filing_after_locked(&f->heap, lo, SOURCE_BREAK), lo, lo + 8 * PAGE);
    cr_assert_eq(add(lo + PAGE, 2 * PAGE, 10)->stamp, 10);
    cr_assert_eq(add(lo, PAGE, 20)->stamp, 10, "a small fresh part");
    cr_assert_eq(add(lo + 3 * PAGE, 4 * PAGE, 30)->stamp, 30, "a large one");
    struct span *run = add(lo + 7 * PAGE, PAGE, 40);
    cr_assert(run->addr == lo && run->bytes == 8 * PAGE && run->stamp == 30);
}

Test(filing, mapped_memory_goes_on_at_sides_that_are_no_own_mapping)
{
    fixture_drop(f);
    struct pageheap_options options = fixture_options;
    options.use_break = false;
    f = fixture_make(&options, 0, 0);
    fixture_alloc(f, &a, 64 * KIB, PAGE);
    fixture_alloc(f, &b, 64 * KIB, PAGE);
    lock_acquire(&f->heap.lock);
    cr_assert_eq(filing_joined_locked(&f->heap, a.addr, span_end(&a)), 1, "b is behind, nothing before");
    cr_assert_eq(filing_joined_locked(&f->heap, span_end(&a), span_end(&a)), 2);
    lock_release(&f->heap.lock);
    cr_assert(mapping_alloc(&f->heap, &c, 64 * KIB, PAGE));
    lock_acquire(&f->heap.lock);
    cr_assert_eq(filing_joined_locked(&f->heap, span_end(&c), c.addr), 0, "an own mapping is another");
    lock_release(&f->heap.lock);
}
