#include "support/growing_fixture.h"

enum { CHAIN = 300 };

/* A list whose links are slots in the nodes. */
struct node {
    struct node *next;
    uint64_t number;
    char rest[400];
};

static struct growing_fixture fixture;
static struct hm_heap *heap;
static struct node *first;

static void setup(void)
{
    growing_fixture_init(&fixture, 1);
    heap = growing_fixture_heap(&fixture, NULL);
    first = NULL;
}

static void teardown(void)
{
    growing_fixture_end(&fixture, heap);
}

TestSuite(nested, .init = setup, .fini = teardown);

static void free_slot(void *slot)
{
    hm_handle handle;
    cr_assert_eq(heap->kind->slot_find(heap, slot, &handle), MOVABLE_OK);
    cr_assert_eq(g_free(heap, handle), MOVABLE_OK);
}

static void make_chain(void)
{
    hm_handle filler[CHAIN * 8];
    struct node **slot = &first;
    for (uint64_t i = 0; i < CHAIN; i++) {
        cr_assert_eq(heap->kind->slot_alloc(heap, slot, sizeof **slot), MOVABLE_OK);
        struct node *node = *slot;
        node->next = NULL;
        node->number = i;
        for (size_t j = 0; j < 8; j++) {
            filler[i * 8 + j] = g_alloc(heap, 300);
        }
        slot = &node->next;
    }
    for (size_t i = 0; i < CHAIN * 8; i++) {
        g_free(heap, filler[i]);
    }
}

static void check_chain(void)
{
    uint64_t i = 0;
    struct node **slot = &first;
    for (; *slot != NULL; slot = &(*slot)->next) {
        cr_assert_eq((*slot)->number, i++);
        cr_assert_eq(heap->kind->slot_of(heap, *slot), slot);
    }
    cr_assert_eq(i, CHAIN);
    cr_assert_eq(heap->kind->slot_check(heap), 0);
}

Test(nested, slots_move_with_the_block_they_lie_in)
{
    make_chain();
    struct node *before = first;
    cr_assert_geq(g_compact(heap).moved_blocks, CHAIN / 2);
    cr_assert_neq(before, first);
    check_chain();
    /* Again, from where they are now. */
    hm_handle more[2000];
    for (size_t i = 0; i < 2000; i++) {
        more[i] = g_alloc(heap, 500);
    }
    for (size_t i = 0; i < 2000; i++) {
        g_free(heap, more[i]);
    }
    g_compact(heap);
    check_chain();
    for (uint64_t i = CHAIN; i > 0; i--) {
        struct node **slot = &first;
        while ((*slot)->next != NULL) {
            slot = &(*slot)->next;
        }
        free_slot(slot);
    }
    cr_assert_null(first);
    cr_assert_eq(g_stats(heap).live_blocks, 0);
}

Test(nested, resizing_the_outer_block_takes_slots_along)
{
    void **outer = NULL;
    cr_assert_eq(heap->kind->slot_alloc(heap, &outer, 100), MOVABLE_OK);
    memset(outer, 0, 100);
    for (size_t i = 0; i < 10; i++) {
        cr_assert_eq(heap->kind->slot_alloc(heap, &outer[i], 1000 + i), MOVABLE_OK);
        g_fill(outer[i], 1000 + i, i);
    }
    static const size_t sizes[] = {5000, 100 * 1024, 3 * 1024 * 1024, 80 * 1024, 200, 80};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        hm_handle handle;
        cr_assert_eq(heap->kind->slot_find(heap, &outer, &handle), MOVABLE_OK);
        cr_assert_eq(heap->kind->resize(heap, handle, sizes[k]), MOVABLE_OK);
        cr_assert_eq(heap->kind->slot_check(heap), 0);
        for (size_t i = 0; i < 10; i++) {
            cr_assert(g_filled(outer[i], 1000 + i, i));
            cr_assert_eq(heap->kind->slot_of(heap, outer[i]), &outer[i]);
        }
    }
}

Test(nested, slots_in_a_freed_block_are_forgotten)
{
    make_chain();
    free_slot(&first->next->next);
    cr_assert_eq(heap->kind->slot_check(heap), 1);
    struct hm_compact_result result = g_compact(heap);
    cr_assert_geq(result.skipped_lost, 1);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    cr_assert_null(first);
}
