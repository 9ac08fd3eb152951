/* Table of entries of a heap that grows: an array that never moves, in address space reserved once.
 *
 * Entry i lies at base + 16 * i; entry 0, which handle 0 would find, is retired from the start. Memory is committed in steps of an eighth of what there is (64 KiB to 16 MiB), so that under
 * strict overcommit only they are charged, and only entries that were handed out once are touched. Table memory is given
 * back when the table goes: the entries' generations must outlast the blocks.
 *
 * Entries nobody uses lie in one list, linked by index through `address`; lanes of a heap take and give them in batches, as stacks
 * of their own (struct mstack) under their own locks. The last ones given are the first ones taken.
 *
 * Equation: fresh - 1 = free + retired + handed out (live, or on stacks of lanes). Locking: mtable_get and mtable_put take the table's
 * lock (LOCK_RANK_MOVABLE_TABLE); stacks belong to their holders. Failure: mtable_get hands out fewer than were asked for. */
#ifndef HM_MOVABLE_TABLE_H
#define HM_MOVABLE_TABLE_H

#include <stdatomic.h>

#include "movable/entry.h"
#include "os/lock.h"
#include "os/os.h"

/* Lower half of a handle = index * this: handles count in 8 bytes. */
#define MTABLE_LOW     2u
#define MTABLE_DEFAULT ((size_t)1 << 28)
#define MTABLE_MAX     ((size_t)1 << 30) /* the lower half of a handle is 32 bits */

struct mtable {
    struct mentry *base;
    const struct os *os;
    struct lock lock;
    size_t reserved;        /* bytes of address space */
    size_t committed;       /* bytes of them that may be used */
    _Atomic uint32_t fresh; /* the first index that was never handed out */
    uint32_t limit;         /* the first index that doesn't fit */
    uint32_t free;          /* the first of the list; 0: it is empty */
    uint32_t free_count;
    _Atomic uint32_t retired;
};

/* Entries in the hands of one lane, under its lock. Zero-filled is empty. */
struct mstack {
    uint32_t head; /* index; 0: empty */
    uint32_t count;
};

/* Reserves space for up to max_entries (0: 2^28), for fewer where the OS refuses or where it would be more than an eighth of
 * address_limit (bytes; SIZE_MAX: none). False: not even one step could be had; nothing is left behind. */
bool mtable_init(struct mtable *table, const struct os *os, size_t max_entries, size_t address_limit);

/* Gives the memory back; nobody may look at an entry any more. */
void mtable_destroy(struct mtable *table);

/* Pushes up to `count` free entries onto the stack; returns how many. 0: the table is full, or the OS refused. */
uint32_t mtable_get(struct mtable *table, struct mstack *stack, uint32_t count);

/* Takes `count` entries (at most those there are) off the stack. */
void mtable_put(struct mtable *table, struct mstack *stack, uint32_t count);

/* True if an entry lies there, live or not: to be asked before an index out of a handle is believed. */
HM_INLINE bool mtable_has(const struct mtable *table, uint32_t index)
{
    return index != 0 && index < atomic_load_explicit(&table->fresh, memory_order_relaxed);
}

HM_INLINE struct mentry *mtable_entry(const struct mtable *table, uint32_t index)
{
    return &table->base[index];
}

HM_INLINE uint32_t mtable_index(const struct mtable *table, const struct mentry *entry)
{
    return (uint32_t)(entry - table->base);
}

/* The caller owns the free entry (after entry_take). A retired one is counted instead. */
HM_INLINE void mstack_push(struct mtable *table, struct mstack *stack, uint32_t index)
{
    struct mentry *entry = mtable_entry(table, index);
    if (HM_UNLIKELY((atomic_load_explicit(&entry->word, memory_order_relaxed) & ENTRY_RETIRED) != 0)) {
        atomic_fetch_add_explicit(&table->retired, 1, memory_order_relaxed);
        return;
    }
    /* Who has a stale handle and sees the link sees the word of the free, too. */
    atomic_store_explicit(&entry->address, stack->head, memory_order_release);
    stack->head = index;
    stack->count++;
}

/* 0: the stack is empty. */
HM_INLINE uint32_t mstack_pop(struct mtable *table, struct mstack *stack)
{
    uint32_t index = stack->head;
    if (HM_LIKELY(index != 0)) {
        stack->head =
            (uint32_t)atomic_load_explicit(&mtable_entry(table, index)->address, memory_order_relaxed);
        stack->count--;
    }
    return index;
}

/* How many entries are handed out: live, or on stacks of lanes. */
size_t mtable_used(struct mtable *table);

/* Bytes of the table that may be resident. */
size_t mtable_resident(const struct mtable *table);

/* Panics with the broken equation; `on_stacks` entries are with the lanes and `live` with blocks, while nobody else works
 * on the heap. Linear in the number of entries. */
void mtable_verify(struct mtable *table, size_t on_stacks, size_t live);

#endif
