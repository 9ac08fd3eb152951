#include <criterion/criterion.h>

#include "support/buffer_fixture.h"

Test(buffer_list, containers_are_found_by_any_address_in_them)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    struct buffer *b = buffer_of(heap);
    hm_handle first = fixture_alloc(heap, 100, 1);
    hm_handle second = fixture_alloc(heap, 100, 1);
    char *address = hm_deref(heap, second);
    cr_assert_eq(buffer_container(b, (uintptr_t)address), 2);
    cr_assert_eq(buffer_container(b, (uintptr_t)address + 99), 2);
    cr_assert_eq(buffer_container(b, (uintptr_t)address - 1), 1);
    cr_assert_eq(buffer_container(b, (uintptr_t)address + 112), 0);
    cr_assert_eq(buffer_container(b, (uintptr_t)&address), 0);
    fixture_free(heap, first);
    cr_assert_eq(buffer_container(b, (uintptr_t)address - 1), 0);
    cr_assert_eq(buffer_container(b, (uintptr_t)address), 2);
}

Test(buffer_list, only_descriptors_that_had_no_handle_are_dropped)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    struct buffer *b = buffer_of(heap);
    char *slot[4] = {NULL};
    for (int i = 0; i < 4; i++) {
        fixture_slot(heap, &slot[i], 10, 1);
    }
    fixture_slot_free(heap, &slot[1]);
    fixture_slot_free(heap, &slot[3]);
    buffer_shrink(b);
    cr_assert_eq(b->count, 3);
    fixture_slot_free(heap, &slot[2]);
    buffer_shrink(b);
    cr_assert_eq(b->count, 1);
    hm_handle handle = fixture_alloc(heap, 10, 1);
    fixture_free(heap, handle);
    fixture_slot(heap, &slot[1], 10, 1);
    fixture_slot_free(heap, &slot[1]);
    buffer_shrink(b);
    cr_assert_eq(b->count, 2);
    cr_assert_null(hm_deref(heap, handle));
    fixture_stats(heap);
}

/* In 1 MiB of 8-byte units the kept bits of the place stand for several places. */
Test(buffer_list, a_lost_block_takes_all_places_it_can_have)
{
    struct hm_movable_options options = {.alignment = 8};
    struct hm_heap *heap = fixture_heap(1 << 20, &options);
    struct buffer *b = buffer_of(heap);
    char *slot = NULL;
    hm_handle before = fixture_alloc(heap, 400000, 1);
    fixture_slot(heap, &slot, 1000, 2);
    hm_handle between = fixture_alloc(heap, 400000, 3);
    hm_handle behind = fixture_alloc(heap, 1000, 4);
    char *address = slot;
    fixture_free(heap, before);
    fixture_free(heap, between);
    struct cursor c = cursor_find(b, b->head);
    cr_assert_eq(b->base + c.offset, address, "the slot decides");
    slot += 8;
    b->warned = true;
    c = cursor_find(b, b->head);
    cr_assert(cursor_lost(b, &c));
    cr_assert(b->base + c.offset < address && b->base + c.end > address + 1000);
    cr_assert_eq((size_t)(address - b->base - (ptrdiff_t)c.offset) % (8u << BUFFER_PLACE_BITS), 0);
    hm_handle handle;
    heap->kind->alloc(heap, 300000, false, &handle);
    fixture_compact(heap);
    fixture_holds(address, 1000, 2);
    fixture_holds(hm_deref(heap, behind), 1000, 4);
    slot -= 8;
    c = cursor_find(b,
                    heap_entry(heap, fixture_found(heap, &slot)) == &buffer_descriptor(b, 2)->entry ? 2 : 0);
    cr_assert_not(cursor_lost(b, &c));
    fixture_compact(heap);
    fixture_holds(slot, 1000, 2);
    cr_assert_eq(fixture_stats(heap).free_bytes, 0);
}

Test(buffer_list, slots_are_kept_at_each_place)
{
    struct hm_movable_options options = {.alignment = 8};
    struct hm_heap *heap = fixture_heap(1 << 20, &options);
    struct buffer *b = buffer_of(heap);
    static char *slot[30];
    for (int i = 0; i < 30; i++) {
        fixture_slot(heap, &slot[i], 30000 + (size_t)i, i);
    }
    struct cursor c = cursor_start(b);
    for (int i = 0; cursor_next(b, &c); i++) {
        cr_assert_eq(b->base + c.offset, slot[i]);
    }
    for (int i = 0; i < 30; i += 3) {
        fixture_slot_free(heap, &slot[i]);
    }
    fixture_compact(heap);
    c = cursor_start(b);
    for (int i = 0; i < 30; i++) {
        if (i % 3 != 0) {
            cr_assert(cursor_next(b, &c) && b->base + c.offset == slot[i]);
            fixture_holds(slot[i], 30000 + (size_t)i, i);
        }
    }
}
