#include "page/pagemap.h"

#include "base/bits.h"
#include "base/check.h"

#define PAGEMAP_FIND_BYTES ((uintptr_t)4 << 20)

void pagemap_init(struct pagemap *map, const struct os *os)
{
    map->os = os;
    map->page_shift = bits_log2(os->page_size);
}

static size_t leaf_bytes(const struct pagemap *map)
{
    return bits_align_up(sizeof(struct pagemap_leaf), map->os->page_size);
}

void pagemap_give(struct pagemap *map, struct pagemap_leaf *leaf)
{
    map->own = leaf;
    atomic_store_explicit(&map->spare, leaf, memory_order_release);
}

static struct pagemap_leaf *leaf_take(struct pagemap *map)
{
    struct pagemap_leaf *spare = atomic_exchange_explicit(&map->spare, NULL, memory_order_acquire);
    if (spare != NULL) {
        return spare;
    }
    void *leaf = map->os->map(map->os, leaf_bytes(map));
    if (leaf != NULL) {
        /* A leaf is touched here and there: a huge page would make all of it resident. */
        map->os->huge(map->os, leaf, leaf_bytes(map), OS_HUGE_NEVER);
    }
    return leaf;
}

static void leaf_drop(struct pagemap *map, struct pagemap_leaf *leaf)
{
    if (leaf == map->own) {
        atomic_store_explicit(&map->spare, leaf, memory_order_release);
    } else {
        map->os->unmap(map->os, leaf, leaf_bytes(map));
    }
}

static size_t root_index(const struct pagemap *map, uintptr_t addr)
{
    return addr >> map->page_shift >> PAGEMAP_LEAF_BITS;
}

/* True if the leaf is in use; false if there is one already, as page heaps with locks of their own may share
 * a map. */
static bool leaf_publish(struct pagemap *map, size_t index, struct pagemap_leaf *leaf)
{
    struct pagemap_leaf *none = NULL;
    return atomic_compare_exchange_strong_explicit(&map->root[index], &none, leaf, memory_order_acq_rel,
                                                   memory_order_acquire);
}

/* Asks by writing what is there: the entry is about to be written, and untouched memory that is read first costs two page
 * faults. */
static bool leaf_there(struct pagemap *map, size_t index)
{
    return !leaf_publish(map, index, NULL);
}

static bool leaf_prepare(struct pagemap *map, size_t index)
{
    if (leaf_there(map, index)) {
        return true;
    }
    struct pagemap_leaf *leaf = leaf_take(map);
    if (leaf == NULL) {
        return false;
    }
    if (!leaf_publish(map, index, leaf)) {
        leaf_drop(map, leaf);
    }
    return true;
}

static _Atomic(struct span *) *entry_of(struct pagemap *map, uintptr_t addr)
{
    struct pagemap_leaf *leaf = atomic_load_explicit(&map->root[root_index(map, addr)], memory_order_acquire);
    return &leaf->span[(addr >> map->page_shift) & (((size_t)1 << PAGEMAP_LEAF_BITS) - 1)];
}

/* As leaf_there(): who prepares a range looks at what is before it, and then enters it. */
static void entry_touch(struct pagemap *map, uintptr_t addr)
{
    struct span *none = NULL;
    atomic_compare_exchange_strong_explicit(entry_of(map, addr), &none, NULL, memory_order_relaxed,
                                            memory_order_relaxed);
}

bool pagemap_prepare(struct pagemap *map, uintptr_t addr, size_t bytes)
{
    uintptr_t last = addr + bytes - 1;
    if (last < addr || last >> PAGEMAP_ADDRESS_BITS != 0) {
        return false;
    }
    for (size_t i = root_index(map, addr); i <= root_index(map, last); i++) {
        if (!leaf_prepare(map, i)) {
            return false;
        }
    }
    entry_touch(map, addr);
    return true;
}

bool pagemap_stock(struct pagemap *map, struct pagemap_stock *stock)
{
    for (size_t i = 0; i < 2; i++) {
        if (stock->leaf[i] == NULL) {
            stock->leaf[i] = leaf_take(map);
        }
        if (stock->leaf[i] == NULL) {
            return false;
        }
    }
    return true;
}

void pagemap_prepare_from(struct pagemap *map, struct pagemap_stock *stock, uintptr_t addr)
{
    HM_CHECK(addr >> PAGEMAP_ADDRESS_BITS == 0, "the OS gives addresses below 2^48");
    size_t index = root_index(map, addr);
    if (atomic_load_explicit(&map->root[index], memory_order_acquire) != NULL) {
        return;
    }
    size_t last = stock->leaf[1] != NULL ? 1 : 0;
    HM_CHECK(stock->leaf[last] != NULL, "the stock was filled before use");
    if (leaf_publish(map, index, stock->leaf[last])) {
        stock->leaf[last] = NULL;
    }
}

static void entry_set(struct pagemap *map, uintptr_t addr, struct span *span)
{
    atomic_store_explicit(entry_of(map, addr), span, memory_order_release);
}

void pagemap_enter(struct pagemap *map, struct span *span)
{
    entry_set(map, span->addr, span);
    entry_set(map, span_end(span) - 1, span);
}

void pagemap_clear(struct pagemap *map, const struct span *span)
{
    entry_set(map, span->addr, NULL);
    entry_set(map, span_end(span) - 1, NULL);
}

struct span *pagemap_find(struct pagemap *map, uintptr_t addr)
{
    uintptr_t page = bits_align_down(addr, map->os->page_size);
    uintptr_t lowest = page > PAGEMAP_FIND_BYTES ? page - PAGEMAP_FIND_BYTES : 0;
    for (; page >= lowest; page -= map->os->page_size) {
        struct span *span = pagemap_get(map, page);
        if (span != NULL) {
            return span->addr <= addr && addr < span_end(span) ? span : NULL;
        }
        if (page == 0) {
            break;
        }
    }
    return NULL;
}
