/* Entries behind handles: read in read sections, with hints, written under pins. */
#include "kvstore/backend.h"
#include "kvstore/movable.h"

static void start(void)
{
    movable_start(0);
}

static bool alloc_block(union ref *ref, size_t bytes)
{
    ref->handle = hm_handle_alloc(movable_heap, bytes);
    return ref->handle != 0;
}

static void free_block(union ref *ref)
{
    if (!hm_handle_free(movable_heap, ref->handle))
        movable_fail("an entry is pinned that nobody writes");
    ref->handle = 0;
}

static const void *read_block(union ref *ref)
{
    hm_read_enter(movable_heap);
    return hm_deref_hinted(movable_heap, ref->handle, &ref->hint);
}

static void *write_block(union ref *ref)
{
    ref->hint = hm_pin(movable_heap, ref->handle);
    return ref->hint;
}

static void written(union ref *ref)
{
    hm_unpin(movable_heap, ref->handle);
}

static void move(union ref *from, union ref *to)
{
    *to = *from;
    from->handle = 0;
}

const struct backend backend_handles = {.name = "handles",
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
