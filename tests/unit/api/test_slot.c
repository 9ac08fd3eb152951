#define _GNU_SOURCE 1

#include <signal.h>
#include <unistd.h>

#include "unit/api/movable_fixture.h"

static bool holds(const char *at, int byte, size_t size)
{
    bool well = true;
    for (size_t i = 0; i < size; i++) {
        well = well && at[i] == (char)byte;
    }
    return well;
}

ON_BOTH_KINDS(slot, a_block_is_had_used_and_freed)
{
    char *text = NULL;
    cr_assert(hm_slot_alloc(heap, &text, 100));
    cr_assert_not_null(text);
    memset(text, 7, 100);
    cr_assert_eq(hm_slot_size(heap, &text), 100);
    cr_assert(hm_slot_valid(heap, &text));
    cr_assert_eq(hm_slot_of(heap, text), &text);
    cr_assert(hm_slot_free(heap, &text));
    cr_assert_null(text);
    cr_assert_not(hm_slot_valid(heap, &text));
    cr_assert_eq(hm_slot_size(heap, &text), 0);
    cr_assert(hm_slot_free(heap, &text));
}

ON_BOTH_KINDS(slot, what_can_not_be_a_slot_is_refused)
{
    char *text = NULL;
    char *pair[2] = {NULL, NULL};
    errno = 0;
    cr_assert_not(hm_slot_alloc(heap, (char *)pair + 1, 10));
    cr_assert_eq(errno, EINVAL);
    errno = 0;
    cr_assert_not(hm_slot_alloc(heap, NULL, 10));
    cr_assert_eq(errno, EINVAL);
    hm_slot_alloc(heap, &text, 10);
    errno = 0;
    cr_assert_not(hm_slot_alloc(heap, &text, 10));
    cr_assert_eq(errno, EINVAL);
    /* Garbage isn't a block. */
    pair[0] = (char *)pair;
    cr_assert(hm_slot_alloc(heap, pair, 10));
    cr_assert(hm_slot_free(heap, pair) && hm_slot_free(heap, &text));
}

ON_BOTH_KINDS(slot, what_can_not_be_had_leaves_null)
{
    char *text = (char *)&heap;
    errno = 0;
    cr_assert_not(hm_slot_alloc(heap, &text, PTRDIFF_MAX));
    cr_assert_eq(errno, ENOMEM);
    cr_assert_null(text);
    errno = 0;
    cr_assert_not(hm_slot_resize(heap, &text, PTRDIFF_MAX));
    cr_assert_eq(errno, ENOMEM);
    cr_assert_null(text);
}

ON_BOTH_KINDS(slot, slots_follow_their_blocks)
{
    char *text[200] = {NULL};
    cr_assert(hm_slot_alloc_array(heap, text, 1, 0));
    cr_assert(hm_slot_free(heap, text));
    for (size_t i = 0; i < 200; i++) {
        text[i] = NULL;
        cr_assert(hm_slot_alloc(heap, &text[i], 10 + i * 7));
        memset(text[i], (int)i, 10 + i * 7);
    }
    for (size_t i = 0; i < 200; i++) {
        if (i % 4 != 0) {
            cr_assert(hm_slot_free(heap, &text[i]));
            compact_all(heap);
        }
    }
    for (size_t i = 0; i < 200; i += 4) {
        cr_assert(holds(text[i], (int)i, 10 + i * 7));
    }
    cr_assert_eq(hm_slot_check(heap), 0);
    cr_assert(hm_movable_reset(heap));
}

Test(slot, blocks_in_a_buffer_do_move)
{
    hm_heap *heap = hm_movable_create_in(buffer_memory, BUFFER_BYTES, NULL);
    char *first = NULL;
    char *second = NULL;
    hm_slot_alloc(heap, &first, 1000);
    hm_slot_alloc(heap, &second, 1000);
    char *before = second;
    memcpy(second, "here", 5);
    hm_slot_free(heap, &first);
    struct hm_compact_result result = compact_all(heap);
    cr_assert_eq(result.moved_blocks, 1);
    cr_assert_lt(second, before);
    cr_assert_str_eq(second, "here");
    movable_end(heap);
}

ON_BOTH_KINDS(slot, an_array_is_all_or_nothing)
{
    char *text[5] = {NULL, NULL, NULL, NULL, NULL};
    cr_assert(hm_slot_alloc_array(heap, text, 5, 48));
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(hm_slot_size(heap, &text[i]), 48);
        cr_assert_eq(hm_slot_of(heap, text[i]), &text[i]);
    }
    errno = 0;
    cr_assert_not(hm_slot_alloc_array(heap, text, 5, 48));
    cr_assert_eq(errno, EINVAL);
    for (int i = 0; i < 5; i++) {
        cr_assert(hm_slot_free(heap, &text[i]));
    }
}

Test(slot, an_array_longer_than_memory_is_refused)
{
    hm_heap *heap = hm_movable_create(NULL);
    char *text[2] = {NULL};
    errno = 0;
    cr_assert_not(hm_slot_alloc_array(heap, text, SIZE_MAX / 4, 10));
    cr_assert_eq(errno, ENOMEM);
    cr_assert(text[0] == NULL && text[1] == NULL);
    movable_end(heap);
}

Test(slot, an_array_that_does_not_fit_leaves_nothing)
{
    hm_heap *heap = hm_movable_create_in(buffer_memory, 4096, NULL);
    char *text[10];
    struct hm_movable_stats stats;
    memset(text, 0, sizeof text);
    errno = 0;
    cr_assert_not(hm_slot_alloc_array(heap, text, 10, 700));
    cr_assert_eq(errno, ENOMEM);
    for (int i = 0; i < 10; i++) {
        cr_assert_null(text[i]);
    }
    hm_movable_stats_get(heap, &stats, sizeof stats);
    cr_assert_eq(stats.live_blocks, 0);
    movable_end(heap);
}

ON_BOTH_KINDS(slot, resizing_keeps_bytes)
{
    char *text = NULL;
    char *behind = NULL;
    cr_assert(hm_slot_resize(heap, &text, 100));
    memset(text, 5, 100);
    hm_slot_alloc(heap, &behind, 100);
    cr_assert(hm_slot_resize(heap, &text, 100000));
    cr_assert(holds(text, 5, 100));
    cr_assert_eq(hm_slot_size(heap, &text), 100000);
    cr_assert(hm_slot_resize(heap, &text, 5));
    cr_assert(holds(text, 5, 5));
    errno = 0;
    cr_assert_not(hm_slot_resize(heap, &text, PTRDIFF_MAX));
    cr_assert_eq(errno, ENOMEM);
    cr_assert(holds(text, 5, 5));
    cr_assert_eq(hm_slot_of(heap, behind), &behind);
    cr_assert(hm_movable_reset(heap));
}

ON_BOTH_KINDS(slot, a_block_is_handed_over)
{
    char *from = NULL;
    char *to = (char *)&from;
    char *third = NULL;
    hm_slot_alloc(heap, &from, 20);
    memcpy(from, "moved", 6);
    char *address = from;
    cr_assert(hm_slot_move(heap, &from, &to));
    cr_assert_null(from);
    cr_assert_eq(to, address);
    cr_assert_eq(hm_slot_of(heap, to), &to);
    cr_assert_str_eq(to, "moved");
    errno = 0;
    cr_assert_not(hm_slot_move(heap, &to, &to));
    cr_assert_eq(errno, EINVAL);
    errno = 0;
    cr_assert_not(hm_slot_move(heap, &to, NULL));
    cr_assert_eq(errno, EINVAL);
    hm_slot_alloc(heap, &third, 20);
    errno = 0;
    cr_assert_not(hm_slot_move(heap, &to, &third));
    cr_assert_eq(errno, EINVAL);
    errno = 0;
    cr_assert_not(hm_slot_move(heap, &from, &third));
    cr_assert_eq(errno, EINVAL);
    cr_assert_not_null(third);
    cr_assert(hm_slot_move(heap, &from, &from) && from == NULL);
    cr_assert(hm_slot_free(heap, &to) && hm_slot_free(heap, &third));
}

ON_BOTH_KINDS(slot, a_pinned_block_stays)
{
    char *gap = NULL;
    char *text = NULL;
    hm_slot_alloc(heap, &gap, 1000);
    hm_slot_alloc(heap, &text, 1000);
    char *address = text;
    cr_assert_eq(hm_slot_pin(heap, &text), address);
    hm_slot_free(heap, &gap);
    compact_all(heap);
    cr_assert_eq(text, address);
    errno = 0;
    cr_assert_not(hm_slot_free(heap, &text));
    cr_assert_eq(errno, EBUSY);
    cr_assert_not(hm_slot_resize(heap, &text, 1));
    cr_assert_eq(text, address);
    hm_slot_unpin(heap, &text);
    cr_assert(hm_slot_free(heap, &text));
    errno = 0;
    cr_assert_null(hm_slot_pin(heap, &text));
    cr_assert_eq(errno, ESTALE);
}

/* A list whose links are slots in its own blocks. */
struct node {
    struct node *next;
    int value;
    char rest[100];
};

ON_BOTH_KINDS(slot, slots_inside_blocks_follow_both_moves)
{
    struct node *list = NULL;
    char *gap[50];
    memset(gap, 0, sizeof gap);
    for (int i = 0; i < 50; i++) {
        struct node *head = NULL;
        cr_assert(hm_slot_alloc(heap, &gap[i], 300));
        cr_assert(hm_slot_alloc(heap, &head, sizeof(struct node)));
        head->next = NULL;
        head->value = i;
        if (list != NULL) {
            cr_assert(hm_slot_move(heap, &list, &head->next));
        }
        cr_assert(hm_slot_move(heap, &head, &list));
    }
    for (int i = 0; i < 50; i++) {
        cr_assert(hm_slot_free(heap, &gap[i]));
        compact_all(heap);
        struct node **slot = &list;
        for (int value = 49; value >= 0; value--) {
            cr_assert_eq((*slot)->value, value);
            cr_assert_eq(hm_slot_of(heap, *slot), slot);
            slot = &(*slot)->next;
        }
        cr_assert_null(*slot);
    }
    while (list != NULL) {
        struct node *rest = NULL;
        cr_assert(hm_slot_move(heap, &list->next, &rest));
        cr_assert(hm_slot_free(heap, &list));
        cr_assert(hm_slot_move(heap, &rest, &list));
    }
}

/* The call that takes the last memory has to slide everything, but for the block with its own slot. */
Test(slot, a_call_does_not_move_the_block_its_slot_lies_in)
{
    hm_heap *heap = hm_movable_create_in(buffer_memory, 8192, NULL);
    char *gap = NULL;
    struct node *list = NULL;
    char *gap2 = NULL;
    char *behind = NULL;
    hm_slot_alloc(heap, &gap, 2000);
    hm_slot_alloc(heap, &list, sizeof *list);
    list->next = NULL;
    list->value = 1;
    hm_slot_alloc(heap, &gap2, 1500);
    hm_slot_alloc(heap, &behind, 2000);
    hm_slot_free(heap, &gap2);
    struct node *before = list;
    char *behind_before = behind;
    hm_slot_free(heap, &gap);
    cr_assert(hm_slot_alloc(heap, &list->next, 3000));
    cr_assert_eq(list, before);
    cr_assert_neq(behind, behind_before);
    cr_assert_eq(hm_slot_of(heap, list->next), &list->next);
    compact_all(heap);
    cr_assert_neq(list, before);
    cr_assert_eq(hm_slot_of(heap, list->next), &list->next);
    movable_end(heap);
}

ON_BOTH_KINDS(slot, reset_sets_slots_to_null)
{
    char *text[20];
    memset(text, 0, sizeof text);
    hm_slot_alloc_array(heap, text, 20, 100);
    hm_slot_pin(heap, &text[3]);
    errno = 0;
    cr_assert_not(hm_movable_reset(heap));
    cr_assert_eq(errno, EBUSY);
    cr_assert_not_null(text[19]);
    hm_slot_unpin(heap, &text[3]);
    cr_assert(hm_movable_reset(heap));
    for (int i = 0; i < 20; i++) {
        cr_assert_null(text[i]);
    }
}

static void lose_slot(void *heap)
{
    static char *lost;
    static char *kept;
    hm_slot_alloc(heap, &lost, 100);
    hm_slot_alloc(heap, &kept, 100);
    lost = NULL;
    size_t found = hm_slot_check(heap);
    found += hm_slot_check(heap);
    compact_all(heap);
    _exit(found == 2 && hm_slot_valid(heap, &kept) ? 3 : 4);
}

ON_BOTH_KINDS(slot, lost_slots_are_found)
{
    cr_assert_eq(hm_slot_check(heap), 0);
    struct child child = child_run(lose_slot, heap);
    cr_assert_eq(child.code, 3, "%s", child.errors);
    const char *line = strstr(child.errors, "hmalloc: warning: ");
    cr_assert_not_null(line);
    cr_assert_null(strstr(line + 1, "hmalloc: warning: "), "one warning: %s", child.errors);
}

/* Misuse */

static hm_heap *misused;

static void free_slot(void *slot)
{
    hm_slot_free(misused, slot);
}

static void unpin_slot(void *slot)
{
    hm_slot_unpin(misused, slot);
}

ON_BOTH_KINDS(slot, a_slot_with_something_else_is_fatal)
{
    char *text = NULL;
    char *copy;
    char *wild = (char *)&wild;
    misused = heap;
    hm_slot_alloc(heap, &text, 100);
    copy = text;
    expect_fatal(free_slot, &copy, "that belongs to slot 0x");
    expect_fatal(free_slot, &wild, "which is no block of heap ");
    copy = text + 16;
    expect_fatal(free_slot, &copy, "which is no block of heap ");
    expect_fatal(unpin_slot, &text, "its block of 100 bytes at 0x");
    expect_fatal(unpin_slot, &wild, "hm_slot_unpin of slot 0x");
    copy = NULL;
    expect_fatal(unpin_slot, &copy, "it is NULL");
    cr_assert(hm_movable_reset(heap));
}

Test(slot, null_is_the_default_heap)
{
    char *text = NULL;
    cr_assert(hm_slot_alloc(NULL, &text, 10));
    cr_assert_eq(hm_slot_size(NULL, &text), 10);
    cr_assert(hm_slot_valid(hm_movable_default(), &text));
    cr_assert_eq(hm_slot_of(NULL, text), &text);
    cr_assert_eq(hm_slot_pin(NULL, &text), text);
    hm_slot_unpin(NULL, &text);
    cr_assert_eq(hm_slot_check(NULL), 0);
    cr_assert(hm_slot_free(NULL, &text));
}
