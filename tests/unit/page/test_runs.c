#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

#include "page/runs.h"

#define PAGE  ((size_t)4096)
#define COUNT 400

static struct runs runs;
static struct list bins[RUNS_BINS * RUNS_INDEXES];
static struct span span[COUNT];

static void setup(void)
{
    runs_init(&runs, 12, bins);
}

TestSuite(runs, .init = setup);

static struct span *put(size_t i, uintptr_t page, size_t pages)
{
    span[i] = (struct span){.addr = page * PAGE, .bytes = pages * PAGE, .kind = SPAN_FREE};
    list_init(&span[i].link);
    runs_insert(&runs, &span[i]);
    return &span[i];
}

Test(runs, an_empty_index_finds_nothing)
{
    cr_assert_null(runs_find(&runs, PAGE, PAGE));
    cr_assert_null(runs_smaller(&runs, NULL));
    runs_verify(&runs);
}

Test(runs, the_closest_bin_that_fits_is_taken)
{
    put(0, 1000, 3);
    put(1, 2000, 10);
    put(2, 3000, 100);
    put(3, 4000, (size_t)1 << 30);
    runs_verify(&runs);
    cr_assert_eq(runs_find(&runs, PAGE, PAGE), &span[0]);
    cr_assert_eq(runs_find(&runs, 3 * PAGE, PAGE), &span[0]);
    cr_assert_eq(runs_find(&runs, 4 * PAGE, PAGE), &span[1]);
    cr_assert_eq(runs_find(&runs, 11 * PAGE, PAGE), &span[2]);
    cr_assert_eq(runs_find(&runs, 101 * PAGE, PAGE), &span[3]);
    cr_assert_null(runs_find(&runs, ((size_t)1 << 31) * PAGE, PAGE));
    cr_assert_null(runs_find(&runs, (size_t)PTRDIFF_MAX & ~(PAGE - 1), PAGE), "beyond the last bin");
}

Test(runs, the_last_of_a_level_leaves_nothing_behind)
{
    put(0, 1000, 100);
    put(1, 2000, 3);
    runs_remove(&runs, &span[0]);
    runs_verify(&runs);
    cr_assert_null(runs_find(&runs, 4 * PAGE, PAGE));
    runs_remove(&runs, &span[1]);
    runs_verify(&runs);
    cr_assert_eq(runs.levels, 0);
}

Test(runs, lower_addresses_come_first)
{
    put(0, 5000, 4);
    put(1, 1000, 4);
    put(2, 9000, 4);
    cr_assert_eq(runs_find(&runs, 4 * PAGE, PAGE), &span[1]);
    runs_remove(&runs, &span[1]);
    runs_remove(&runs, &span[0]);
    cr_assert_eq(runs_find(&runs, 4 * PAGE, PAGE), &span[2]);
}

Test(runs, placing_prefers_the_ends)
{
    uintptr_t addr;
    cr_assert(runs_place(0x10000, 0x40000, 0x10000, 0x10000, &addr));
    cr_assert_eq(addr, 0x10000);
    cr_assert(runs_place(0x11000, 0x40000, 0x10000, 0x10000, &addr));
    cr_assert_eq(addr, 0x30000, "the high end, as the low one isn't aligned");
    cr_assert(runs_place(0x11000, 0x41000, 0x10000, 0x10000, &addr));
    cr_assert_eq(addr, 0x20000, "neither end: low");
    cr_assert_not(runs_place(0x11000, 0x2f000, 0x10000, 0x10000, &addr));
    cr_assert_not(runs_place(0x11000, 0x12000, 0x2000, 0x1000, &addr));
    cr_assert_not(runs_place(UINTPTR_MAX - 0xfff, UINTPTR_MAX, 0x1000, 0x10000, &addr), "no wrapping");
}

Test(runs, an_aligned_run_behind_unaligned_ones_is_found)
{
    put(0, 16 + 5, 16);
    put(10, 16 * 100, 16);
    for (size_t i = 1; i < 10; i++) {
        put(i, 16 * (i + 1) + 5, 16);
    }
    cr_assert_eq(runs_find(&runs, 16 * PAGE, 16 * PAGE), &span[10]);
}

Test(runs, a_run_that_leaves_one_rest_is_preferred)
{
    put(0, 16 * 10 + 3, 36);
    put(1, 16 * 20, 36);
    cr_assert_eq(runs_find(&runs, 16 * PAGE, 16 * PAGE), &span[1]);
}

Test(runs, a_bin_that_must_hold_one_always_gives_it)
{
    for (size_t i = 0; i < 100; i++) {
        put(i, 64 * i + 1, 31);
    }
    cr_assert_not_null(runs_find(&runs, 16 * PAGE, 16 * PAGE));
}

Test(runs, walking_visits_every_run_once_from_large_to_small)
{
    srand(1);
    size_t pages = 0;
    for (size_t i = 0; i < COUNT; i++) {
        size_t length = 1 + (size_t)rand() % ((size_t)1 << (rand() % 20));
        put(i, (i + 1) << 24, length);
        pages += length;
    }
    runs_verify(&runs);
    size_t seen = 0;
    size_t sum = 0;
    size_t last = SIZE_MAX;
    for (struct span *run = runs_smaller(&runs, NULL); run != NULL; run = runs_smaller(&runs, run)) {
        cr_assert_leq(run->bytes, last / 8 > SIZE_MAX / 16 ? last : last + last / 4);
        last = run->bytes;
        sum += run->bytes;
        seen++;
    }
    cr_assert_eq(seen, COUNT);
    cr_assert_eq(sum, pages * PAGE);
    cr_assert_eq(runs.bytes, sum);
}

/* What a look at every run finds: whether one exists that is sure to be found. */
static bool must_exist(const bool *in, size_t bytes, size_t align)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (in[i] && span[i].bytes >= (bytes + align - PAGE) / 7 * 8 + 2 * PAGE) {
            return true;
        }
    }
    return false;
}

Test(runs, random_trace_against_looking_at_every_run)
{
    static bool in[COUNT];
    srand(2);
    for (int step = 0; step < 20000; step++) {
        size_t i = (size_t)rand() % COUNT;
        if (in[i]) {
            runs_remove(&runs, &span[i]);
        } else {
            put(i, ((i + 1) << 20) + (size_t)rand() % 64, 1 + (size_t)rand() % ((size_t)1 << (rand() % 12)));
        }
        in[i] = !in[i];
        size_t bytes = (1 + (size_t)rand() % 300) * PAGE;
        size_t align = PAGE << (rand() % 6);
        struct span *run = runs_find(&runs, bytes, align);
        uintptr_t addr;
        cr_assert(run == NULL ||
                  (in[run - span] && runs_place(run->addr, span_end(run), bytes, align, &addr) &&
                   addr % align == 0 && addr >= run->addr && addr + bytes <= span_end(run)));
        cr_assert(run != NULL || !must_exist(in, bytes, align));
        if (step % 64 == 0) {
            runs_verify(&runs);
        }
    }
}

Test(runs, verify_sees_a_wrong_sum, .signal = SIGABRT)
{
    put(0, 10, 10);
    runs.bytes += PAGE;
    runs_verify(&runs);
}

Test(runs, verify_sees_a_run_in_the_wrong_bin, .signal = SIGABRT)
{
    put(0, 10, 10);
    span[0].bytes = 40 * PAGE;
    runs.bytes = 40 * PAGE;
    runs_verify(&runs);
}

Test(runs, verify_sees_a_wrong_bit, .signal = SIGABRT)
{
    put(0, 10, 10);
    runs.levels |= 1;
    runs_verify(&runs);
}
