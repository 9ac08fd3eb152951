#include "movable/move.h"

#include <string.h>

#include "base/check.h"
#include "movable/block.h"
#include "movable/nested.h"
#include "movable/wait.h"

#define LOOKS 40 /* at a header that looks overwritten */

/* Header and entry didn't agree: fine if they do at some time, as a free or a resize was under way. Entries and places are used again, so
 * what one look more finds may be the same by chance. */
static enum move_outcome disagree(const struct move *move)
{
    struct wait wait = {0};
    for (unsigned i = 0; i < LOOKS; i++) {
        bool named = mtable_has(&move->growing->table, move->index);
        uint64_t word = named ? entry_word(move->entry) : move->word;
        uint64_t header = atomic_load_explicit(header_of(move->at), memory_order_acquire);
        if (word != move->word || header != move->header ||
            (named && entry_address(move->entry) == move->at)) {
            return MOVE_GONE;
        }
        wait_step(&wait);
    }
    uint32_t offset = (uint32_t)(move->at - HEADER_BYTES - move->chunk->span.addr);
    mchunk_corrupt(move->chunk, move->growing->alignment, offset, move->before);
}

/* Whether the block may be moved as far as can be seen without MOVING; MOVE_DONE stands for yes. A block that is being resized has two
 * headers, and an address that agrees with one of them; its slot isn't looked at, as it may go with the block. */
static enum move_outcome consider(struct move *move)
{
    if (!mtable_has(&move->growing->table, move->index)) {
        return disagree(move);
    }
    move->word = entry_word(move->entry);
    if (!entry_is_live(move->word)) {
        return MOVE_GONE;
    }
    if ((move->word & ENTRY_MOVING) != 0) {
        return MOVE_PINNED;
    }
    uintptr_t address = entry_address(move->entry);
    if ((move->word & ENTRY_SLOT) == 0 && address != move->at) {
        return disagree(move);
    }
    if ((move->word & ENTRY_PINS) != 0) {
        return MOVE_PINNED;
    }
    if (move->how->keep - move->at < header_size(move->header)) {
        return MOVE_SLOTS;
    }
    move->slot = (move->word & ENTRY_SLOT) != 0 ? (_Atomic uintptr_t *)address : NULL;
    bool named_by_slot = (move->word & ENTRY_SLOT) != 0;
    if (named_by_slot && !move->how->slots) {
        return MOVE_SLOTS;
    }
    return named_by_slot && move->slot == NULL ? MOVE_LOST : MOVE_DONE;
}

/* With MOVING on: MOVE_DONE if everything is as it was. */
static enum move_outcome unchanged(const struct move *move)
{
    uint64_t header = atomic_load_explicit(header_of(move->at), memory_order_acquire);
    uintptr_t address = entry_address(move->entry);
    uintptr_t expected = move->slot != NULL ? (uintptr_t)move->slot : move->at;
    if (address != expected || header != move->header) {
        return MOVE_GONE;
    }
    return move->slot == NULL || atomic_load(move->slot) == move->at ? MOVE_DONE : MOVE_LOST;
}

static void transfer(const struct move *move, uintptr_t to)
{
    struct growing *growing = move->growing;
    const struct hm_movable_options *options = &growing->heap.options;
    size_t size = header_size(move->header);
    memcpy((void *)to, (const void *)move->at, size);
    atomic_store_explicit(header_of(to), move->header, memory_order_release);
    if (options->on_move != NULL) {
        options->on_move(options->context, HM_MOVED, (void *)move->at, (void *)to, size);
    }
    if (HM_UNLIKELY(atomic_load_explicit(&move->chunk->nested, memory_order_relaxed)) &&
        nested_moved(growing, move->at, to, size)) {
        mchunk_set_nested(move->growing->evacuate.lane.chunk);
    }
    if (move->slot != NULL) {
        atomic_store(move->slot, to);
    } else {
        entry_set_address(move->entry, to);
    }
    block_kill(growing, move->chunk, move->at, size);
}

static bool allowed(const struct move *move, uintptr_t to)
{
    const struct hm_movable_options *options = &move->growing->heap.options;
    return options->on_move == NULL || options->on_move(options->context, HM_MOVE_ASK, (void *)move->at,
                                                        (void *)to, header_size(move->header));
}

enum move_outcome move_block(struct move *move)
{
    struct lane *lane = &move->growing->evacuate.lane;
    size_t stride = mchunk_stride(header_size(move->header), move->growing->alignment);
    move->entry = mtable_entry(&move->growing->table, move->index);
    enum move_outcome outcome = consider(move);
    if (outcome != MOVE_DONE) {
        return outcome;
    }
    if (!lane_ready(lane, &move->growing->chunks, stride, WANT_MOVE)) {
        return MOVE_NO_PLACE;
    }
    if (!entry_move_begin(move->entry, move->word)) {
        return MOVE_PINNED;
    }
    uintptr_t to = lane->at + HEADER_BYTES;
    outcome = unchanged(move);
    if (outcome == MOVE_DONE && !allowed(move, to)) {
        outcome = MOVE_VETOED;
    }
    if (outcome == MOVE_DONE) {
        atomic_fetch_add_explicit(&move->growing->evacuate.cleared, stride, memory_order_relaxed);
        lane_bump(lane, stride);
        transfer(move, to);
    }
    entry_move_end(move->entry, move->word);
    return outcome;
}
