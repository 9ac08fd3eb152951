#include <string.h>

#include "movable/block.h"
#include "movable/nested.h"

/* A resize under way: the entry is MOVING. */
struct resize {
    struct growing *growing;
    struct mentry *entry;
    hm_handle handle;
    size_t size;
    uint64_t word;
    struct mblock block;
};

static enum movable_result result_of(enum entry_result result)
{
    return result == ENTRY_OK ? MOVABLE_OK : result == ENTRY_PINNED ? MOVABLE_BUSY : MOVABLE_STALE;
}

/* In a child of fork, a block whose resizer is gone would be MOVING for ever: `resizing` says whether to look for one. */
static enum movable_result begin(struct resize *resize)
{
    atomic_fetch_add_explicit(&resize->growing->resizing, 1, memory_order_relaxed);
    enum entry_result result = entry_move_take(resize->entry, resize->handle, &resize->word);
    if (result == ENTRY_OK) {
        block_of_entry(resize->growing, resize->entry, resize->word, &resize->block);
    } else {
        atomic_fetch_sub_explicit(&resize->growing->resizing, 1, memory_order_relaxed);
    }
    return result_of(result);
}

static void end(struct resize *resize)
{
    entry_move_end(resize->entry, resize->word);
    atomic_fetch_sub_explicit(&resize->growing->resizing, 1, memory_order_release);
}

static void recount(struct lane *lane, const struct resize *resize)
{
    block_count(lane, resize->growing, (size_t)-1, resize->block.size);
    block_count(lane, resize->growing, 1, resize->size);
}

/* The address that others find the block by. */
static void publish(const struct resize *resize, uintptr_t at)
{
    if ((resize->word & ENTRY_SLOT) != 0) {
        atomic_store((_Atomic uintptr_t *)entry_address(resize->entry), at);
    } else {
        entry_set_address(resize->entry, at);
    }
}

/* In place */

static void wipe_tail(const struct resize *resize)
{
    const struct mblock *block = &resize->block;
    if ((resize->growing->heap.options.flags & HM_MOVABLE_ZERO_ON_FREE) != 0 && resize->size < block->size) {
        memset((void *)(block->at + resize->size), 0, block->size - resize->size);
    }
}

/* The header changes in one store; what follows it is a piece of its own by then. Its header would lie in what read sections may
 * still look at: where there are any, a block that becomes shorter moves. */
static bool fit_small(struct resize *resize, bool *settle)
{
    struct growing *growing = resize->growing;
    struct mblock *block = &resize->block;
    size_t old_stride = mchunk_stride(block->size, growing->alignment);
    size_t stride = mchunk_stride(resize->size, growing->alignment);
    if (resize->size > growing->small_bytes || stride > old_stride) {
        return false;
    }
    struct lane *lane = block_lane(growing);
    mheader *header = header_of(block->at);
    uint8_t tag = header_tag(atomic_load_explicit(header, memory_order_relaxed));
    size_t died = old_stride - stride;
    movable_lock(&lane->lock, growing->locked);
    if (died > 0 && atomic_load_explicit(&growing->read, memory_order_relaxed)) {
        movable_unlock(&lane->lock, growing->locked);
        return false;
    }
    wipe_tail(resize);
    if (died > 0) {
        uintptr_t tail = (uintptr_t)header + stride;
        uint64_t dead = header_dead(died, readers_epoch(growing->env->readers));
        atomic_store_explicit(header_at(tail), dead, memory_order_release);
    }
    atomic_store_explicit(header, header_block(block->index, resize->size, tag), memory_order_release);
    *settle = died > 0 && mchunks_killed(&growing->chunks, block->chunk, died);
    recount(lane, resize);
    movable_unlock(&lane->lock, growing->locked);
    return true;
}

/* The compaction lock is held: no thread begins the heap's first read section meanwhile. */
static bool fit_large(struct resize *resize)
{
    struct growing *growing = resize->growing;
    struct mblock *block = &resize->block;
    bool read = atomic_load_explicit(&growing->read, memory_order_relaxed);
    if (resize->size <= growing->small_bytes) {
        return false;
    }
    if (!mlarge_fit(&growing->larges, block->large, resize->size, read) &&
        (read || !mlarge_remap(&growing->larges, block->large, resize->size))) {
        return false;
    }
    uintptr_t at = block->large->span.addr;
    struct lane *lane = block_lane(growing);
    movable_lock(&lane->lock, growing->locked);
    if (at != block->at) {
        publish(resize, at);
        size_t kept = block->size < resize->size ? block->size : resize->size;
        if (atomic_load_explicit(&block->large->nested, memory_order_relaxed)) {
            nested_moved(growing, block->at, at, kept);
        }
    }
    recount(lane, resize);
    movable_unlock(&lane->lock, growing->locked);
    return true;
}

/* *done: the block has its new size. */
static enum movable_result fit(struct resize *resize, bool *done)
{
    struct growing *growing = resize->growing;
    bool large = (entry_word(resize->entry) & ENTRY_LARGE) != 0;
    bool settle = false;
    *done = false;
    if (large) {
        movable_lock(&growing->evacuate.lock, growing->locked);
    }
    enum movable_result result = begin(resize);
    if (result == MOVABLE_OK) {
        if (resize->block.chunk != NULL) {
            *done = fit_small(resize, &settle);
        } else if (large) {
            *done = fit_large(resize);
        }
        end(resize);
    }
    if (large) {
        movable_unlock(&growing->evacuate.lock, growing->locked);
    }
    if (settle) {
        mchunks_settle(&growing->chunks, mchunks_keep(&growing->chunks));
    }
    return result;
}

/* To another place */

static void name_place(const struct resize *resize, const struct place *place, bool nested)
{
    const struct mblock *block = &resize->block;
    uint8_t tag = block->chunk != NULL
                      ? header_tag(atomic_load_explicit(header_of(block->at), memory_order_relaxed))
                      : atomic_load_explicit(&block->large->tag, memory_order_relaxed);
    if (place->chunk != NULL) {
        atomic_store_explicit(header_of(place->at), header_block(block->index, place->size, tag),
                              memory_order_release);
    } else {
        atomic_store_explicit(&place->large->tag, tag, memory_order_relaxed);
        atomic_store_explicit(&place->large->index, block->index, memory_order_release);
    }
    if (nested && place->chunk != NULL) {
        mchunk_set_nested(place->chunk);
    } else if (nested) {
        atomic_store_explicit(&place->large->nested, true, memory_order_relaxed);
    }
}

/* The old header dies before MOVING goes: a compactor that finds it alive finds the entry MOVING. */
static bool leave_old(struct resize *resize)
{
    struct mblock *block = &resize->block;
    if (block->chunk != NULL) {
        return block_kill(resize->growing, block->chunk, block->at, block->size);
    }
    atomic_store_explicit(&block->large->index, 0, memory_order_release);
    return false;
}

static void move(struct resize *resize, const struct place *place)
{
    struct growing *growing = resize->growing;
    struct mblock *block = &resize->block;
    struct lane *lane = block_lane(growing);
    size_t kept = block->size < resize->size ? block->size : resize->size;
    memcpy((void *)place->at, (const void *)block->at, kept);
    bool nested = atomic_load_explicit(block->chunk != NULL ? &block->chunk->nested : &block->large->nested,
                                       memory_order_relaxed) &&
                  nested_moved(growing, block->at, place->at, kept);
    movable_lock(&lane->lock, growing->locked);
    name_place(resize, place, nested);
    publish(resize, place->at);
    bool settle = leave_old(resize);
    resize->word = place->large != NULL ? resize->word | ENTRY_LARGE : resize->word & ~ENTRY_LARGE;
    recount(lane, resize);
    end(resize);
    movable_unlock(&lane->lock, growing->locked);
    if (block->large != NULL) {
        mlarge_discard(&growing->larges, block->large,
                       atomic_load_explicit(&growing->read, memory_order_relaxed));
    }
    if (settle) {
        mchunks_settle(&growing->chunks, mchunks_keep(&growing->chunks));
    }
}

/* A large block that its pages alone were too few for: compaction may make room for more. */
static enum movable_result fit_after_rescue(struct resize *resize, uintptr_t keep, bool *done)
{
    bool large =
        (entry_word(resize->entry) & ENTRY_LARGE) != 0 && resize->size > resize->growing->small_bytes;
    return large && block_rescue(resize->growing, keep) ? fit(resize, done) : MOVABLE_NO_MEMORY;
}

enum movable_result block_resize(struct growing *growing, hm_handle handle, size_t size)
{
    if (!heap_has(&growing->heap, handle)) {
        return MOVABLE_STALE;
    }
    struct resize resize = {
        .growing = growing, .entry = heap_entry(&growing->heap, handle), .handle = handle, .size = size};
    bool done;
    enum movable_result result = fit(&resize, &done);
    if (result != MOVABLE_OK || done) {
        return result;
    }
    struct place place;
    uintptr_t keep = (resize.word & ENTRY_SLOT) != 0 ? entry_address(resize.entry) : 0;
    if (!block_make(growing, size, keep, &place)) {
        result = fit_after_rescue(&resize, keep, &done);
        return result == MOVABLE_OK && !done ? MOVABLE_NO_MEMORY : result;
    }
    result = begin(&resize);
    if (result == MOVABLE_OK) {
        move(&resize, &place);
    } else {
        block_unmake(growing, &place);
    }
    return result;
}
