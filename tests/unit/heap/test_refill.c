#include "heap/refill.h"

#include "heap_fixture.h"

TestSuite(refill, .init = fixture_setup, .fini = fixture_teardown);

#define CLASS_100 6u /* 112 bytes */

Test(refill, a_refill_fills_the_bin_and_grows)
{
    unsigned last = 0;
    for (int i = 0; i < 8; i++) {
        bool zero;
        void *block = refill_bin(a, CLASS_100, 100, &zero);
        cr_assert_not_null(block);
        cr_assert_eq(*mark_of(block), class_code(CLASS_100, (uintptr_t)block / 16 % 2));
        unsigned got = bins_count(a, CLASS_100) + 1;
        cr_assert(got >= last && got <= bins_max_batch(CLASS_100), "%u after %u", got, last);
        last = got;
        while (bins_count(a, CLASS_100) > 0) {
            get(a, 100);
        }
        verify();
    }
    cr_assert_eq(last, bins_max_batch(CLASS_100));
}

Test(refill, blocks_of_a_refill_lie_in_a_row_from_low_to_high)
{
    char *last = get(a, 100);
    for (int i = 0; i < 3; i++) {
        char *next = get(a, 100);
        cr_assert_eq(next, last + class_bytes[CLASS_100]);
        last = next;
    }
}

Test(refill, aligned_blocks_are_carved_from_holes)
{
    size_t kept = 0;
    for (size_t align = 32; align <= CHUNK_BYTES / 4; align *= 2) {
        for (unsigned class = 0; class < CLASS_IN_CHUNK; class += 5) {
            bool zero;
            void *block = refill_aligned(a, class, align, &zero);
            cr_assert_eq((uintptr_t)block % align, 0);
            cr_assert_eq(alloc_usable(core, block, "free"), class_bytes[class]);
            if (class % 2 == 0) {
                put(a, block);
            } else {
                kept += class_bytes[class];
            }
        }
    }
    verify();
    cr_assert_leq(a->chunk_count * CHUNK_BYTES, kept / 2 * 7,
                  "the space between them is used: %zu chunks for %zu", a->chunk_count, kept);
}

static void fill(size_t bytes)
{
    for (size_t got = 0; got < bytes; got += 100) {
        get(a, 100);
    }
}

/* Blocks of 16 classes wait, and nobody wants them: what they take serves another class. */
Test(refill, idle_bins_are_used_before_new_chunks)
{
    enum { CLASSES = 16, EACH = 7 };
    void *blocks[CLASSES * EACH];
    for (unsigned i = 0; i < CLASSES * EACH; i++) {
        blocks[i] = get(a, 2000 + i / EACH * 300);
    }
    for (unsigned i = 0; i < CLASSES * EACH; i++) {
        put(a, blocks[i]);
    }
    size_t chunks = a->chunk_count;
    fill(8 * CHUNK_BYTES);
    cr_assert_lt(a->chunk_count, chunks + 8);
    for (unsigned i = 0; i < CLASSES; i++) {
        unsigned left = bins_count(a, class_of(2000 + i * 300));
        cr_assert_leq(left, 1, "%u of %u", left, 2000 + i * 300);
    }
    verify();
}

Test(refill, little_that_is_idle_stays_where_it_is)
{
    fill(32 * CHUNK_BYTES);
    put(a, get(a, 8000));
    unsigned waiting = bins_count(a, class_of(8000));
    fill(8 * CHUNK_BYTES);
    cr_assert_eq(bins_count(a, class_of(8000)), waiting);
}

Test(refill, idle_large_blocks_become_chunks)
{
    struct pageheap_stats stats;
    fill(32 * CHUNK_BYTES);
    put(a, get(a, 8 * CHUNK_BYTES));
    put(a, get(a, 2 * CHUNK_BYTES));
    pageheap_stats_get(&core->pages, &stats);
    size_t held = stats.live + stats.dirty;
    fill(8 * CHUNK_BYTES);
    pageheap_stats_get(&core->pages, &stats);
    cr_assert_leq(stats.live + stats.dirty, held + 2 * CHUNK_BYTES);
    cr_assert_eq(a->large_room, 0);
}
