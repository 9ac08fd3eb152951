/* Slots that lie in blocks of the same heap: when the block moves, they move along, and the entries of the blocks that they name
 * are set right.
 *
 * A chunk or large block is marked when a slot in it is registered; only what lies in marked ones is looked through, word by word. A
 * word is a slot if a block begins where it points to whose entry says that its slot is this word. Nobody else works on
 * these entries meanwhile: who uses a slot in a movable block has that block pinned, or is the heap's only user. */
#ifndef HM_MOVABLE_NESTED_H
#define HM_MOVABLE_NESTED_H

#include "base/attr.h"

struct growing;

/* The slot is going to name a block: marks what it lies in, if that is the heap's. */
void nested_note(struct growing *growing, uintptr_t slot);

/* The block at `from` is at `to`, too, or instead (remapped): slots in it are at `to` from now on. True: there are some. */
bool nested_moved(struct growing *growing, uintptr_t from, uintptr_t to, size_t size);

/* The block goes: what its slots named can't be moved or found by slot any more. */
void nested_freed(struct growing *growing, uintptr_t block, size_t size);

#endif
