/* Entry: the word that says whether a block of a movable heap may be moved, and the protocol about it.
 *
 * Every block has one. `address` is the block's address when it is named by a handle, the slot's address when
 * it is named by a slot (the slot's variable holds the block's address then). A free entry's `address` is its
 * list's business.
 *
 * word = heap number << 54 | uses << 32 | flags | pins. Heap number and use together are the generation: the
 * upper half of the handle. In a free entry the heap number is 0, which no handle has, ENTRY_FREE is set, and `uses` is that of the next
 * block: so every handle, stale, foreign or made up, mismatches a free entry, and every older one mismatches
 * the next block. An entry whose uses are used up is ENTRY_RETIRED and nothing else, for ever.
 *
 * Who may change what:
 *  - pins + 1: anybody with a current handle, by compare-and-swap from a word without MOVING;
 *  - pins - 1: anybody with a current handle, by compare-and-swap from a word with pins > 0;
 *  - live -> free: anybody with a current handle, by compare-and-swap from a word with no pins and without MOVING:
 *    exactly one of several callers succeeds, and the entry is his alone then;
 *  - MOVING on: whoever moves, resizes or renames the block, by compare-and-swap from a word with no pins and without
 *    MOVING. While it is set nobody else writes the word or the address: pinners and freers wait for it to go;
 *  - MOVING off: who set it, by a store that releases the new address;
 *  - other flags: who has set MOVING, or by compare-and-swap from a word without MOVING.
 *
 * Hence: a pinned block never moves; a move never loses a free or a pin; an address read after a successful pin is that of
 * the pinned block until the unpin; an address read before a matching generation is one the block has or had in this use (the
 * old place stays readable for read sections, see readers.h). tests/protocol/handle.pml is the model of it.
 *
 * Waiting: nobody waits for MOVING to go with a lock that its setter may want (a lane's or the heap's). MOVING is on only under a lock that fork
 * takes: the child would wait for ever otherwise.
 *
 * Memory order: what makes a block unreachable (the swap of entry_take, the store of entry_set_address) is sequentially consistent, so
 * that the epoch read after it covers every read section that may have seen the block there (readers.h). */
#ifndef HM_MOVABLE_ENTRY_H
#define HM_MOVABLE_ENTRY_H

#include <assert.h>
#include <hmalloc/handle.h>
#include <stdatomic.h>

#include "base/attr.h"
#include "base/check.h"

#define ENTRY_PINS    UINT64_C(0xffff)
#define ENTRY_MOVING  (UINT64_C(1) << 16)
#define ENTRY_SLOT    (UINT64_C(1) << 17) /* named by a slot */
#define ENTRY_LARGE   (UINT64_C(1) << 18) /* has pages of its own */
#define ENTRY_TAGGED  (UINT64_C(1) << 19) /* has pin records */
#define ENTRY_NESTED  (UINT64_C(1) << 20) /* slots of other blocks may lie in it */
#define ENTRY_RETIRED (UINT64_C(1) << 21) /* never used again */
#define ENTRY_FREE    (UINT64_C(1) << 22) /* set in every free entry */

/* Generation: 10 bits of the heap's number, 22 that count the uses of the entry. */
#define ENTRY_GENERATION 32
#define ENTRY_USE_BITS   22
#define ENTRY_HEAP_BITS  10
#define ENTRY_NUMBER     (ENTRY_GENERATION + ENTRY_USE_BITS)
#define ENTRY_USES_LAST  ((UINT64_C(1) << ENTRY_USE_BITS) - 1)
#define ENTRY_NUMBER_MAX ((1u << ENTRY_HEAP_BITS) - 1)

/* Set in the sum by which a block's word becomes that of the next use, where there is none. */
#define ENTRY_USES_OVER (UINT64_C(1) << ENTRY_NUMBER)

/* The word of an entry before its first use, which is use 1: so no generation is 0, as that of a handle cut to its lower half. */
#define ENTRY_NEW (UINT64_C(1) << ENTRY_GENERATION | ENTRY_FREE)

/* Laid out as struct hm_entry in hmalloc/handle.h. */
struct mentry {
    _Atomic uintptr_t address;
    _Atomic uint64_t word;
};

static_assert(sizeof(struct mentry) == sizeof(struct hm_entry), "hm_deref reads entries");
static_assert(offsetof(struct mentry, address) == offsetof(struct hm_entry, address),
              "hm_deref reads entries");
static_assert(offsetof(struct mentry, word) == offsetof(struct hm_entry, word), "hm_deref reads entries");

enum entry_result {
    ENTRY_OK,
    ENTRY_STALE,    /* the handle isn't that of a block of this entry (any more) */
    ENTRY_PINNED,   /* has pins, so the verb can't be done */
    ENTRY_UNPINNED, /* unpin: has no pin */
    ENTRY_FULL,     /* pin: has 65,535 pins */
    ENTRY_BUSY,     /* entry_move_try: being moved */
};

/* What a handle's word is without pins and flags. */
HM_INLINE uint64_t entry_generation(uint64_t word_or_handle)
{
    return word_or_handle ^ (uint32_t)word_or_handle;
}

/* A handle's halves; the upper one is what an entry's word is without pins and flags. The compiler shall not know where they come
 * from: it would take a longer way to each, and keep the handle on the fast path as well. */
struct entry_halves {
    uint64_t low;
    uint64_t generation;
};

HM_INLINE struct entry_halves entry_halves(hm_handle handle)
{
#if defined(__x86_64__)
    uint64_t low;
    __asm__("movl %k1, %k0" : "=r"(low) : "r"(handle));
#else
    uint64_t low = (uint32_t)handle;
#endif
    uint64_t generation = handle - low;
    HM_FORGET(generation);
    return (struct entry_halves){low, generation};
}

HM_INLINE bool entry_is_of(uint64_t word, hm_handle handle)
{
    return (word ^ handle) >> ENTRY_GENERATION == 0;
}

HM_INLINE bool entry_is_live(uint64_t word)
{
    return word >> ENTRY_NUMBER != 0;
}

HM_INLINE uint64_t entry_uses(uint64_t word)
{
    return word >> ENTRY_GENERATION & ENTRY_USES_LAST;
}

/* The word of the entry after its block of `word` is freed. */
HM_INLINE uint64_t entry_freed(uint64_t word)
{
    uint64_t uses = entry_uses(word);
    return uses == ENTRY_USES_LAST ? ENTRY_RETIRED : (uses + 1) << ENTRY_GENERATION | ENTRY_FREE;
}

HM_INLINE uint64_t entry_word(const struct mentry *entry)
{
    return atomic_load_explicit(&entry->word, memory_order_acquire);
}

HM_INLINE uintptr_t entry_address(const struct mentry *entry)
{
    return atomic_load_explicit(&entry->address, memory_order_acquire);
}

/* The general forms: `word` is what the entry's word was a moment ago. They wait while the block is being moved. */
enum entry_result entry_pin_general(struct mentry *entry, hm_handle handle, uint64_t word);
enum entry_result entry_unpin_general(struct mentry *entry, hm_handle handle, uint64_t word);
enum entry_result entry_take_general(struct mentry *entry, hm_handle handle, uint64_t *word);

/* Returns once the block isn't being moved (or is gone), with the word. */
uint64_t entry_wait(const struct mentry *entry);

/* The first tries of pin and unpin, by the handle's generation: for a block without other pins and flags. */
HM_INLINE bool entry_pin_first(struct mentry *entry, uint64_t *word)
{
    return HM_LIKELY(atomic_compare_exchange_strong_explicit(&entry->word, word, *word + 1,
                                                             memory_order_acquire, memory_order_relaxed));
}

HM_INLINE bool entry_unpin_last(struct mentry *entry, uint64_t *word)
{
    *word += 1;
    return HM_LIKELY(atomic_compare_exchange_strong_explicit(&entry->word, word, *word - 1,
                                                             memory_order_release, memory_order_relaxed));
}

/* One pin more. OK: entry_address() stays what it is until the unpin. Others: STALE, FULL. */
HM_INLINE enum entry_result entry_pin(struct mentry *entry, hm_handle handle)
{
    uint64_t word = entry_generation(handle);
    return entry_pin_first(entry, &word) ? ENTRY_OK : entry_pin_general(entry, handle, word);
}

/* One pin less: OK, STALE or UNPINNED. */
HM_INLINE enum entry_result entry_unpin(struct mentry *entry, hm_handle handle)
{
    uint64_t word = entry_generation(handle);
    return entry_unpin_last(entry, &word) ? ENTRY_OK : entry_unpin_general(entry, handle, word);
}

/* Live -> free. OK: the entry is the caller's alone (its address is still the block's or the slot's) until he gives it back to
 * its list, and *word is what the word was, for the flags; stamp the block's memory with readers_epoch() after this. Others:
 * STALE, PINNED. */
HM_INLINE enum entry_result entry_take(struct mentry *entry, hm_handle handle, uint64_t *word)
{
    *word = entry_generation(handle);
    if (HM_LIKELY(atomic_compare_exchange_strong(&entry->word, word, entry_freed(*word)))) {
        return ENTRY_OK;
    }
    return entry_take_general(entry, handle, word);
}

/* Free -> live, by whoever the entry belongs to. `low` is the lower half of the handle, `number` that of the heap. Returns the
 * handle. */
HM_INLINE hm_handle entry_make(struct mentry *entry, uint32_t low, uint32_t number, uintptr_t address,
                               uint64_t flags)
{
    uint64_t word = atomic_load_explicit(&entry->word, memory_order_relaxed);
    HM_ASSERT(word >> ENTRY_NUMBER == 0 && (uint32_t)word == ENTRY_FREE,
              "an entry that is made live is free");
    uint64_t generation = entry_generation(word) | (uint64_t)number << ENTRY_NUMBER;
    /* Who has a stale handle and sees this address sees the word of its free, or a later one, too. */
    atomic_store_explicit(&entry->address, address, memory_order_release);
    atomic_store_explicit(&entry->word, generation | flags, memory_order_release);
    return generation | low;
}

/* MOVING on, by a compactor that read `word` (live, without MOVING) and then what it wants to move. False: pinned, freed or being
 * moved meanwhile. It should check the address afterwards. */
HM_INLINE bool entry_move_begin(struct mentry *entry, uint64_t word)
{
    return (word & (ENTRY_PINS | ENTRY_MOVING)) == 0 &&
           atomic_compare_exchange_strong_explicit(&entry->word, &word, word | ENTRY_MOVING,
                                                   memory_order_acquire, memory_order_relaxed);
}

/* MOVING on, by a holder of the handle. OK: *word is the word to end with. Others: STALE, PINNED, BUSY (entry_wait and try
 * again, without locks). */
enum entry_result entry_move_try(struct mentry *entry, hm_handle handle, uint64_t *word);

/* The same for who holds no lock: waits instead of BUSY. */
enum entry_result entry_move_take(struct mentry *entry, hm_handle handle, uint64_t *word);

/* The new address, while MOVING is on: from here on read sections find the block there. Stamp the old place with
 * readers_epoch() after this. */
HM_INLINE void entry_set_address(struct mentry *entry, uintptr_t address)
{
    atomic_store(&entry->address, address);
}

/* MOVING off; `word` is what it was before, perhaps with other flags. */
HM_INLINE void entry_move_end(struct mentry *entry, uint64_t word)
{
    HM_ASSERT((word & (ENTRY_PINS | ENTRY_MOVING)) == 0, "a moved block has no pins");
    atomic_store_explicit(&entry->word, word, memory_order_release);
}

/* Sets and clears flags (not MOVING) of a block, pinned or not: OK or STALE. */
enum entry_result entry_flags(struct mentry *entry, hm_handle handle, uint64_t set, uint64_t clear);

#endif
