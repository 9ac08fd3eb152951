/* other_before: a library with an allocator of its own, but not the whole family, to be preloaded before ours.
 *
 * A block that another allocator was given, or that comes from one, aborts. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_SIZE = 64 << 20, HEADER = 16 };

static _Alignas(16) unsigned char arena[ARENA_SIZE];
static size_t arena_used;

void *malloc(size_t size)
{
    size_t at = __atomic_fetch_add(&arena_used, HEADER + (size + 15) / 16 * 16, __ATOMIC_RELAXED);
    if (size > ARENA_SIZE / 2 || at + HEADER + size > ARENA_SIZE)
        return NULL;
    memcpy(arena + at, &size, sizeof size);
    return arena + at + HEADER;
}

void free(void *block)
{
    if (block != NULL &&
        ((uintptr_t)block < (uintptr_t)arena || (uintptr_t)block >= (uintptr_t)arena + ARENA_SIZE))
        abort();
}

void *calloc(size_t count, size_t size)
{
    return size != 0 && count > ARENA_SIZE / size ? NULL : malloc(count * size);
}

void *realloc(void *block, size_t size)
{
    void *fresh = malloc(size);
    free(block);
    if (block != NULL && fresh != NULL) {
        size_t old;
        memcpy(&old, (unsigned char *)block - HEADER, sizeof old);
        memcpy(fresh, block, old < size ? old : size);
    }
    return fresh;
}
