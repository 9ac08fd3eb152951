#include <criterion/criterion.h>
#include <unistd.h>

#include "movable/buffer_slots.h"
#include "support/assert_panic.h"
#include "support/buffer_fixture.h"

Test(buffer_slots, a_slot_that_has_a_block_is_refused)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    char *slot = NULL;
    fixture_slot(heap, &slot, 100, 1);
    char *block = slot;
    cr_assert_eq(heap->kind->slot_alloc(heap, &slot, 50), MOVABLE_INVALID);
    cr_assert_eq(slot, block);
    cr_assert_eq(fixture_stats(heap).live_blocks, 1);
}

Test(buffer_slots, misaligned_slots_are_refused)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    char *slots[2] = {NULL, NULL};
    hm_handle handle;
    cr_assert_eq(heap->kind->slot_alloc(heap, (char *)slots + 4, 50), MOVABLE_INVALID);
    cr_assert_eq(heap->kind->slot_find(heap, (char *)slots + 4, &handle), MOVABLE_INVALID);
    fixture_slot(heap, &slots[0], 50, 1);
    cr_assert_eq(heap->kind->slot_move(heap, fixture_found(heap, &slots[0]), (char *)slots + 4),
                 MOVABLE_INVALID);
}

/* Heaps with small alignment take slots at any address: those that share bytes with another are refused. */
Test(buffer_slots, overlapping_slots_are_refused)
{
    static uint64_t control[(256 + 24 * 10) / 8];
    char memory[200];
    char variables[40];
    struct hm_movable_options options = {.alignment = 4};
    struct hm_heap *heap = buffer_create_outside(memory, sizeof(memory), control, 10, &options);
    memset(variables, 0, sizeof(variables));
    cr_assert_eq(heap->kind->slot_alloc(heap, variables + 12, 20), MOVABLE_OK);
    for (int at = 0; at <= 24; at++) {
        if (at > 4 && at < 20) {
            cr_assert_eq(heap->kind->slot_alloc(heap, variables + at, 20), MOVABLE_INVALID, "at %d", at);
        }
    }
    cr_assert_eq(heap->kind->slot_alloc(heap, variables + 4, 20), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_alloc(heap, variables + 20, 20), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_check(heap), 0);
}

Test(buffer_slots, a_slot_in_the_heap_must_lie_in_a_block)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    char *slot = NULL;
    hm_handle block = fixture_alloc(heap, 20, 0);
    char **in = hm_deref(heap, block);
    fixture_alloc(heap, 16, 0);
    cr_assert_eq(heap->kind->slot_alloc(heap, in + 1, 10), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_alloc(heap, in + 2, 10), MOVABLE_INVALID, "it doesn't end in the block");
    fixture_free(heap, block);
    cr_assert_eq(heap->kind->slot_alloc(heap, in, 10), MOVABLE_INVALID, "free memory");
    cr_assert_eq(heap->kind->slot_alloc(heap, heap, 10), MOVABLE_INVALID, "the control structure");
    cr_assert_eq(heap->kind->slot_alloc(heap, &slot, 10), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_move(heap, fixture_found(heap, &slot), in), MOVABLE_INVALID);
}

Test(buffer_slots, blocks_change_hands)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    char *from = NULL;
    char *to = NULL;
    char *other = NULL;
    fixture_slot(heap, &from, 100, 1);
    fixture_slot(heap, &other, 100, 2);
    char *block = from;
    cr_assert_eq(heap->kind->slot_move(heap, fixture_found(heap, &from), &other), MOVABLE_INVALID);
    cr_assert_eq(heap->kind->slot_move(heap, fixture_found(heap, &from), &from), MOVABLE_INVALID);
    cr_assert_eq(heap->kind->slot_move(heap, fixture_found(heap, &from), &to), MOVABLE_OK);
    cr_assert(from == NULL && to == block);
    cr_assert_eq(heap->kind->slot_of(heap, block), &to);
    hm_handle handle;
    from = block;
    cr_assert_eq(heap->kind->slot_find(heap, &from, &handle), MOVABLE_STALE);
    hm_handle named = fixture_alloc(heap, 10, 3);
    cr_assert_eq(heap->kind->slot_move(heap, named, &from), MOVABLE_STALE, "it has a handle, no slot");
    fixture_slot_free(heap, &to);
}

Test(buffer_slots, slot_of_wants_the_beginning)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    char *slot = NULL;
    hm_handle handle = fixture_alloc(heap, 100, 1);
    fixture_slot(heap, &slot, 100, 1);
    cr_assert_eq(heap->kind->slot_of(heap, slot), &slot);
    cr_assert_null(heap->kind->slot_of(heap, slot + 1));
    cr_assert_null(heap->kind->slot_of(heap, hm_deref(heap, handle)));
    cr_assert_null(heap->kind->slot_of(heap, &slot));
    cr_assert_null(heap->kind->slot_of(heap, NULL));
}

static void lose(void *unused)
{
    (void)unused;
    static char *slot[3];
    struct hm_heap *heap = fixture_heap(4096, NULL);
    for (int i = 0; i < 3; i++) {
        fixture_slot(heap, &slot[i], 100, 1);
    }
    slot[0]++;
    slot[2] = NULL;
    size_t lost = heap->kind->slot_check(heap);
    lost += heap->kind->slot_check(heap);
    _exit((int)lost);
}

Test(buffer_slots, lost_slots_are_counted_with_one_warning)
{
    struct child child = child_run(lose, NULL);
    cr_assert(child.exited && child.code == 4, "%d %s", child.code, child.errors);
    cr_assert_not_null(strstr(child.errors, "hmalloc: warning: slot 0x"));
    cr_assert_not_null(strstr(child.errors, "of its block of 100 bytes"));
    cr_assert_eq(strchr(child.errors, '\n')[1], 0, "%s", child.errors);
}

/* The variable of an ended function, at the same address in the next call. */
static HM_NOINLINE void forgetful(struct hm_heap *heap, size_t *lost)
{
    char *slot = NULL;
    fixture_slot(heap, &slot, 100, 1);
    slot = NULL;
    *lost = heap->kind->slot_check(heap);
}

Test(buffer_slots, a_slot_whose_function_ended_can_be_one_again)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    buffer_of(heap)->warned = true;
    size_t lost;
    for (size_t i = 1; i < 10; i++) {
        forgetful(heap, &lost);
        cr_assert_eq(lost, i);
    }
    cr_assert_eq(fixture_stats(heap).live_blocks, 9);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    cr_assert_eq(fixture_stats(heap).live_blocks, 0);
}

/* A block with a slot in it is freed, or shrunk to before the slot: nothing is ever written there again. */
Test(buffer_slots, slots_end_with_the_memory_they_lie_in)
{
    struct hm_movable_options options = {.alignment = 8};
    for (int shrink = 0; shrink < 2; shrink++) {
        struct hm_heap *heap = fixture_heap(4096, &options);
        buffer_of(heap)->warned = true;
        hm_handle gap = fixture_alloc(heap, 100, 0);
        hm_handle outer = fixture_alloc(heap, 64, 0);
        char **slot = hm_deref(heap, outer);
        fixture_slot(heap, slot + 7, 100, 1);
        char *block = slot[7];
        if (shrink) {
            cr_assert_eq(heap->kind->resize(heap, outer, 56), MOVABLE_OK);
        } else {
            fixture_free(heap, outer);
        }
        slot[7] = block;
        fixture_free(heap, gap);
        cr_assert_eq(fixture_compact(heap).skipped_lost, 1);
        fixture_holds(block, 100, 1);
        cr_assert_eq(heap->kind->slot_check(heap), 1);
    }
}

Test(buffer_slots, the_container_of_the_calls_slot_stays)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle gap = fixture_alloc(heap, 2000, 0);
    hm_handle outer = fixture_alloc(heap, 1000, 0);
    char **slot = hm_deref(heap, outer);
    fixture_free(heap, gap);
    cr_assert_eq(heap->kind->slot_alloc(heap, slot, 2500), MOVABLE_NO_MEMORY);
    cr_assert_null(*slot);
    cr_assert_eq(hm_deref(heap, outer), slot);
    fixture_slot(heap, slot, 1900, 1);
    cr_assert_eq(hm_deref(heap, outer), slot);
    cr_assert_eq(heap->kind->resize(heap, fixture_found(heap, slot), 2500), MOVABLE_NO_MEMORY);
    cr_assert_eq(hm_deref(heap, outer), slot);
    fixture_holds(*slot, 1900, 1);
}

Test(buffer_slots, a_slot_may_lie_in_its_own_block)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    hm_handle gap = fixture_alloc(heap, 100, 0);
    char *slot = NULL;
    fixture_slot(heap, &slot, 100, 1);
    char **self = (char **)(void *)slot;
    cr_assert_eq(heap->kind->slot_move(heap, fixture_found(heap, &slot), self), MOVABLE_OK);
    fixture_free(heap, gap);
    fixture_compact(heap);
    self = (char **)(void *)buffer_of(heap)->base;
    cr_assert_eq(*self, (char *)self);
    fixture_holds((char *)(self + 1), 92, 1);
    hm_handle behind = fixture_alloc(heap, 100, 2);
    cr_assert_eq(heap->kind->resize(heap, fixture_found(heap, self), 200), MOVABLE_NO_MEMORY,
                 "the call's slot lies in it: it can't move");
    cr_assert_eq(*self, (char *)self);
    fixture_free(heap, behind);
    fixture_slot_free(heap, self);
    cr_assert_eq(fixture_stats(heap).live_blocks, 0);
}
