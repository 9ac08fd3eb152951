#include <criterion/criterion.h>

#include "movable/buffer_room.h"
#include "support/buffer_fixture.h"

Test(buffer_room, the_first_gap_that_fits_is_used_when_the_end_has_no_room)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle block[4];
    for (int i = 0; i < 4; i++) {
        block[i] = fixture_alloc(heap, 800, i);
    }
    char *gap = hm_deref(heap, block[1]);
    char *second = hm_deref(heap, block[2]);
    fixture_free(heap, block[1]);
    hm_handle small = fixture_alloc(heap, 300, 9);
    cr_assert(hm_deref(heap, small) > (void *)second, "the free end comes first");
    hm_handle other = fixture_alloc(heap, 700, 9);
    cr_assert_eq(hm_deref(heap, other), gap);
    cr_assert_eq(hm_deref(heap, block[2]), second, "nothing moves while there is room");
}

Test(buffer_room, grows_in_place_into_the_gap_behind)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle first = fixture_alloc(heap, 100, 1);
    hm_handle second = fixture_alloc(heap, 100, 2);
    hm_handle third = fixture_alloc(heap, 100, 3);
    char *address = hm_deref(heap, first);
    fixture_free(heap, second);
    cr_assert_eq(heap->kind->resize(heap, first, 224), MOVABLE_OK);
    cr_assert_eq(hm_deref(heap, first), address);
    cr_assert_eq(heap->kind->resize(heap, first, 225), MOVABLE_OK);
    cr_assert(hm_deref(heap, first) > hm_deref(heap, third), "no room there any more");
    fixture_holds(hm_deref(heap, first), 100, 1);
    fixture_holds(hm_deref(heap, third), 100, 3);
    cr_assert_eq(heap->kind->resize(heap, first, 10), MOVABLE_OK);
    cr_assert_eq(fixture_stats(heap).live_bytes, 110);
}

/* A: 1500 of 3.5 KiB, B behind it: both copies of a larger A have no room. */
Test(buffer_room, grows_past_the_blocks_behind_it)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle a = fixture_alloc(heap, 1500, 1);
    hm_handle b = fixture_alloc(heap, 700, 2);
    hm_handle c = fixture_alloc(heap, 300, 3);
    char *slot = NULL;
    fixture_slot(heap, &slot, 50, 4);
    cr_assert_eq(heap->kind->resize(heap, a, 2600), MOVABLE_OK);
    fixture_holds(hm_deref(heap, a), 1500, 1);
    fixture_holds(hm_deref(heap, b), 700, 2);
    fixture_holds(hm_deref(heap, c), 300, 3);
    fixture_holds(slot, 50, 4);
    cr_assert_eq(hm_deref(heap, b), buffer_of(heap)->base);
    memset(hm_deref(heap, a), 9, 2600);
    fixture_holds(slot, 50, 4);
    cr_assert_eq(heap->kind->resize(heap, a, 3000), MOVABLE_NO_MEMORY);
    fixture_holds(hm_deref(heap, a), 2600, 9);
    fixture_stats(heap);
}

Test(buffer_room, a_pinned_block_behind_is_not_passed)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle a = fixture_alloc(heap, 1500, 1);
    hm_handle b = fixture_alloc(heap, 700, 2);
    fixture_pin(heap, b);
    cr_assert_eq(heap->kind->resize(heap, a, 2600), MOVABLE_NO_MEMORY);
    fixture_unpin(heap, b);
    cr_assert_eq(heap->kind->resize(heap, a, 2600), MOVABLE_OK);
    fixture_holds(hm_deref(heap, b), 700, 2);
}

Test(buffer_room, without_rescue_nothing_moves)
{
    struct hm_movable_options options = {.flags = HM_MOVABLE_NO_RESCUE};
    struct hm_heap *heap = fixture_heap(4096, &options);
    hm_handle first = fixture_alloc(heap, 1500, 1);
    hm_handle second = fixture_alloc(heap, 1500, 2);
    hm_handle handle;
    fixture_free(heap, first);
    cr_assert_eq(heap->kind->alloc(heap, 1900, false, &handle), MOVABLE_NO_MEMORY);
    cr_assert_eq(heap->kind->resize(heap, second, 3000), MOVABLE_NO_MEMORY);
    cr_assert_eq(fixture_stats(heap).moved_blocks, 0);
    fixture_compact(heap);
    cr_assert_eq(heap->kind->alloc(heap, 1900, false, &handle), MOVABLE_OK);
}

Test(buffer_room, descriptors_of_slots_make_room)
{
    struct hm_heap *heap = fixture_heap(1024, NULL);
    char *slot[24] = {NULL};
    int made = 0;
    while (made < 24 && heap->kind->slot_alloc(heap, &slot[made], 1) == MOVABLE_OK) {
        made++;
    }
    cr_assert(made >= 15);
    for (int i = 0; i < made; i++) {
        fixture_slot_free(heap, &slot[i]);
    }
    fixture_slot(heap, &slot[0], 1024 - 256 - 16 - 24, 1);
}
