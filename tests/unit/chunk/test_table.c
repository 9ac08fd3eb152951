#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#include "chunk/table.h"

#define FIRST_BIN 160
#define BIN_BYTES 16

static struct pagemap pages;
static struct chunk_table *table;
static struct chunk chunks[8];

static void setup(void)
{
    pagemap_init(&pages, os_linux());
    table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    cr_assert_neq(table, MAP_FAILED);
    table_init(table, &pages, FIRST_BIN, BIN_BYTES);
}

TestSuite(table, .init = setup);

/* Nothing here touches a chunk's memory, so any address will do. */
static struct chunk *make(unsigned index, uintptr_t addr, enum span_source source)
{
    struct chunk *chunk = &chunks[index];
    chunk->span.addr = addr;
    chunk->span.bytes = CHUNK_BYTES;
    chunk->span.kind = SPAN_CHUNK;
    chunk->span.source = (uint8_t)source;
    cr_assert(pagemap_prepare(&pages, addr, CHUNK_BYTES));
    pagemap_enter(&pages, &chunk->span);
    table_enter(table, chunk);
    return chunk;
}

/* What the fast path finds. */
static struct chunk *fast_find(uintptr_t addr)
{
    uintptr_t granule = table_granule(table, addr);
    if (granule >= TABLE_CHUNKS * CHUNK_GRANULES) {
        return NULL;
    }
    uintptr_t map = atomic_load(&table->map[granule / CHUNK_GRANULES]);
    return map == 0 ? NULL
                    : (struct chunk *)(map + granule / 2 - granule % CHUNK_GRANULES / 2 -
                                       offsetof(struct chunk, map));
}

#define AT UINT64_C(0x500000000000)

Test(table, before_the_first_chunk_nothing_is_found)
{
    static const uintptr_t addrs[] = {0, 8, 16, 65536, AT, (uintptr_t)1 << 47, UINTPTR_MAX - 15, UINTPTR_MAX};
    for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        cr_assert_null(table_find(table, addrs[i]));
        cr_assert_null(fast_find(addrs[i]), "%zx", (size_t)addrs[i]);
    }
}

Test(table, a_chunk_is_found_from_each_of_its_granules)
{
    struct chunk *chunk = make(0, AT, SOURCE_BREAK);
    for (uintptr_t addr = AT; addr < AT + CHUNK_BYTES; addr++) {
        cr_assert_eq(table_find(table, addr), chunk);
        struct chunk *found = fast_find(addr);
        cr_assert_eq(found, addr % GRANULE_BYTES == 0 ? chunk : NULL);
    }
    cr_assert_null(table_find(table, AT - 1));
    cr_assert_null(table_find(table, AT + CHUNK_BYTES));
    cr_assert_eq(table_granule(table, AT + 4 * GRANULE_BYTES), 4);
}

Test(table, a_cleared_chunk_is_found_no_more)
{
    struct chunk *chunk = make(0, AT, SOURCE_BREAK);
    struct chunk *other = make(1, AT + CHUNK_BYTES, SOURCE_BREAK);
    table_clear(table, chunk);
    cr_assert_null(table_find(table, AT));
    cr_assert_null(fast_find(AT));
    cr_assert_eq(table_find(table, AT + CHUNK_BYTES), other);
}

Test(table, chunks_outside_the_window_are_found_by_the_page_map)
{
    uintptr_t window = TABLE_CHUNKS * CHUNK_BYTES;
    make(0, AT, SOURCE_BREAK);
    uintptr_t addrs[] = {AT - CHUNK_BYTES, AT + window - CHUNK_BYTES, AT + window, AT + 5 * window,
                         CHUNK_BYTES};
    for (unsigned i = 0; i < 5; i++) {
        struct chunk *chunk = make(1 + i, addrs[i], SOURCE_MAP);
        cr_assert_eq(table_find(table, addrs[i] + 4097), chunk, "chunk at %zx", (size_t)addrs[i]);
        bool inside = addrs[i] >= AT && addrs[i] < AT + window;
        cr_assert_eq(fast_find(addrs[i]), inside ? chunk : NULL);
    }
    table_clear(table, &chunks[3]);
    pagemap_clear(&pages, &chunks[3].span);
    cr_assert_null(table_find(table, addrs[2]));
}

Test(table, mapped_memory_grows_down_so_the_window_lies_below)
{
    make(0, AT, SOURCE_MAP);
    struct chunk *below = make(1, AT - ((uintptr_t)8 << 30), SOURCE_MAP);
    cr_assert_eq(fast_find(below->span.addr), below);
}

Test(table, other_spans_are_no_chunks)
{
    struct span large = {.addr = AT, .bytes = CHUNK_BYTES, .kind = SPAN_LARGE};
    cr_assert(pagemap_prepare(&pages, AT, CHUNK_BYTES));
    pagemap_enter(&pages, &large);
    cr_assert_null(table_find(table, AT));
    make(0, AT + ((uintptr_t)1 << 40), SOURCE_BREAK);
    cr_assert_null(table_find(table, AT), "outside the window");
}

/* Only the byte of a block with the user, at the granule that it starts at, leads to its bin. */
Test(table, every_other_byte_leads_to_the_reject_bin)
{
    for (unsigned value = 0; value < 256; value++) {
        for (unsigned parity = 0; parity < 2; parity++) {
            bool block = value >= 1 && value <= CODE_LAST && code_parity(value) == parity;
            unsigned class = block ? code_class(value) : CLASS_COUNT;
            cr_assert_eq(table->bin_offset[2 * value + parity], FIRST_BIN + class * BIN_BYTES);
        }
    }
}

Test(table, the_page_map_covers_the_window)
{
    const uintptr_t end = (uintptr_t)1 << PAGEMAP_ADDRESS_BITS;
    struct chunk *chunk = make(0, end - CHUNK_BYTES, SOURCE_MAP);
    cr_assert_eq(atomic_load(&table->base) + TABLE_GRANULES * GRANULE_BYTES, end);
    cr_assert_eq(fast_find(end - 16), chunk);
    cr_assert_null(fast_find(end));
}
