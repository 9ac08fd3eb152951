/* One chunk over real memory, and an index of holes. */
#ifndef HM_TESTS_UNIT_CHUNK_FIXTURE_H
#define HM_TESTS_UNIT_CHUNK_FIXTURE_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "chunk/carve.h"
#include "support/assert_panic.h"

#define SECRET UINT64_C(0x1234567890abcdef)

static struct holes holes;
static struct chunk *chunk;

static inline struct chunk *chunk_make(unsigned char filler)
{
    struct chunk *made = aligned_alloc(HM_CACHE_LINE, sizeof(*made));
    void *memory = aligned_alloc(CHUNK_BYTES, CHUNK_BYTES);
    memset(made, 0, sizeof(*made));
    memset(memory, filler, CHUNK_BYTES);
    made->span.addr = (uintptr_t)memory;
    made->span.bytes = CHUNK_BYTES;
    made->span.kind = SPAN_CHUNK;
    return made;
}

static inline void chunk_drop(struct chunk *made)
{
    free((void *)made->span.addr);
    free(made);
}

/* A new chunk whose memory is zero, as one hole. */
static inline void fixture_setup(void)
{
    holes_init(&holes, SECRET);
    chunk = chunk_make(0);
    carve_init(&holes, chunk, true);
}

static inline void fixture_teardown(void)
{
    chunk_drop(chunk);
}

static inline void fixture_verify(void)
{
    size_t linked;
    chunk_verify(chunk);
    holes_verify(&holes, &linked);
    cr_assert_eq(linked, chunk->linked);
}

static inline void *granule_memory(unsigned granule)
{
    return (void *)chunk_address(chunk, granule);
}

/* What free does to one block, the bin left out. */
static inline void fixture_kill(const struct entry *entry)
{
    unsigned code = mark_load(entry->mark) & ~CODE_CACHED;
    mark_store(entry->mark, CODE_DEAD);
    chunk_keep(chunk, 0u - class_granules(code_class(code)));
}

static inline bool is_zero(const void *memory, size_t bytes)
{
    const char *at = memory;
    return at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0;
}

#endif
