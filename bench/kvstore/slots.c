/* Entries in slots: the index holds plain pointers, which the heap updates when it moves an entry. */
#include "kvstore/backend.h"
#include "kvstore/movable.h"

static void start(void)
{
    movable_start(HM_MOVABLE_SLOTS_PINNED);
}

static bool alloc_block(union ref *ref, size_t bytes)
{
    return hm_slot_alloc(movable_heap, &ref->pointer, bytes);
}

static void free_block(union ref *ref)
{
    if (!hm_slot_free(movable_heap, &ref->pointer))
        movable_fail("an entry is pinned that nobody writes");
}

static const void *read_block(union ref *ref)
{
    hm_read_enter(movable_heap);
    return __atomic_load_n(&ref->pointer, __ATOMIC_ACQUIRE);
}

static void *write_block(union ref *ref)
{
    return hm_slot_pin(movable_heap, &ref->pointer);
}

static void written(union ref *ref)
{
    hm_slot_unpin(movable_heap, &ref->pointer);
}

static void move(union ref *from, union ref *to)
{
    to->pointer = NULL;
    if (!hm_slot_move(movable_heap, &from->pointer, &to->pointer))
        movable_fail("an entry can't change its slot");
}

const struct backend backend_slots = {.name = "slots",
                                      .start = start,
                                      .stop = movable_stop,
                                      .alloc = alloc_block,
                                      .free = free_block,
                                      .read = read_block,
                                      .done = movable_done,
                                      .write = write_block,
                                      .written = written,
                                      .move = move,
                                      .report = movable_report};
