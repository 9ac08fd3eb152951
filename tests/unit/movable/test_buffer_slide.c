#include <criterion/criterion.h>

#include "support/buffer_fixture.h"

struct witness {
    const void *vetoed;
    int asked;
    int moved;
    char first; /* byte of the block that moved last */
};

static bool witness(void *context, enum hm_move what, void *from, void *to, size_t size)
{
    struct witness *w = context;
    cr_assert(to < from && size > 0);
    if (what == HM_MOVE_ASK) {
        w->asked++;
        return from != w->vetoed;
    }
    w->moved++;
    w->first = *(char *)to;
    return false;
}

static struct hm_heap *gappy(struct witness *w, unsigned flags, hm_handle *handle, size_t n)
{
    struct hm_movable_options options = {.on_move = w == NULL ? NULL : witness, .context = w, .flags = flags};
    struct hm_heap *heap = fixture_heap(1 << 16, &options);
    for (size_t i = 0; i < n; i++) {
        fixture_free(heap, fixture_alloc(heap, 16, 0));
        hm_handle gap = fixture_alloc(heap, 100, 0);
        handle[i] = fixture_alloc(heap, 100, (int)i);
        fixture_free(heap, gap);
    }
    return heap;
}

Test(buffer_slide, a_step_stays_in_its_budget)
{
    hm_handle handle[10];
    struct hm_heap *heap = gappy(NULL, 0, handle, 10);
    size_t blocks = 0;
    for (int step = 0; step < 5; step++) {
        struct hm_compact_result result = heap->kind->compact(heap, (struct hm_budget){200, 0}, true);
        cr_assert_eq(result.moved_bytes, 200);
        cr_assert_eq(result.moved_blocks, 2);
        cr_assert_eq(result.done, step == 4);
        cr_assert_eq(result.left_bytes, fixture_stats(heap).free_bytes);
        blocks += result.moved_blocks;
    }
    cr_assert_eq(blocks, 10);
    cr_assert_eq(fixture_stats(heap).free_bytes, 0);
    for (int i = 0; i < 10; i++) {
        fixture_holds(hm_deref(heap, handle[i]), 100, i);
    }
    struct hm_compact_result result = fixture_compact(heap);
    cr_assert(result.done && result.moved_blocks == 0 && result.released_bytes == 0);
}

Test(buffer_slide, a_step_with_little_time_moves_one_block)
{
    hm_handle handle[3];
    struct hm_heap *heap = gappy(NULL, 0, handle, 3);
    struct hm_compact_result result = heap->kind->compact(heap, (struct hm_budget){0, 1}, true);
    cr_assert_eq(result.moved_blocks, 1);
    cr_assert_not(result.done);
}

Test(buffer_slide, pinned_and_vetoed_blocks_stay)
{
    struct witness w = {0};
    hm_handle handle[4];
    struct hm_heap *heap = gappy(&w, 0, handle, 4);
    char *pinned = fixture_pin(heap, handle[1]);
    w.vetoed = hm_deref(heap, handle[2]);
    struct hm_compact_result result = fixture_compact(heap);
    cr_assert_eq(result.skipped_pinned, 1);
    cr_assert_eq(result.skipped_vetoed, 1);
    cr_assert_eq(result.moved_blocks, 2);
    cr_assert_eq(w.asked, 3);
    cr_assert_eq(w.moved, 2);
    cr_assert_eq(w.first, 3);
    cr_assert_eq(hm_deref(heap, handle[1]), pinned);
    cr_assert_eq(hm_deref(heap, handle[2]), w.vetoed);
    fixture_unpin(heap, handle[1]);
    w.vetoed = NULL;
    result = fixture_compact(heap);
    cr_assert_eq(result.left_bytes, 0);
    cr_assert(result.released_bytes > 0);
}

Test(buffer_slide, nobody_moves_slots_in_the_background)
{
    struct hm_movable_options options = {.flags = 0};
    for (int allowed = 0; allowed < 2; allowed++) {
        struct hm_heap *heap = fixture_heap(4096, &options);
        char *slot = NULL;
        hm_handle gap = fixture_alloc(heap, 100, 1);
        fixture_slot(heap, &slot, 100, 2);
        fixture_free(heap, gap);
        char *before = slot;
        struct hm_compact_result result = heap->kind->compact(heap, (struct hm_budget){0, 0}, false);
        cr_assert_eq(result.skipped_slots, allowed ? 0 : 1);
        cr_assert_eq(slot < before, allowed);
        fixture_holds(slot, 100, 2);
        options.flags = HM_MOVABLE_SLOTS_PINNED;
    }
}

/* Blocks of slots move, with the slots in them, by sliding, by a copy, and by rotation. */
struct node {
    char *child;
    char bytes[92];
};

static void check_nodes(struct hm_heap *heap, char **slot)
{
    struct node *node = (struct node *)(void *)*slot;
    fixture_holds(node->bytes, 92, 1);
    fixture_holds(node->child, 100, 2);
    cr_assert_eq(heap->kind->slot_of(heap, node->child), &node->child);
    cr_assert_eq(heap->kind->slot_check(heap), 0);
    fixture_stats(heap);
}

Test(buffer_slide, slots_move_with_the_block_they_lie_in)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    char *slot = NULL;
    hm_handle gap = fixture_alloc(heap, 100, 0);
    fixture_slot(heap, &slot, sizeof(struct node), 1);
    struct node *node = (struct node *)(void *)slot;
    hm_handle other = fixture_alloc(heap, 1000, 7);
    node->child = NULL;
    fixture_slot(heap, &node->child, 100, 2);
    fixture_free(heap, gap);
    fixture_compact(heap);
    cr_assert_neq((void *)node, (void *)slot);
    check_nodes(heap, &slot);
    cr_assert_eq(heap->kind->resize(heap, fixture_found(heap, &slot), 1000), MOVABLE_OK);
    cr_assert(slot > (char *)hm_deref(heap, other), "copied");
    check_nodes(heap, &slot);
    fixture_compact(heap);
    fixture_alloc(heap, 800, 8);
    cr_assert_eq(heap->kind->resize(heap, fixture_found(heap, &slot), 1200), MOVABLE_OK, "rotated");
    check_nodes(heap, &slot);
    fixture_holds(hm_deref(heap, other), 1000, 7);
}

Test(buffer_slide, lost_blocks_stay_and_are_counted)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    buffer_of(heap)->warned = true;
    char *slot = NULL;
    hm_handle gap = fixture_alloc(heap, 100, 1);
    fixture_slot(heap, &slot, 100, 2);
    fixture_free(heap, gap);
    char *block = slot;
    slot = "elsewhere";
    struct hm_compact_result result = fixture_compact(heap);
    cr_assert_eq(result.skipped_lost, 1);
    fixture_holds(block, 100, 2);
    cr_assert_str_eq(slot, "elsewhere");
}
