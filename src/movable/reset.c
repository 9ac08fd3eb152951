#include <string.h>

#include "base/check.h"
#include "movable/block.h"

/* All blocks die at once. A first walk makes every entry MOVING, so that nobody can pin or free any more, and undoes that if a
 * block is pinned; a second one frees. */

static void release_entries(struct growing *growing, uint32_t end)
{
    for (uint32_t i = 1; i < end; i++) {
        struct mentry *entry = mtable_entry(&growing->table, i);
        uint64_t word = entry_word(entry);
        if (entry_is_live(word)) {
            entry_move_end(entry, word & ~ENTRY_MOVING);
        }
    }
}

static bool seize_entries(struct growing *growing, uint32_t fresh)
{
    for (uint32_t i = 1; i < fresh; i++) {
        struct mentry *entry = mtable_entry(&growing->table, i);
        uint64_t word = entry_word(entry);
        while (entry_is_live(word) && !entry_move_begin(entry, word)) {
            word = entry_word(entry);
            if ((word & (ENTRY_PINS | ENTRY_MOVING)) != 0) {
                release_entries(growing, i);
                return false;
            }
        }
    }
    return true;
}

/* The entry's block dies; its slot, if it still holds the block, becomes NULL. */
static void free_entry(struct growing *growing, uint32_t index, uintptr_t at)
{
    struct mentry *entry = mtable_entry(&growing->table, index);
    struct lane *lane = &growing->lane[0];
    uint64_t word = entry_word(entry);
    _Atomic uintptr_t *slot = (word & ENTRY_SLOT) != 0 ? (_Atomic uintptr_t *)entry_address(entry) : NULL;
    if (slot != NULL && atomic_load(slot) == at) {
        atomic_store(slot, 0);
    }
    lane->slots -= (word & ENTRY_SLOT) != 0 ? 1 : 0;
    if ((word & ENTRY_TAGGED) != 0) {
        pins_forget(&growing->pins, entry_generation(word) | (hm_handle)index * MTABLE_LOW);
    }
    atomic_store(&entry->word, entry_freed(word));
    mstack_push(&growing->table, &lane->entries, index);
}

static void free_in_chunk(struct growing *growing, struct mchunk *chunk)
{
    uint32_t offset = MCHUNK_FIRST;
    uint32_t before = MCHUNK_FIRST;
    while (offset < chunk->top) {
        struct piece piece;
        mchunk_read(chunk, growing->alignment, offset, before, &piece);
        if (piece.index != 0) {
            uintptr_t at = chunk->span.addr + offset + HEADER_BYTES;
            free_entry(growing, piece.index, at);
            block_count(&growing->lane[0], growing, (size_t)-1, piece.size);
            /* Not block_kill, which would take the lock. */
            if ((growing->heap.options.flags & HM_MOVABLE_ZERO_ON_FREE) != 0) {
                memset((void *)at, 0, piece.size);
            }
            uint64_t dead = header_dead(piece.length, readers_epoch(growing->env->readers));
            atomic_store(header_of(at), dead);
            atomic_fetch_sub(&chunk->live, piece.length);
        }
        before = offset;
        offset += piece.length;
    }
}

/* Larges are moved to the front of the list. */
static void free_larges(struct growing *growing)
{
    struct list *next;
    for (struct list *node = growing->larges.all.next; node != &growing->larges.all; node = next) {
        next = node->next;
        struct mlarge *large = LIST_ENTRY(node, struct mlarge, all);
        uint32_t index = atomic_load(&large->index);
        if (index != 0) {
            free_entry(growing, index, large->span.addr);
            block_count(&growing->lane[0], growing, (size_t)-1, atomic_load(&large->size));
            mlarge_kill_locked(&growing->larges, large);
        }
    }
}

/* All locks are held. */
static void free_all_blocks(struct growing *growing)
{
    struct mchunks *chunks = &growing->chunks;
    struct mstack *entries = &growing->lane[0].entries;
    evacuate_detach_locked(growing);
    for (struct list *node = chunks->all.next; node != &chunks->all; node = node->next) {
        struct mchunk *chunk = LIST_ENTRY(node, struct mchunk, all);
        free_in_chunk(growing, chunk);
        mchunks_relist_locked(chunks, chunk);
    }
    free_larges(growing);
    mtable_put(&growing->table, entries, entries->count);
}

static void discard_larges(struct growing *growing, bool wait)
{
    struct mlarge *large;
    while ((large = mlarges_dead(&growing->larges)) != NULL) {
        mlarge_discard(&growing->larges, large, wait);
    }
}

enum movable_result growing_reset(struct hm_heap *heap)
{
    struct growing *growing = growing_of(heap);
    growing_lock_all(growing);
    bool done = seize_entries(growing, atomic_load(&growing->table.fresh));
    if (done) {
        free_all_blocks(growing);
    }
    growing_unlock_all(growing);
    if (!done) {
        return MOVABLE_BUSY;
    }
    discard_larges(growing, atomic_load(&growing->read));
    mchunks_settle(&growing->chunks, mchunks_keep(&growing->chunks));
    return MOVABLE_OK;
}

void growing_destroy(struct hm_heap *heap)
{
    struct growing *growing = growing_of(heap);
    struct growing_env *env = growing->env;
    growing_lock_all(growing);
    free_all_blocks(growing);
    growing_unlock_all(growing);
    discard_larges(growing, false);
    mlarges_destroy(&growing->larges);
    mchunks_destroy(&growing->chunks);
    pins_destroy(&growing->pins);
    mtable_destroy(&growing->table);
    heap_close(heap);
    meta_pool_put(&env->heaps, growing);
}
