/* Chunk table: from an address to its chunk in one load, over a window of 16 GiB around the first chunk; and
 * from a map byte to the cache bin of its block.
 *
 * It is an accelerator over the page map, which knows every chunk: outside the window the page map is asked.
 * Entries are distances from the table to the chunk's descriptor, so that zero-filled memory means `none`, a
 * chunk that nobody owns, and the fast path needs no test for it. */
#ifndef HM_CHUNK_TABLE_H
#define HM_CHUNK_TABLE_H

#include "chunk/chunk.h"
#include "page/pagemap.h"

#define TABLE_CHUNKS ((size_t)1 << 18)

/* A bin's place in the thread heap, by map byte and parity of the address: bin_offset[2 * byte + parity].
 * Everything that isn't a block with the user at exactly that address leads to the reject bin, which never
 * has room. */
#define TABLE_BIN_OFFSETS 512

struct chunk_table {
    _Alignas(struct chunk) struct span none; /* owner NULL: matches no thread heap */
    _Atomic uintptr_t base;                  /* first address of the window, 64 KiB aligned */
    struct pagemap *pages;
    uint16_t bin_offset[TABLE_BIN_OFFSETS];
    _Atomic intptr_t distance[TABLE_CHUNKS];
};

static_assert(offsetof(struct chunk_table, none) == 0, "distance 0 leads to `none`");

/* Where the bins lie in a thread heap: that of class c at first_bin + c * bin_bytes, the reject bin last. */
void table_init(struct chunk_table *table, struct pagemap *pages, size_t first_bin, size_t bin_bytes);

/* After the page map has it / before the page map loses it. The page heap's lock isn't needed: a chunk has
 * one holder. */
void table_enter(struct chunk_table *table, struct chunk *chunk);
void table_clear(struct chunk_table *table, const struct chunk *chunk);

/* The chunk that contains addr, or NULL. */
struct chunk *table_find(struct chunk_table *table, uintptr_t addr);

/* Number of the granule in the window; beyond TABLE_CHUNKS * CHUNK_GRANULES for addresses outside and for
 * those that are no multiple of 16. */
HM_INLINE uintptr_t table_granule(const struct chunk_table *table, uintptr_t addr)
{
    uintptr_t offset = addr - HM_RACY_WORD(&table->base);
    return offset >> GRANULE_SHIFT | offset << (64 - GRANULE_SHIFT);
}

/* The chunk of a granule inside the window, or `none` as a chunk of which only the span may be looked at. */
HM_INLINE struct chunk *table_chunk(struct chunk_table *table, uintptr_t granule)
{
    uintptr_t distance = HM_RACY_WORD(&table->distance[granule / CHUNK_GRANULES]);
    return (struct chunk *)(void *)((char *)table + (intptr_t)distance);
}

#endif
