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
    uintptr_t base = chunk->span.addr;
    if (chunk->span.source == SOURCE_MAP) {
        base = base > window ? base - window + ABOVE_FIRST_MAPPING : 0;
    }
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
        intptr_t distance = (intptr_t)((uintptr_t)chunk - (uintptr_t)table);
        atomic_store_explicit(&table->distance[index], distance, memory_order_release);
    }
}

void table_clear(struct chunk_table *table, const struct chunk *chunk)
{
    uintptr_t index = index_of(table, chunk->span.addr);
    if (index < TABLE_CHUNKS) {
        atomic_store_explicit(&table->distance[index], 0, memory_order_relaxed);
    }
}

struct chunk *table_find(struct chunk_table *table, uintptr_t addr)
{
    uintptr_t index = index_of(table, addr);
    if (index < TABLE_CHUNKS) {
        intptr_t distance = atomic_load_explicit(&table->distance[index], memory_order_acquire);
        return distance == 0 ? NULL : (struct chunk *)(void *)((char *)table + distance);
    }
    struct span *span = pagemap_get(table->pages, addr & ~(uintptr_t)(CHUNK_BYTES - 1));
    return span != NULL && span->kind == SPAN_CHUNK ? (struct chunk *)(void *)span : NULL;
}
