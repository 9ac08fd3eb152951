#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>

#include "support/assert_panic.h"
#include "support/buffer_fixture.h"
#include "support/child.h"

Test(buffer, needs_a_kib_and_takes_little_of_it)
{
    cr_assert_null(buffer_create(fixture_memory, 1023, FIXTURE_NUMBER, NULL));
    cr_assert_null(buffer_create(fixture_memory, BUFFER_BYTES_MAX + 1, FIXTURE_NUMBER, NULL));
    struct hm_movable_options options = {.alignment = 32};
    cr_assert_null(buffer_create(fixture_memory, 4096, FIXTURE_NUMBER, &options));
    for (size_t shift = 0; shift < 16; shift++) {
        struct hm_heap *heap = buffer_create(fixture_memory + shift, 1024, FIXTURE_NUMBER, NULL);
        hm_handle handle = fixture_alloc(heap, 1024 - 256 - 16 - 16 - 24, 7);
        cr_assert_eq((uintptr_t)hm_deref(heap, handle) % 16, 0);
        cr_assert(fixture_stats(heap).metadata_bytes <= 256 + 24 + 16);
    }
}

/* Twelve blocks fill the buffer, seven are freed: 7 KiB in pieces of 3 at most, and 4 are asked for. */
Test(buffer, seven_kib_in_pieces_serve_a_request_for_four)
{
    struct hm_heap *heap = fixture_heap(12 * 1024 + 512, NULL);
    hm_handle block[12];
    for (int i = 0; i < 12; i++) {
        block[i] = fixture_alloc(heap, i == 11 ? 1000 - 288 : 1000, i);
    }
    for (int i = 0; i < 12; i += 2) {
        fixture_free(heap, block[i]);
    }
    fixture_free(heap, block[3]);
    cr_assert(fixture_stats(heap).largest_free < 4096);
    hm_handle large = fixture_alloc(heap, 4096, 99);
    for (int i = 1; i < 11; i += 2) {
        if (i != 3) {
            fixture_holds(hm_deref(heap, block[i]), 1000, i);
        }
    }
    fixture_holds(hm_deref(heap, large), 4096, 99);
    cr_assert(fixture_stats(heap).moved_blocks > 0);
}

Test(buffer, freed_handles_are_stale_for_ever)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle old[100];
    for (int i = 0; i < 100; i++) {
        old[i] = fixture_alloc(heap, 10, 1);
        fixture_free(heap, old[i]);
    }
    hm_handle now = fixture_alloc(heap, 10, 1);
    size_t size;
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(heap->kind->free(heap, old[i]), MOVABLE_STALE);
        cr_assert_eq(heap->kind->resize(heap, old[i], 5), MOVABLE_STALE);
        cr_assert_eq(heap->kind->size(heap, old[i], &size), MOVABLE_STALE);
        cr_assert_null(hm_deref(heap, old[i]));
        cr_assert_eq(entry_pin(heap_entry(heap, old[i]), old[i]), ENTRY_STALE);
    }
    cr_assert_null(hm_deref(heap, 0));
    cr_assert_eq(heap->kind->size(heap, now, &size), MOVABLE_OK);
    cr_assert_eq(size, 10);
}

Test(buffer, handles_that_were_never_given_are_stale)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle handle = fixture_alloc(heap, 10, 1);
    for (uint32_t low = 0; low < 600; low++) {
        hm_handle made_up = (handle & ~UINT64_C(0xffffffff)) | low;
        cr_assert_eq(heap->kind->free(heap, made_up), made_up == handle ? MOVABLE_OK : MOVABLE_STALE);
    }
    cr_assert_null(hm_deref(heap, handle | UINT32_MAX));
}

Test(buffer, an_entry_that_is_used_up_is_retired)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle first = fixture_alloc(heap, 10, 1);
    fixture_free(heap, first);
    atomic_store(&heap_entry(heap, first)->word, ENTRY_USES_LAST << ENTRY_GENERATION | ENTRY_FREE);
    hm_handle last = fixture_alloc(heap, 10, 1);
    cr_assert_eq((uint32_t)first, (uint32_t)last);
    fixture_free(heap, last);
    hm_handle other = fixture_alloc(heap, 10, 1);
    cr_assert_neq((uint32_t)first, (uint32_t)other);
    cr_assert_null(hm_deref(heap, last));
    fixture_stats(heap);
}

Test(buffer, slots_use_no_entry_up)
{
    struct hm_heap *heap = fixture_heap(1024, NULL);
    char *slot = NULL;
    fixture_slot(heap, &slot, 10, 1);
    hm_handle first = fixture_found(heap, &slot);
    for (int i = 0; i < 100; i++) {
        fixture_slot_free(heap, &slot);
        fixture_slot(heap, &slot, 10, 1);
    }
    cr_assert_eq(fixture_found(heap, &slot), first);
}

Test(buffer, calloc_clears_what_was_used)
{
    struct hm_heap *heap = fixture_heap(2048, NULL);
    fixture_free(heap, fixture_alloc(heap, 500, 0xff));
    hm_handle handle;
    cr_assert_eq(heap->kind->alloc(heap, 500, true, &handle), MOVABLE_OK);
    fixture_holds(hm_deref(heap, handle), 500, 0);
    cr_assert_eq(heap->kind->alloc(heap, SIZE_MAX, true, &handle), MOVABLE_NO_MEMORY);
    cr_assert_eq(heap->kind->alloc(heap, UINT32_MAX, true, &handle), MOVABLE_NO_MEMORY);
}

Test(buffer, freed_bytes_are_zero_if_asked_for)
{
    struct hm_movable_options options = {.alignment = 8, .flags = HM_MOVABLE_ZERO_ON_FREE};
    struct hm_heap *heap = fixture_heap(4096, &options);
    hm_handle first = fixture_alloc(heap, 100, 1);
    hm_handle second = fixture_alloc(heap, 300, 2);
    char *begin = hm_deref(heap, first);
    fixture_free(heap, first);
    fixture_holds(begin, 100, 0);
    fixture_compact(heap);
    fixture_holds(begin, 300, 2);
    fixture_holds(begin + 304, 100, 0);
    cr_assert_eq(heap->kind->resize(heap, second, 50), MOVABLE_OK);
    fixture_holds(begin + 50, 250, 0);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    fixture_holds(begin, 300, 0);
}

Test(buffer, reset_frees_all_or_nothing)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    char *slot = NULL;
    fixture_slot(heap, &slot, 100, 1);
    hm_handle handle = fixture_alloc(heap, 100, 2);
    fixture_pin(heap, handle);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_BUSY);
    fixture_holds(slot, 100, 1);
    fixture_unpin(heap, handle);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    cr_assert_null(slot);
    cr_assert_null(hm_deref(heap, handle));
    struct hm_movable_stats stats = fixture_stats(heap);
    cr_assert_eq(stats.live_blocks + stats.live_bytes + stats.granule_bytes + stats.free_bytes, 0);
    cr_assert_neq(fixture_alloc(heap, 100, 3), handle);
}

Test(buffer, pinned_blocks_are_neither_freed_nor_resized)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle handle = fixture_alloc(heap, 100, 1);
    char *address = fixture_pin(heap, handle);
    fixture_pin(heap, handle);
    cr_assert_eq(heap->kind->free(heap, handle), MOVABLE_BUSY);
    cr_assert_eq(heap->kind->resize(heap, handle, 50), MOVABLE_BUSY);
    fixture_unpin(heap, handle);
    cr_assert_eq(heap->kind->free(heap, handle), MOVABLE_BUSY);
    fixture_unpin(heap, handle);
    cr_assert_eq(entry_unpin(heap_entry(heap, handle), handle), ENTRY_UNPINNED);
    fixture_holds(address, 100, 1);
    fixture_free(heap, handle);
}

Test(buffer, sections_keep_what_is_freed)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle first = fixture_alloc(heap, 500, 1);
    hm_handle second = fixture_alloc(heap, 500, 2);
    heap->kind->read_enter(heap);
    const char *read = hm_deref(heap, first);
    const char *last = hm_deref(heap, second);
    fixture_free(heap, first);
    fixture_free(heap, second);
    hm_handle third = fixture_alloc(heap, 500, 3);
    hm_handle handle;
    fixture_holds(read, 500, 1);
    fixture_holds(last, 500, 2);
    cr_assert_eq(heap->kind->alloc(heap, 2500, false, &handle), MOVABLE_NO_MEMORY);
    struct hm_compact_result result = fixture_compact(heap);
    cr_assert_eq(result.moved_blocks, 0);
    cr_assert(result.done && result.waiting_bytes >= 1000);
    heap->kind->read_leave(heap);
    cr_assert_eq(heap->kind->alloc(heap, 2500, false, &handle), MOVABLE_OK);
    fixture_holds(hm_deref(heap, third), 500, 3);
}

Test(buffer, after_the_sections_freed_memory_is_used_again)
{
    struct hm_movable_options options = {.flags = HM_MOVABLE_NO_RESCUE};
    struct hm_heap *heap = fixture_heap(4096, &options);
    hm_handle first = fixture_alloc(heap, 1500, 1);
    fixture_alloc(heap, 1500, 2);
    hm_handle handle;
    heap->kind->read_enter(heap);
    fixture_free(heap, first);
    cr_assert_eq(heap->kind->alloc(heap, 1000, false, &handle), MOVABLE_NO_MEMORY);
    heap->kind->read_leave(heap);
    cr_assert_eq(heap->kind->alloc(heap, 1000, false, &handle), MOVABLE_OK);
    cr_assert_eq(hm_deref(heap, handle), buffer_of(heap)->base);
}

static void *leave_later(void *argument)
{
    struct hm_heap *heap = argument;
    usleep(20000);
    heap->kind->read_leave(heap);
    return NULL;
}

Test(buffer, synchronize_waits_for_sections)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    pthread_t thread;
    heap->kind->read_enter(heap);
    pthread_create(&thread, NULL, leave_later, heap);
    heap->kind->read_synchronize(heap);
    cr_assert_eq(atomic_load(&buffer_of(heap)->readers), 0);
    pthread_join(thread, NULL);
}

static void leave(void *heap)
{
    buffer_of(heap)->heap.kind->read_leave(heap);
}

Test(buffer, a_section_is_left_as_often_as_entered)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    heap->kind->read_enter(heap);
    heap->kind->read_enter(heap);
    leave(heap);
    leave(heap);
    assert_panic(leave, heap, "hm_read_leave in heap ");
    /* What was open at a fork isn't any more, and may be left all the same. */
    heap->kind->read_enter(heap);
    heap->kind->read_enter(heap);
    heap->kind->fork_prepare(heap);
    heap->kind->fork_child(heap);
    cr_assert_eq(atomic_load(&buffer_of(heap)->readers), 0);
    heap->kind->read_enter(heap);
    leave(heap);
    leave(heap);
    heap->kind->fork_prepare(heap);
    heap->kind->fork_child(heap);
    leave(heap);
    assert_panic(leave, heap, "no read section is open");
}

Test(buffer, the_child_of_fork_has_no_sections_and_no_lock_held)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    fixture_free(heap, fixture_alloc(heap, 100, 1));
    fixture_alloc(heap, 100, 2);
    heap->kind->read_enter(heap);
    heap->kind->fork_prepare(heap);
    heap->kind->fork_child(heap);
    fixture_compact(heap);
    heap->kind->fork_prepare(heap);
    heap->kind->fork_parent(heap);
    cr_assert_eq(fixture_stats(heap).free_bytes, 0);
}

Test(buffer, indices_find_blocks_with_handles_only)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    char *slot = NULL;
    hm_handle first = fixture_alloc(heap, 100, 1);
    hm_handle second = fixture_alloc(heap, 100, 1);
    fixture_slot(heap, &slot, 100, 1);
    cr_assert_eq(heap->kind->index(heap, first), 1);
    cr_assert_eq(heap->kind->index(heap, second), 2);
    cr_assert_eq(heap->kind->at_index(heap, 1), first);
    cr_assert_eq(heap->kind->at_index(heap, 2), second);
    cr_assert_eq(heap->kind->at_index(heap, 3) + heap->kind->at_index(heap, 0) +
                     heap->kind->at_index(heap, UINT32_MAX),
                 0);
    fixture_free(heap, first);
    cr_assert_eq(heap->kind->at_index(heap, 1), 0);
}

Test(buffer, what_only_growing_heaps_can_do_is_refused)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle handle = fixture_alloc(heap, 100, 1);
    void *address;
    cr_assert_eq(heap->kind->tag(heap, handle, "a"), MOVABLE_UNSUPPORTED);
    cr_assert_eq(heap->kind->pin_tagged(heap, handle, "a", &address), MOVABLE_UNSUPPORTED);
    cr_assert_eq(heap->kind->pin_report(heap, NULL, 0), 0);
}

Test(buffer, outside_every_byte_is_for_blocks)
{
    static uint64_t control[(256 + 24 * 10) / 8];
    char memory[100];
    char *slot[11] = {NULL};
    hm_handle handle;
    struct hm_movable_options options = {.alignment = 1};
    struct hm_heap *heap = buffer_create_outside(memory, sizeof(memory), control, 10, &options);
    cr_assert_eq(heap->kind->alloc(heap, 1, false, &handle), MOVABLE_UNSUPPORTED);
    for (int i = 0; i < 10; i++) {
        fixture_slot(heap, &slot[i], 10, i);
        cr_assert_eq(slot[i], memory + (size_t)i * 10);
    }
    cr_assert_eq(heap->kind->slot_alloc(heap, &slot[10], 0), MOVABLE_NO_MEMORY);
    for (int i = 0; i < 10; i += 2) {
        fixture_slot_free(heap, &slot[i]);
    }
    fixture_slot(heap, &slot[0], 50, 77);
    for (int i = 1; i < 10; i += 2) {
        fixture_holds(slot[i], 10, i);
    }
    fixture_holds(slot[0], 50, 77);
    cr_assert_null(buffer_create_outside(memory, 10, (char *)control + 4, 10, NULL));
    options.alignment = 12;
    cr_assert_null(buffer_create_outside(memory, 10, control, 10, &options));
}

Test(buffer, blocks_are_listed_in_order)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    struct buffer_block block;
    char *slot = NULL;
    hm_handle first = fixture_alloc(heap, 100, 1);
    fixture_slot(heap, &slot, 50, 2);
    cr_assert(buffer_block_at(heap, 0, &block));
    cr_assert(block.address == hm_deref(heap, first) && block.bytes == 100 && block.slot == NULL);
    cr_assert(buffer_block_at(heap, 1, &block));
    cr_assert(block.address == slot && block.bytes == 50 && block.slot == &slot);
    cr_assert_not(buffer_block_at(heap, 2, &block));
}
