#include "chunk/table.h"

/* How much of the window lies above the first chunk when mappings are handed out from high to low addresses.
 */
#define ABOVE_FIRST_MAPPING ((uintptr_t)1 << 30)

void table_init(struct chunk_table *table, struct pagemap *pages, size_t first_bin, size_t bin_bytes)
{
    table->pages = pages;
    for (unsigned i = 0; i < TABLE_BIN_OFFSETS; i++) {
        unsigned code = i / 2;
        bool block = code >= 1 && code <= CODE_LAST && code_parity(code) == i % 2;
        table->bin_offset[i] = (uint16_t)(first_bin + (block ? code_class(code) : CLASS_COUNT) * bin_bytes);
    }
}

static void choose_base(struct chunk_table *table, const struct chunk *chunk)
{
    uintptr_t window = TABLE_CHUNKS * CHUNK_BYTES;
    uintptr_t highest = ((uintptr_t)1 << PAGEMAP_ADDRESS_BITS) - window;
    uintptr_t base = chunk->span.addr;
    if (chunk->span.source == SOURCE_MAP) {
        base = base > window ? base - window + ABOVE_FIRST_MAPPING : CHUNK_BYTES;
    }
    base = base < highest ? base : highest;
    uintptr_t unset = 0;
    atomic_compare_exchange_strong(&table->base, &unset, base);
}

/* Where the table has its entry for an address; TABLE_CHUNKS or more outside the window. */
static uintptr_t index_of(const struct chunk_table *table, uintptr_t addr)
{
    return (addr - atomic_load_explicit(&table->base, memory_order_relaxed)) >> CHUNK_SHIFT;
}

void table_enter(struct chunk_table *table, struct chunk *chunk)
{
    if (atomic_load_explicit(&table->base, memory_order_relaxed) == 0) {
        choose_base(table, chunk);
    }
    uintptr_t index = index_of(table, chunk->span.addr);
    if (index < TABLE_CHUNKS) {
        atomic_store_explicit(&table->map[index], (uintptr_t)chunk->map - index * CHUNK_WINDOWS,
                              memory_order_release);
    }
}

void table_clear(struct chunk_table *table, const struct chunk *chunk)
{
    uintptr_t index = index_of(table, chunk->span.addr);
    if (index < TABLE_CHUNKS) {
        atomic_store_explicit(&table->map[index], 0, memory_order_relaxed);
    }
}

static struct chunk *chunk_of_map(uintptr_t map)
{
    return (struct chunk *)(map - offsetof(struct chunk, map));
}

struct chunk *table_find(struct chunk_table *table, uintptr_t addr)
{
    uintptr_t index = index_of(table, addr);
    if (index < TABLE_CHUNKS) {
        uintptr_t map = atomic_load_explicit(&table->map[index], memory_order_acquire);
        return map == 0 ? NULL : chunk_of_map(map + index * CHUNK_WINDOWS);
    }
    struct span *span = pagemap_get(table->pages, addr & ~(uintptr_t)(CHUNK_BYTES - 1));
    return span != NULL && span->kind == SPAN_CHUNK ? (struct chunk *)(void *)span : NULL;
}
