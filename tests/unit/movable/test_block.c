#define _GNU_SOURCE 1

#include <unistd.h>

#include "support/assert_panic.h"
#include "support/growing_heap.h"

TestSuite(block, .fini = teardown, .timeout = 20);

static void check_found(hm_handle handle, size_t size, bool large)
{
    struct mblock block;
    uintptr_t at = (uintptr_t)hm_deref(heap, handle);
    cr_assert(block_at(growing, at, &block));
    cr_assert_eq(block.entry, heap_entry(heap, handle));
    cr_assert_eq(block.index * MTABLE_LOW, (uint32_t)handle);
    cr_assert_eq(block.size, size);
    cr_assert((block.large != NULL) == large && (block.chunk != NULL) == !large);
}

Test(block, is_found_by_where_it_begins)
{
    use(NULL);
    struct mblock block;
    hm_handle small = g_alloc(heap, 100);
    hm_handle large = g_alloc(heap, 2 * MIB);
    check_found(small, 100, false);
    check_found(large, 2 * MIB, true);
    uintptr_t at = (uintptr_t)hm_deref(heap, small);
    cr_assert_neq(at, 0);
    atomic_store(header_at(at), header_block((uint32_t)small / MTABLE_LOW, 8, 0));
    atomic_store(header_at(at + 8), HEADER_DEAD);
    cr_assert_not(block_at(growing, at + 16, &block), "what lies in a block is no header");
    cr_assert_not(block_at(growing, at + 8, &block), "misaligned");
    cr_assert_not(block_at(growing, growing->lane[0].base, &block), "before the first one");
    cr_assert_not(block_at(growing, (uintptr_t)&block, &block), "not of the heap");
    cr_assert_not(block_at(growing, (uintptr_t)hm_deref(heap, large) + 4096, &block));
    uint64_t header = atomic_exchange(header_of(at), header_dead(112, (uint32_t)small / MTABLE_LOW));
    cr_assert_not(block_at(growing, at, &block), "dead, in an epoch that is the number of an entry");
    atomic_store(header_of(at), header);
    heap->kind->read_enter(heap);
    uintptr_t gone = (uintptr_t)hm_deref(heap, large);
    cr_assert_eq(g_free(heap, large), MOVABLE_OK);
    cr_assert_eq(g_free(heap, small), MOVABLE_OK);
    cr_assert_not(block_at(growing, at, &block));
    cr_assert_not(block_at(growing, gone, &block));
    heap->kind->read_leave(heap);
}

static void look_at_overwritten_slot(void *arg)
{
    hm_handle *handle = arg;
    struct mentry *entry = heap_entry(heap, *handle);
    struct mblock block;
    uintptr_t *slot = (uintptr_t *)entry_address(entry);
    *slot = (uintptr_t)&block;
    block_of_entry(growing, entry, entry_word(entry), &block);
}

Test(block, of_an_entry_is_where_the_slot_says)
{
    use(NULL);
    static void *slot;
    hm_handle handle;
    struct mblock block;
    cr_assert_eq(heap->kind->slot_alloc(heap, &slot, 70), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_find(heap, &slot, &handle), MOVABLE_OK);
    struct mentry *entry = heap_entry(heap, handle);
    block_of_entry(growing, entry, entry_word(entry), &block);
    cr_assert(block.at == (uintptr_t)slot && block.size == 70);
    assert_panic(look_at_overwritten_slot, &handle, "a slot was overwritten");
}

Test(block, requests_that_cant_be_met_change_nothing)
{
    use(&(struct hm_movable_options){.max_handles = 4096});
    hm_handle handle;
    size_t made = 0;
    cr_assert_eq(heap->kind->alloc(heap, SIZE_MAX - 4, false, &handle), MOVABLE_NO_MEMORY);
    cr_assert_eq(heap->kind->alloc(heap, (size_t)PTRDIFF_MAX + 1, false, &handle), MOVABLE_NO_MEMORY);
    while (heap->kind->alloc(heap, 8, false, &handle) == MOVABLE_OK) {
        made++;
    }
    cr_assert_geq(made, 4000);
    size_t held = g_stats(heap).held_bytes;
    cr_assert_eq(heap->kind->alloc(heap, MIB, false, &handle), MOVABLE_NO_MEMORY, "no entry for it");
    cr_assert_leq(g_stats(heap).held_bytes, held);
    cr_assert_eq(g_stats(heap).live_blocks, made);
}

Test(block, memory_is_zero_if_asked_for)
{
    use(NULL);
    hm_handle keep = g_alloc(heap, 16);
    for (size_t size = 1; size <= 70 * KIB; size *= 3) {
        hm_handle handle = g_alloc(heap, size);
        memset(hm_deref(heap, handle), 'x', size);
        cr_assert_eq(g_free(heap, handle), MOVABLE_OK);
        cr_assert_eq(heap->kind->alloc(heap, size, true, &handle), MOVABLE_OK);
        const char *bytes = hm_deref(heap, handle);
        cr_assert(bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
        cr_assert_eq(g_free(heap, handle), MOVABLE_OK);
    }
    cr_assert_eq(g_free(heap, keep), MOVABLE_OK);
}

static enum movable_result free_generally(hm_handle handle)
{
    return heap->kind->free(heap, handle);
}

Test(block, a_free_waits_for_a_move_without_the_lanes_lock)
{
    use(NULL);
    struct kept_waiting waiting = {.verb = free_generally, .handle = g_alloc(heap, 30)};
    kept_waiting_begin(&waiting);
    for (int i = 0; i < 200; i++) {
        for (unsigned j = 0; j <= growing->lane_mask; j++) {
            movable_lock(&growing->lane[j].lock, true);
            movable_unlock(&growing->lane[j].lock, true);
        }
        usleep(100);
    }
    cr_assert_eq(kept_waiting_end(&waiting), MOVABLE_OK);
    cr_assert_eq(free_generally(waiting.handle), MOVABLE_STALE);
}

Test(block, entries_dont_pile_up_in_a_lane)
{
    use(NULL);
    static hm_handle handles[3000];
    for (size_t i = 0; i < 3000; i++) {
        handles[i] = g_alloc(heap, 10);
    }
    for (size_t i = 0; i < 3000; i++) {
        cr_assert_eq(heap->kind->free(heap, handles[i]), MOVABLE_OK);
    }
    cr_assert_leq(growing->lane[0].entries.count, 256);
    cr_assert_gt(growing->table.free_count, 2000);
}

Test(block, a_place_without_a_name_is_neither_moved_nor_used)
{
    use(NULL);
    struct place small;
    struct place large;
    cr_assert(block_make(growing, 500, 0, &small));
    cr_assert(block_make(growing, MIB, 0, &large));
    cr_assert(small.chunk != NULL && small.large == NULL && small.size == 500);
    cr_assert(large.chunk == NULL && large.large != NULL && large.at == large.large->span.addr);
    memset((void *)small.at, 'x', 500);
    struct mblock block;
    cr_assert_not(block_at(growing, small.at, &block));
    heap->kind->verify(heap);
    g_compact(heap);
    const char *bytes = (const char *)small.at;
    cr_assert(bytes[0] == 'x' && memcmp(bytes, bytes + 1, 499) == 0);
    heap->kind->verify(heap);
    block_unmake(growing, &small);
    block_unmake(growing, &large);
    cr_assert_eq(g_stats(heap).live_blocks, 0);
    cr_assert_not(block_make(growing, SIZE_MAX / 2 + 5, 0, &large));
}

Test(block, a_rescue_says_whether_it_won_anything)
{
    use(&(struct hm_movable_options){.max_bytes = 8 * MIB});
    static hm_handle handles[5000];
    size_t made = 0;
    while (made < 5000) {
        handles[made++] = g_alloc(heap, 1000);
    }
    cr_assert_not(block_rescue(growing, 0), "it is dense");
    for (size_t i = 0; i < made; i++) {
        if (i % 4 != 0) {
            g_free(heap, handles[i]);
        }
    }
    growing->heap.options.flags |= HM_MOVABLE_NO_RESCUE;
    cr_assert_not(block_rescue(growing, 0), "it isn't wanted");
    growing->heap.options.flags = 0;
    cr_assert(block_rescue(growing, 0));
}
