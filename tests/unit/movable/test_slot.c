#include "support/child.h"
#include "support/growing_heap.h"

TestSuite(slot, .fini = teardown);

static void *slots[4];

static hm_handle make(void *slot, size_t size)
{
    hm_handle handle;
    cr_assert_eq(heap->kind->slot_alloc(heap, slot, size), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_find(heap, slot, &handle), MOVABLE_OK);
    cr_assert_neq(handle, 0);
    return handle;
}

Test(slot, is_found_by_its_variable)
{
    hm_handle handle;
    use(NULL);
    cr_assert_eq(heap->kind->slot_find(heap, &slots[0], &handle), MOVABLE_OK, "NULL has no block");
    cr_assert_eq(handle, 0);
    hm_handle first = make(&slots[0], 40);
    cr_assert_eq(entry_address(heap_entry(heap, first)), (uintptr_t)&slots[0]);
    cr_assert_eq(heap->kind->slot_find(heap, (char *)slots + 4, &handle), MOVABLE_INVALID);
    cr_assert_eq(heap->kind->slot_find(heap, NULL, &handle), MOVABLE_INVALID);
    slots[1] = slots[0];
    cr_assert_eq(heap->kind->slot_find(heap, &slots[1], &handle), MOVABLE_STALE, "a copy");
    slots[1] = &handle;
    cr_assert_eq(heap->kind->slot_find(heap, &slots[1], &handle), MOVABLE_STALE, "a stranger's address");
    slots[1] = hm_deref(heap, g_alloc(heap, 30));
    cr_assert_eq(heap->kind->slot_find(heap, &slots[1], &handle), MOVABLE_STALE, "a block with a handle");
    slots[1] = NULL;
    cr_assert_eq(g_free(heap, first), MOVABLE_OK);
    cr_assert_null(slots[0]);
    cr_assert_eq(g_stats(heap).slots, 0);
}

Test(slot, is_taken_once)
{
    use(&(struct hm_movable_options){.max_bytes = 4 * MIB});
    make(&slots[0], 40);
    void *before = slots[0];
    cr_assert_eq(heap->kind->slot_alloc(heap, &slots[0], 40), MOVABLE_INVALID);
    cr_assert_eq(slots[0], before);
    cr_assert_eq(heap->kind->slot_alloc(heap, (char *)slots + 12, 40), MOVABLE_INVALID);
    slots[1] = &before;
    cr_assert_eq(heap->kind->slot_alloc(heap, &slots[1], 16 * MIB), MOVABLE_NO_MEMORY);
    cr_assert_null(slots[1], "not what an uninitialised variable held");
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
}

Test(slot, hands_its_block_over)
{
    use(NULL);
    hm_handle handle = make(&slots[0], 40);
    hm_handle other = make(&slots[1], 40);
    void *block = slots[0];
    cr_assert_eq(heap->kind->slot_move(heap, handle, &slots[1]), MOVABLE_INVALID, "it has a block");
    cr_assert_eq(heap->kind->slot_move(heap, handle, &slots[2]), MOVABLE_OK);
    cr_assert_null(slots[0]);
    cr_assert_eq(slots[2], block);
    cr_assert_eq(entry_address(heap_entry(heap, handle)), (uintptr_t)&slots[2]);
    cr_assert_eq(entry_word(heap_entry(heap, handle)) & ENTRY_PINS, 0);
    cr_assert_eq(g_free(heap, other), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_move(heap, other, &slots[1]), MOVABLE_STALE);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    cr_assert_null(slots[2]);
}

Test(slot, is_found_by_the_blocks_beginning)
{
    use(NULL);
    make(&slots[0], 200);
    char *block = slots[0];
    cr_assert_eq(heap->kind->slot_of(heap, block), &slots[0]);
    memset(block, 0xff, 200);
    cr_assert_null(heap->kind->slot_of(heap, block + 16));
    cr_assert_null(heap->kind->slot_of(heap, &slots[0]));
    cr_assert_null(heap->kind->slot_of(heap, hm_deref(heap, g_alloc(heap, 5))));
    slots[0] = NULL;
    cr_assert_null(heap->kind->slot_of(heap, block), "it holds its block no more");
    slots[0] = block;
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
}

/* The entry of a block with a handle holds an address, too: that of the block. */
Test(slot, is_not_what_a_block_with_a_handle_begins_with)
{
    hm_handle handle;
    use(NULL);
    void **block = hm_deref(heap, g_alloc(heap, 30));
    *block = block;
    cr_assert_eq(heap->kind->slot_find(heap, block, &handle), MOVABLE_STALE);
    cr_assert_null(heap->kind->slot_of(heap, block));
}

static void lose_two(void *arg)
{
    (void)arg;
    slots[0] = NULL;
    slots[2] = slots[1];
    size_t first = heap->kind->slot_check(heap);
    size_t second = heap->kind->slot_check(heap);
    exit(first == 2 && second == 2 ? 7 : 1);
}

Test(slot, those_that_are_lost_are_counted_with_one_warning)
{
    use(&(struct hm_movable_options){.name = "test"});
    for (int i = 0; i < 4; i++) {
        make(&slots[i], 60);
    }
    cr_assert_eq(heap->kind->slot_check(heap), 0);
    struct child child = child_run(lose_two, NULL);
    cr_assert_eq(child.code, 7, "%s", child.errors);
    const char *warning = strstr(child.errors, "doesn't hold its block any more");
    cr_assert_not_null(warning);
    cr_assert_null(strstr(warning + 1, "doesn't hold"));
    cr_assert_not_null(strstr(child.errors, "movable heap test"));
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
}

static void check_while_moving(void *arg)
{
    struct mentry *entry = heap_entry(heap, *(hm_handle *)arg);
    uint64_t word = entry_word(entry);
    slots[0] = NULL;
    entry_move_begin(entry, word);
    size_t meanwhile = heap->kind->slot_check(heap);
    entry_move_end(entry, word);
    exit(meanwhile == 0 && heap->kind->slot_check(heap) == 1 ? 7 : 1);
}

Test(slot, is_not_judged_while_its_block_is_being_moved)
{
    use(NULL);
    hm_handle handle = make(&slots[0], 60);
    struct child child = child_run(check_while_moving, &handle);
    cr_assert_eq(child.code, 7, "%s", child.errors);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
}

Test(slot, moves_with_its_block)
{
    static void *many[4000];
    use(NULL);
    for (size_t i = 0; i < 4000; i++) {
        g_fill((make(&many[i], 300), many[i]), 300, i);
    }
    for (size_t i = 0; i < 4000; i++) {
        hm_handle handle;
        if (i % 5 != 0) {
            heap->kind->slot_find(heap, &many[i], &handle);
            cr_assert_eq(g_free(heap, handle), MOVABLE_OK);
        }
    }
    cr_assert_gt(g_compact(heap).moved_blocks, 100);
    for (size_t i = 0; i < 4000; i++) {
        cr_assert(i % 5 != 0 ? many[i] == NULL : g_filled(many[i], 300, i));
        cr_assert(many[i] == NULL || heap->kind->slot_of(heap, many[i]) == &many[i]);
    }
    cr_assert_eq(heap->kind->slot_check(heap), 0);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
}
