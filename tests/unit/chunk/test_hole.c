#include "chunk_fixture.h"

#include <stdio.h>

TestSuite(hole, .init = fixture_setup, .fini = fixture_teardown);

/* Dead memory, no hole. */
static void clear(void)
{
    holes_remove_all(&holes, chunk);
    cr_assert_eq(chunk->linked, 0);
}

Test(hole, a_new_chunk_is_one_hole)
{
    fixture_verify();
    cr_assert_eq(chunk->linked, CHUNK_GRANULES);
    cr_assert_eq(holes_find(&holes, CHUNK_GRANULES), granule_memory(0));
    cr_assert_eq(holes_length(&holes, granule_memory(0)), CHUNK_GRANULES);
}

Test(hole, each_length_is_found_by_itself)
{
    clear();
    for (unsigned granules = HOLE_MIN_GRANULES; granules <= CHUNK_GRANULES - 1; granules++) {
        unsigned granule = granules % 2 == 0 ? 0 : 1;
        holes_insert(&holes, chunk, granule, granules);
        cr_assert_eq(holes_find(&holes, granules), granule_memory(granule), "%u granules", granules);
        cr_assert_null(holes_find(&holes, granules + 1), "%u granules", granules);
        cr_assert_eq(chunk->map[0], CODE_HOLE + granule);
        fixture_verify();
        cr_assert_eq(holes_remove(&holes, chunk, granule), granules);
        cr_assert_eq(chunk->map[0], 0);
        cr_assert_eq(chunk->linked, 0);
    }
    fixture_verify();
}

Test(hole, the_best_fit_is_found_among_short_holes)
{
    clear();
    unsigned granule = 0;
    for (unsigned granules = 2; granules <= HOLE_EXACT_GRANULES; granules += 2) {
        holes_insert(&holes, chunk, granule, granules);
        granule += granules + 1;
    }
    for (unsigned want = 2; want <= HOLE_EXACT_GRANULES; want++) {
        void *at = holes_find(&holes, want);
        cr_assert_not_null(at);
        cr_assert_eq(holes_length(&holes, at), want + want % 2);
    }
    fixture_verify();
}

/* Bins of long holes have several lengths. */
Test(hole, a_long_hole_that_is_found_is_long_enough)
{
    clear();
    holes_insert(&holes, chunk, 0, 1000);
    holes_insert(&holes, chunk, 1001, 1010);
    for (unsigned want = 65; want <= 1010; want++) {
        void *at = holes_find(&holes, want);
        cr_assert(at == NULL || holes_length(&holes, at) >= want, "%u", want);
        cr_assert(at != NULL || want > 960, "%u", want);
    }
    cr_assert_null(holes_find(&holes, 1011));
}

Test(hole, holes_of_a_bin_are_removed_in_any_order)
{
    static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    clear();
    for (int order = 0; order < 6; order++) {
        for (unsigned i = 0; i < 3; i++) {
            holes_insert(&holes, chunk, 10 * i, 5);
        }
        for (unsigned i = 0; i < 3; i++) {
            fixture_verify();
            holes_remove(&holes, chunk, 10 * orders[order][i]);
        }
        cr_assert_null(holes_find(&holes, 2));
        fixture_verify();
    }
}

Test(hole, two_chunks_share_the_index)
{
    struct chunk *other = chunk_make(0);
    clear();
    carve_init(&holes, other, true);
    holes_insert(&holes, chunk, 4, 9);
    holes_remove_all(&holes, other);
    holes_insert(&holes, other, 4, 9);
    holes_insert(&holes, other, 40, 9);
    holes_remove_all(&holes, other);
    cr_assert_eq(other->linked, 0);
    cr_assert_eq(holes_find(&holes, 2), granule_memory(4));
    fixture_verify();
    chunk_drop(other);
}

Test(hole, a_record_in_fresh_memory_is_wiped)
{
    clear();
    cr_assert(is_zero(granule_memory(0), CHUNK_BYTES));
    chunk->fresh = 11;
    holes_insert(&holes, chunk, 10, 20);
    cr_assert_not(is_zero(granule_memory(10), 32));
    holes_remove(&holes, chunk, 10);
    cr_assert(is_zero(granule_memory(10), 32));
}

static void damage(void *at)
{
    ((volatile unsigned char *)granule_memory(0))[(uintptr_t)at] ^= 1;
    holes_length(&holes, granule_memory(0));
}

Test(hole, each_changed_byte_of_a_record_is_noticed)
{
    for (uintptr_t byte = 0; byte < sizeof(struct hole); byte++) {
        assert_panic(damage, (void *)byte, "was written to");
    }
}

/* Three holes in one bin: 20, 10, 0 in list order. */
static void three(void)
{
    clear();
    holes_insert(&holes, chunk, 0, 5);
    holes_insert(&holes, chunk, 10, 5);
    holes_insert(&holes, chunk, 20, 5);
}

static void write_then_remove(void *granule)
{
    three();
    memset(granule_memory((unsigned)(uintptr_t)granule), 0x41, 16);
    holes_remove(&holes, chunk, 10);
}

static void write_then_insert(void *unused)
{
    (void)unused;
    three();
    memset(granule_memory(20), 0, 32);
    holes_insert(&holes, chunk, 30, 5);
}

static void write_then_verify(void *unused)
{
    (void)unused;
    three();
    memset(granule_memory(0), 0, 8);
    holes_verify(&holes, NULL);
}

Test(hole, a_written_record_is_noticed_before_it_is_used)
{
    char text[64];
    for (uintptr_t granule = 0; granule <= 20; granule += 10) {
        snprintf(text, sizeof(text), "free memory at %p was written to", granule_memory((unsigned)granule));
        assert_panic(write_then_remove, (void *)granule, text);
    }
    assert_panic(write_then_insert, NULL, "was written to");
    assert_panic(write_then_verify, NULL, "was written to");
}

/* A whole record copied elsewhere, or restored from before, doesn't pass for one. */
static void replay(void *unused)
{
    (void)unused;
    three();
    memcpy(granule_memory(0), granule_memory(10), sizeof(struct hole));
    holes_length(&holes, granule_memory(0));
}

Test(hole, a_copied_record_is_no_record)
{
    assert_panic(replay, NULL, "was written to");
}

static void lose_bit(void *unused)
{
    (void)unused;
    memset(holes.present, 0, sizeof(holes.present));
    holes_verify(&holes, NULL);
}

Test(hole, verify_compares_bits_with_bins)
{
    assert_panic(lose_bit, NULL, "a bin's bit says");
}
