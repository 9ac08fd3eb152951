/* Entry: the word that says whether a block of a movable heap may be moved, and the protocol about it.
 *
 * Every block has one. `address` is the block's address when it is named by a handle, the slot's address when it is named by
 * a slot (the slot's variable holds the block's address then). A free entry's `address` is its list's business.
 *
 * word = generation << 32 | flags | pins. The generation belongs to one use of the entry and to one heap: it changes when the entry is freed,
 * so that every older handle mismatches at once. An entry whose generations are used up is never used again.
 *
 * Who may change what:
 *  - pins + 1: anybody with a current handle, by compare-and-swap from a word without MOVING;
 *  - pins - 1: anybody with a current handle, by compare-and-swap from a word with pins > 0;
 *  - live -> free (generation + 1): anybody with a current handle, by compare-and-swap from a word with no pins and
 *    without MOVING: exactly one of several callers succeeds;
 *  - MOVING on: the holder of the heap's compaction lock, or a resizer, by compare-and-swap from a word with no pins and without MOVING.
 *    While it is set nobody else writes the word or the address: pinners and freers wait for it to go;
 *  - MOVING off: who set it, by a store that releases the new address.
 *
 * Hence: a pinned block never moves; a move never loses a free or a pin; an address read after a successful pin is that of the pinned block
 * until the unpin; an address read before a matching generation is one the block has or had in this use (the old place stays readable for
 * read sections, see readers.h). tests/protocol/ has the model of it. */
#ifndef HM_MOVABLE_ENTRY_H
#define HM_MOVABLE_ENTRY_H

#include <stdatomic.h>

#include "base/attr.h"

#define ENTRY_PINS       UINT64_C(0xffff)
#define ENTRY_MOVING     (UINT64_C(1) << 16)
#define ENTRY_SLOT       (UINT64_C(1) << 17) /* named by a slot */
#define ENTRY_LARGE      (UINT64_C(1) << 18) /* has pages of its own */
#define ENTRY_TAGGED     (UINT64_C(1) << 19) /* has pin records */
#define ENTRY_NESTED     (UINT64_C(1) << 20) /* slots of other blocks may lie in it */
#define ENTRY_GENERATION 32

/* Generation: 10 bits of the heap's number, 22 that count the uses of the entry. */
#define ENTRY_USE_BITS  22
#define ENTRY_HEAP_BITS 10

/* Laid out as struct hm_entry in hmalloc/handle.h. */
struct mentry {
    _Atomic uintptr_t address;
    _Atomic uint64_t word;
};

#endif
