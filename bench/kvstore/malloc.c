/* Entries in blocks of malloc: of whatever allocator is preloaded. */
#include "kvstore/backend.h"
#include "support/bench.h"

static void nothing(void)
{
}

static bool alloc_block(union ref *ref, size_t bytes)
{
    ref->pointer = malloc(bytes);
    return ref->pointer != NULL;
}

static void free_block(union ref *ref)
{
    free(ref->pointer);
    ref->pointer = NULL;
}

static const void *read_block(union ref *ref)
{
    return ref->pointer;
}

static void *write_block(union ref *ref)
{
    return ref->pointer;
}

static void written(union ref *ref)
{
    (void)ref;
}

static void move(union ref *from, union ref *to)
{
    *to = *from;
    from->pointer = NULL;
}

const struct backend backend_malloc = {.name = "malloc",
                                       .start = nothing,
                                       .stop = nothing,
                                       .alloc = alloc_block,
                                       .free = free_block,
                                       .read = read_block,
                                       .done = nothing,
                                       .write = write_block,
                                       .written = written,
                                       .move = move,
                                       .report = nothing};
