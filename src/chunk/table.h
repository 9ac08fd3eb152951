/* Chunk table: from an address to its chunk's map in one load, over a window of 16 GiB around the first chunk; and from a
 * map byte to the cache bin of its block.
 *
 * It is an accelerator over the page map, which knows every chunk: outside the window the page map is asked. A free touches
 * the chunk's map, not its descriptor. Zero-filled memory means that there is no chunk. */
#ifndef HM_CHUNK_TABLE_H
#define HM_CHUNK_TABLE_H

#include "chunk/chunk.h"
#include "page/pagemap.h"

#define TABLE_CHUNKS   ((size_t)1 << 18)
#define TABLE_GRANULES (TABLE_CHUNKS * CHUNK_GRANULES)

/* A bin's place in the thread heap, by map byte and parity of the address: bin_offset[2 * byte + parity].
 * Everything that isn't a block with the user at exactly that address leads to the reject bin, which never
 * has room. */
#define TABLE_BIN_OFFSETS 512

/* Of each chunk in the window its map, less the number of its first window counted from `base`: so that any window's number
 * leads to its byte. Metadata never lies so low that this is 0. What a small process touches of it lies beside `base` and
 * `bin_offset`, which it touches anyway. */
struct chunk_table {
    _Atomic uintptr_t base; /* first address of the window, 64 KiB aligned; the page map covers all of it */
    struct pagemap *pages;
    uint16_t bin_offset[TABLE_BIN_OFFSETS];
    _Atomic(uintptr_t) map[TABLE_CHUNKS];
};

/* Where the bins lie in a thread heap: that of class c at first_bin + c * bin_bytes, the reject bin last. */
void table_init(struct chunk_table *table, struct pagemap *pages, size_t first_bin, size_t bin_bytes);

/* After the page map has the chunk / before the page map loses it. The page heap's lock isn't needed: a chunk has one
 * holder. */
void table_enter(struct chunk_table *table, struct chunk *chunk);
void table_clear(struct chunk_table *table, const struct chunk *chunk);

/* The chunk that contains addr, or NULL. */
struct chunk *table_find(struct chunk_table *table, uintptr_t addr);

/* Number of the granule in the window; TABLE_GRANULES or more for addresses outside and for those that are no
 * multiple of 16. */
HM_INLINE uintptr_t table_granule(const struct chunk_table *table, uintptr_t addr)
{
    uintptr_t offset = addr - HM_RACY_WORD(&table->base);
    return offset >> GRANULE_SHIFT | offset << (64 - GRANULE_SHIFT);
}

#endif
