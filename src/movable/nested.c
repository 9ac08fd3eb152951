#include "movable/nested.h"

#include "base/check.h"
#include "movable/block.h"

void nested_note(struct growing *growing, uintptr_t slot)
{
    struct mchunk *chunk = mchunks_find(&growing->chunks, slot);
    if (chunk != NULL) {
        mchunk_set_nested(chunk);
        return;
    }
    struct mlarge *large = mlarges_around(&growing->larges, slot);
    if (large != NULL) {
        atomic_store_explicit(&large->nested, true, memory_order_relaxed);
    }
}

/* For each word of the memory at `from`, whose contents can be read at `readable`: if it is a slot of a block, its entry's
 * address becomes that of the same word at `to`, 0 for none. Returns how many. */
static size_t relocate(struct growing *growing, uintptr_t from, uintptr_t readable, uintptr_t to, size_t size)
{
    size_t count = 0;
    for (size_t offset = 0; offset + sizeof(uintptr_t) <= size; offset += sizeof(uintptr_t)) {
        struct mblock block;
        uintptr_t word =
            atomic_load_explicit((const _Atomic uintptr_t *)(readable + offset), memory_order_relaxed);
        if (word == 0 || !block_at(growing, word, &block)) {
            continue;
        }
        uint64_t state = entry_word(block.entry);
        if (entry_is_live(state) && (state & ENTRY_SLOT) != 0 &&
            entry_address(block.entry) == from + offset) {
            entry_set_address(block.entry, to == 0 ? 0 : to + offset);
            count++;
        }
    }
    return count;
}

bool nested_moved(struct growing *growing, uintptr_t from, uintptr_t to, size_t size)
{
    return relocate(growing, from, to, to, size) > 0;
}

void nested_freed(struct growing *growing, uintptr_t block, size_t size)
{
    relocate(growing, block, block, 0, size);
}
