/* Page map: from any address to the span whose first or last page it lies in, in two loads, valid for
 * addresses that aren't ours.
 *
 * Two levels: a root over 48 bits of address in the instance (untouched parts cost nothing), and leaves of
 * 2^18 entries mapped when a range is prepared and never unmapped. Readers take no lock: entries are atomic,
 * and a reader that holds a block of the span always sees its descriptor. Writers hold the page heap's lock.
 */
#ifndef HM_PAGE_PAGEMAP_H
#define HM_PAGE_PAGEMAP_H

#include "os/os.h"
#include "page/span.h"

#define PAGEMAP_ADDRESS_BITS 48
#define PAGEMAP_LEAF_BITS    18
#define PAGEMAP_ROOT_BITS    (PAGEMAP_ADDRESS_BITS - 12 - PAGEMAP_LEAF_BITS)

struct pagemap_leaf {
    _Atomic(struct span *) span[(size_t)1 << PAGEMAP_LEAF_BITS];
};

struct pagemap {
    _Atomic(struct pagemap_leaf *) root[(size_t)1 << PAGEMAP_ROOT_BITS];
    const struct os *os;
    unsigned page_shift;
    struct pagemap_leaf *own;             /* from pagemap_give, NULL: none; never unmapped */
    _Atomic(struct pagemap_leaf *) spare; /* the same until it is in use */
};

/* Leaves in hand, for entering addresses that are known only when it is too late to fail. */
struct pagemap_stock {
    struct pagemap_leaf *leaf[2];
};

/* The instance is zero-filled. */
void pagemap_init(struct pagemap *map, const struct os *os);

/* A leaf in zero-filled memory of the caller's, for ever: used before the OS is asked for one. Once, right after pagemap_init. */
void pagemap_give(struct pagemap *map, struct pagemap_leaf *leaf);

/* Makes room for entries of [addr, addr + bytes). False: the OS refused; nothing to undo. */
bool pagemap_prepare(struct pagemap *map, uintptr_t addr, size_t bytes);

/* Fills the stock, so that pagemap_prepare_from succeeds for any two addresses below 2^48. False: the OS
 * refused. */
bool pagemap_stock(struct pagemap *map, struct pagemap_stock *stock);
void pagemap_prepare_from(struct pagemap *map, struct pagemap_stock *stock, uintptr_t addr);

/* Enters the span at its first and last page (prepared before), or clears these two. */
void pagemap_enter(struct pagemap *map, struct span *span);
void pagemap_clear(struct pagemap *map, const struct span *span);

HM_INLINE bool pagemap_covers(uintptr_t addr)
{
    return addr >> PAGEMAP_ADDRESS_BITS == 0;
}

/* The span that begins or ends in the page of `addr`, an address that the map covers; NULL if there is none. */
HM_INLINE struct span *pagemap_get_covered(struct pagemap *map, uintptr_t addr)
{
    uintptr_t page = addr >> map->page_shift;
    struct pagemap_leaf *leaf =
        atomic_load_explicit(&map->root[page >> PAGEMAP_LEAF_BITS], memory_order_acquire);
    if (leaf == NULL) {
        return NULL;
    }
    return atomic_load_explicit(&leaf->span[page & (((size_t)1 << PAGEMAP_LEAF_BITS) - 1)],
                                memory_order_acquire);
}

/* The same for any address. */
HM_INLINE struct span *pagemap_get(struct pagemap *map, uintptr_t addr)
{
    return pagemap_covers(addr) ? pagemap_get_covered(map, addr) : NULL;
}

/* The span that contains `addr`, by walking back over the map; NULL if none. Slow: for diagnoses. Finds pages
 * of spans from the page heap only up to 4 MiB behind their start; own mappings are looked up by
 * mapping_find. */
HM_COLD struct span *pagemap_find(struct pagemap *map, uintptr_t addr);

#endif
