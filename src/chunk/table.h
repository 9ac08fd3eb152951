/* Chunk table: from an address to its chunk's owner and map in one cache line, over a window of 16 GiB around the
 * first chunk; and from a map byte to the cache bin of its block.
 *
 * It is an accelerator over the page map, which knows every chunk: outside the window the page map is asked. The
 * owner stands here a second time so that a free need not touch the chunk's descriptor, only its map. Zero-filled
 * memory means a chunk that nobody owns, so the fast path needs no test for it. */
#ifndef HM_CHUNK_TABLE_H
#define HM_CHUNK_TABLE_H

#include "chunk/chunk.h"
#include "page/pagemap.h"

#define TABLE_CHUNKS ((size_t)1 << 18)

/* A bin's place in the thread heap, by map byte and parity of the address: bin_offset[2 * byte + parity].
 * Everything that isn't a block with the user at exactly that address leads to the reject bin, which never
 * has room. */
#define TABLE_BIN_OFFSETS 512

/* What the table says of a chunk: span.owner and map. */
struct table_entry {
    _Atomic(void *) owner;
    _Atomic(uint8_t *) map;
};

struct chunk_table {
    _Atomic uintptr_t base; /* first address of the window, 64 KiB aligned */
    struct pagemap *pages;
    uint16_t bin_offset[TABLE_BIN_OFFSETS];
    struct table_entry entry[TABLE_CHUNKS];
};

/* Where the bins lie in a thread heap: that of class c at first_bin + c * bin_bytes, the reject bin last. */
void table_init(struct chunk_table *table, struct pagemap *pages, size_t first_bin, size_t bin_bytes);

/* Whenever the chunk's owner changes, after the page map has it / before the page map loses it. The page heap's
 * lock isn't needed: a chunk has one holder. */
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

/* The entry of a granule inside the window. By bytes, which compilers fold into the address of the access. */
HM_INLINE struct table_entry *table_entry(struct chunk_table *table, uintptr_t granule)
{
    uintptr_t bytes =
        granule / (CHUNK_GRANULES / sizeof(struct table_entry)) & ~(sizeof(struct table_entry) - 1);
    return (struct table_entry *)(void *)((char *)table->entry + bytes);
}

#endif
