#include "support/core_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

const struct core_options core_fixture_options = {
    .pages = {.decay_ms = 500, .dirty_floor = 1 << 20, .trim_bytes = 128 << 10, .use_break = true},
    .own_mapping_bytes = (size_t)2 << 20,
};

void core_fixture_init(struct core_fixture *fixture, const struct core_options *options, size_t break_bytes,
                       size_t page_size)
{
    fake_os_init(&fixture->fake, break_bytes, page_size);
    fixture->core = mmap(NULL, sizeof(*fixture->core), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fixture->core == MAP_FAILED) {
        perror("core_fixture");
        abort();
    }
    core_init(fixture->core, &fixture->fake.os, options == NULL ? &core_fixture_options : options);
}

void core_fixture_drop(struct core_fixture *fixture)
{
    munmap(fixture->core, sizeof(*fixture->core));
    fake_os_destroy(&fixture->fake);
}

void *core_malloc(struct core *core, struct theap *heap, size_t bytes)
{
    bool zero;
    void *block = fast_alloc(heap, bytes);
    if (block == NULL) {
        block = fast_alloc_medium(heap, bytes);
    }
    return block != NULL ? block : alloc_block(core, heap, bytes, 1, &zero);
}

void *core_calloc(struct core *core, struct theap *heap, size_t bytes)
{
    bool zero;
    void *block = alloc_block(core, heap, bytes, 1, &zero);
    if (block != NULL && !zero) {
        memset(block, 0, bytes);
    }
    return block;
}

void *core_aligned(struct core *core, struct theap *heap, size_t align, size_t bytes)
{
    bool zero;
    return align <= GRANULE_BYTES ? core_malloc(core, heap, bytes)
                                  : alloc_block(core, heap, bytes, align, &zero);
}

void *core_realloc(struct core *core, struct theap *heap, void *block, size_t bytes)
{
    if (block == NULL) {
        return core_malloc(core, heap, bytes);
    }
    if (bytes == 0) {
        core_free(core, heap, block);
        return NULL;
    }
    return alloc_resize(core, heap, block, bytes);
}

void core_free(struct core *core, struct theap *heap, void *block)
{
    if (!fast_free(core, heap, block) && !fast_free_large(core, heap, block)) {
        alloc_free(core, heap, block);
    }
}
