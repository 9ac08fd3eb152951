#include <string.h>

#include "base/check.h"
#include "movable/block.h"
#include "movable/spare.h"

/* Statistics */

struct sums {
    size_t blocks;
    size_t bytes;
    size_t granules;
    uint32_t slots;
    size_t on_stacks;
    size_t touched; /* of chunks with a lane beyond what they keep count of, */
    size_t garbage; /* and what that adds to their garbage; spare places too */
};

/* What a lane's chunk doesn't know while the lane holds it. */
static void sum_held(const struct lane *lane, struct sums *sums)
{
    sums->garbage += spare_sum(lane);
    if (lane->chunk != NULL) {
        size_t extent = lane->tail ? lane->at - lane->base : 0;
        size_t touched = lane->chunk->touched;
        sums->touched += extent > touched ? extent - touched : 0;
        sums->garbage += lane_garbage(lane) - mchunk_garbage(lane->chunk);
    }
}

/* All locks are held. */
static struct sums sum_lanes(struct growing *growing)
{
    struct sums sums = {0};
    for (unsigned i = 0; i <= growing->lane_mask; i++) {
        const struct lane *lane = &growing->lane[i];
        sums.bytes += lane->bytes;
        sums.granules += lane->granules;
        sums.slots += lane->slots;
        sums.on_stacks += lane->entries.count;
        sum_held(lane, &sums);
    }
    sum_held(&growing->evacuate.lane, &sums);
    sums.blocks = mtable_used(&growing->table) - sums.on_stacks;
    return sums;
}

static size_t metadata_bytes(const struct growing *growing, size_t blocks)
{
    size_t small = blocks - growing->larges.count;
    return mtable_resident(&growing->table) + small * HEADER_BYTES +
           growing->chunks.count * sizeof(struct mchunk) + growing->larges.count * sizeof(struct mlarge) +
           sizeof(struct growing);
}

static size_t count_pinned(const struct growing *growing)
{
    size_t pinned = 0;
    uint32_t fresh = atomic_load(&growing->table.fresh);
    for (uint32_t i = 1; i < fresh; i++) {
        pinned += (entry_word(mtable_entry(&growing->table, i)) & ENTRY_PINS) != 0;
    }
    return pinned;
}

void growing_stats(struct hm_heap *heap, struct hm_movable_stats *stats)
{
    struct growing *growing = growing_of(heap);
    const struct evacuate *evacuate = &growing->evacuate;
    struct mchunks_stats chunks;
    memset(stats, 0, sizeof *stats);
    mchunks_stats(&growing->chunks, &chunks);
    growing_lock_all(growing);
    struct sums sums = sum_lanes(growing);
    stats->live_blocks = sums.blocks;
    stats->live_bytes = sums.bytes;
    stats->granule_bytes = sums.granules;
    stats->slots = sums.slots;
    /* The headers lie in what chunks have touched. */
    stats->metadata_bytes = metadata_bytes(growing, sums.blocks);
    stats->held_bytes = chunks.touched + sums.touched + growing->larges.bytes + growing->larges.waiting +
                        stats->metadata_bytes - (sums.blocks - growing->larges.count) * HEADER_BYTES;
    stats->free_bytes = chunks.garbage + sums.garbage;
    stats->waiting_bytes = chunks.waiting + growing->larges.waiting;
    stats->moved_blocks = evacuate->moved_blocks;
    stats->moved_bytes = evacuate->moved_bytes;
    stats->released_bytes = evacuate->purged_bytes;
    stats->remapped_bytes = growing->larges.remapped;
    stats->steps = evacuate->steps;
    stats->longest_step_ns = evacuate->longest_ns;
    growing_unlock_all(growing);
    stats->pinned_blocks = count_pinned(growing);
}

void growing_look(struct hm_heap *heap, struct movable_view *view)
{
    struct growing *growing = growing_of(heap);
    struct mchunks_stats chunks;
    mchunks_stats(&growing->chunks, &chunks);
    movable_lock(&growing->chunks.lock, growing->locked);
    size_t larges = growing->larges.bytes + growing->larges.waiting;
    size_t metadata = metadata_bytes(growing, growing->larges.count);
    movable_unlock(&growing->chunks.lock, growing->locked);
    view->free_bytes = chunks.garbage;
    view->held_bytes = chunks.touched + larges + metadata;
    view->stirred_bytes = atomic_load_explicit(&growing->chunks.taken, memory_order_relaxed) +
                          atomic_load_explicit(&growing->chunks.freed, memory_order_relaxed) -
                          atomic_load_explicit(&growing->evacuate.cleared, memory_order_relaxed);
}

/* Pins */

static void describe(struct growing *growing, struct hm_pin_info *info)
{
    struct mentry *entry = heap_entry(&growing->heap, info->handle);
    if (!heap_has(&growing->heap, info->handle) || entry_pin(entry, info->handle) != ENTRY_OK) {
        return;
    }
    struct mblock block;
    block_of_entry(growing, entry, entry_word(entry), &block);
    if (block.chunk != NULL) {
        uint64_t header = atomic_load_explicit(header_of(block.at), memory_order_relaxed);
        info->block_name = pins_tag_name(&growing->pins, header_tag(header));
        size_t page = growing->env->core->os->page_size;
        movable_lock(&growing->chunks.lock, growing->locked);
        info->kept_bytes = bits_align_down(mchunk_garbage(block.chunk), page);
        movable_unlock(&growing->chunks.lock, growing->locked);
    } else {
        info->block_name =
            pins_tag_name(&growing->pins, atomic_load_explicit(&block.large->tag, memory_order_relaxed));
    }
    entry_unpin(entry, info->handle);
}

size_t growing_pin_report(struct hm_heap *heap, struct hm_pin_info *pins, size_t max)
{
    struct growing *growing = growing_of(heap);
    size_t count = pins_oldest(&growing->pins, pins, max, os_now_ns());
    for (size_t i = 0; i < count && i < max; i++) {
        describe(growing, &pins[i]);
    }
    return count;
}

/* Verifying: all locks are held */

struct walk {
    struct growing *growing;
    size_t blocks;
    size_t bytes;
    size_t granules;
};

const struct lane *growing_lane_of(const struct growing *growing, const struct mchunk *chunk)
{
    for (unsigned i = 0; i <= growing->lane_mask; i++) {
        if (growing->lane[i].chunk == chunk) {
            return &growing->lane[i];
        }
    }
    return growing->evacuate.lane.chunk == chunk ? &growing->evacuate.lane : NULL;
}

static void count_block(struct walk *walk, uint32_t index, uintptr_t at, size_t size, bool large)
{
    struct growing *growing = walk->growing;
    HM_CHECK(mtable_has(&growing->table, index), "a header's index is that of an entry");
    const struct mentry *entry = mtable_entry(&growing->table, index);
    uint64_t word = entry_word(entry);
    HM_CHECK(entry_is_live(word) && word >> ENTRY_NUMBER == growing->heap.number,
             "a block's entry is live and the heap's");
    HM_CHECK(((word & ENTRY_LARGE) != 0) == large, "a block's entry says whether it has pages of its own");
    HM_CHECK((word & (ENTRY_SLOT | ENTRY_MOVING)) != 0 || entry_address(entry) == at,
             "a block's entry has its address");
    walk->blocks++;
    walk->bytes += size;
    walk->granules += bits_align_up(size, growing->alignment);
}

static void verify_chunk(struct walk *walk, struct mchunk *chunk)
{
    const struct lane *lane = growing_lane_of(walk->growing, chunk);
    uint32_t offset = MCHUNK_FIRST;
    uint32_t before = offset;
    uint32_t top = chunk->top;
    size_t live = 0;
    if (lane != NULL && lane->tail) {
        /* The tail's blocks lie above the top until the range is closed. */
        chunk->top = (uint32_t)(lane->at - chunk->span.addr);
    }
    while (offset < chunk->top) {
        struct piece piece;
        if (lane != NULL && lane->at != lane->stop && chunk->span.addr + offset == lane->at) {
            offset = (uint32_t)(lane->stop - chunk->span.addr);
            continue;
        }
        mchunk_read(chunk, walk->growing->alignment, offset, before, &piece);
        if (piece.index != 0) {
            count_block(walk, piece.index, chunk->span.addr + offset + HEADER_BYTES, piece.size, false);
        }
        live += piece.index != 0 || piece.making ? piece.length : 0;
        before = offset;
        offset += piece.length;
    }
    HM_CHECK(offset == chunk->top, "the pieces add up to top");
    chunk->top = top;
    live += lane != NULL ? lane->stop - lane->at : 0;
    HM_CHECK(live == atomic_load(&chunk->live), "live = lengths of blocks + of the holder's range");
    HM_CHECK(chunk->state != MCHUNK_HELD || lane != NULL || walk->growing->evacuate.victim == chunk ||
                 !walk->growing->locked,
             "who holds a chunk has it");
}

static size_t count_entries(struct growing *growing)
{
    size_t live = 0;
    uint32_t fresh = atomic_load(&growing->table.fresh);
    for (uint32_t i = 1; i < fresh; i++) {
        live += entry_is_live(entry_word(mtable_entry(&growing->table, i)));
    }
    return live;
}

static void verify_locked(struct growing *growing)
{
    struct walk walk = {.growing = growing};
    struct sums sums = sum_lanes(growing);
    for (unsigned i = 0; i <= growing->lane_mask; i++) {
        spare_verify(&growing->lane[i], &growing->chunks);
    }
    for (struct list *node = growing->chunks.all.next; node != &growing->chunks.all; node = node->next) {
        struct mchunk *chunk = LIST_ENTRY(node, struct mchunk, all);
        if (chunk->state != MCHUNK_LIMBO) {
            verify_chunk(&walk, chunk);
        }
    }
    for (struct list *node = growing->larges.all.next; node != &growing->larges.all; node = node->next) {
        struct mlarge *large = LIST_ENTRY(node, struct mlarge, all);
        uint32_t index = atomic_load(&large->index);
        if (index != 0) {
            count_block(&walk, index, large->span.addr, atomic_load(&large->size), true);
        }
    }
    HM_CHECK(walk.blocks == sums.blocks && walk.bytes == sums.bytes && walk.granules == sums.granules,
             "blocks, bytes, granules = sums over the lanes");
    HM_CHECK(count_entries(growing) == walk.blocks, "each live entry has one block");
    mchunks_verify_locked(&growing->chunks);
    mlarges_verify_locked(&growing->larges);
    mtable_verify(&growing->table, sums.on_stacks, walk.blocks);
}

void growing_verify(struct hm_heap *heap)
{
    struct growing *growing = growing_of(heap);
    growing_lock_all(growing);
    verify_locked(growing);
    growing_unlock_all(growing);
    pins_verify(&growing->pins);
    readers_verify(growing->env->readers);
}
