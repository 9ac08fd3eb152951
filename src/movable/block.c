#include "movable/block.h"

#include <string.h>

#include "base/check.h"
#include "movable/nested.h"
#include "movable/spare.h"
#include "movable/wait.h"

#define ENTRIES_BATCH 64u
#define ENTRIES_MAX   256u /* free ones that a lane keeps */

/* Finding */

bool block_at(struct growing *growing, uintptr_t at, struct mblock *block)
{
    *block = (struct mblock){.at = at};
    block->chunk = mchunks_find(&growing->chunks, at);
    if (block->chunk != NULL) {
        uintptr_t offset = at - block->chunk->span.addr;
        if ((at & (growing->alignment - 1)) != 0 || offset < MCHUNK_FIRST + HEADER_BYTES) {
            return false;
        }
        uint64_t header = atomic_load_explicit(header_of(at), memory_order_acquire);
        block->index = (header & HEADER_DEAD) != 0 ? 0 : header_index(header);
        block->size = header_size(header);
    } else {
        block->large = mlarges_find(&growing->larges, at);
        if (block->large == NULL) {
            return false;
        }
        block->index = atomic_load_explicit(&block->large->index, memory_order_acquire);
        block->size = atomic_load_explicit(&block->large->size, memory_order_relaxed);
    }
    block->entry = mtable_entry(&growing->table, block->index);
    return mtable_has(&growing->table, block->index);
}

static uintptr_t address_of(const struct mentry *entry, uint64_t word)
{
    uintptr_t address = entry_address(entry);
    if ((word & ENTRY_SLOT) != 0) {
        const _Atomic uintptr_t *slot = (const _Atomic uintptr_t *)address;
        address = slot != NULL ? atomic_load_explicit(slot, memory_order_acquire) : 0;
    }
    return address;
}

_Noreturn HM_COLD void block_disagrees(struct growing *growing, const struct mblock *block)
{
    if (block->chunk != NULL) {
        uint32_t offset = (uint32_t)(block->at - HEADER_BYTES - block->chunk->span.addr);
        mchunk_corrupt(block->chunk, growing->alignment, offset,
                       mchunk_before(block->chunk, growing->alignment, offset));
    }
    panic("corrupted movable heap: a slot was overwritten, it holds %p", (const void *)block->at);
}

void block_of_entry(struct growing *growing, struct mentry *entry, uint64_t word, struct mblock *block)
{
    bool found = block_at(growing, address_of(entry, word), block);
    if (HM_UNLIKELY(!found || block->entry != entry ||
                    block->size > (block->chunk != NULL ? MCHUNK_SMALL_BYTES : SIZE_MAX))) {
        block_disagrees(growing, block);
    }
}

/* Making */

struct request {
    size_t size;
    size_t stride;
    bool zero;
    uintptr_t slot;
    hm_handle handle; /* the result */
};

/* Handles of these entries may be looked up from now on. */
static void raise_limit(struct growing *growing)
{
    _Atomic uint32_t *limit = &growing->heap.limit;
    uint32_t fresh = MTABLE_LOW * atomic_load_explicit(&growing->table.fresh, memory_order_acquire);
    uint32_t now = atomic_load_explicit(limit, memory_order_relaxed);
    while (now < fresh && !atomic_compare_exchange_weak_explicit(limit, &now, fresh, memory_order_release,
                                                                 memory_order_relaxed)) {
    }
}

HM_COLD static bool more_entries(struct growing *growing, struct lane *lane)
{
    if (mtable_get(&growing->table, &lane->entries, ENTRIES_BATCH) == 0) {
        return false;
    }
    raise_limit(growing);
    return true;
}

HM_INLINE bool entries_ready(struct growing *growing, struct lane *lane)
{
    return HM_LIKELY(lane->entries.head != 0) || more_entries(growing, lane);
}

/* The block is made: gives it its name. The lane's lock is held, and it has an entry. */
HM_INLINE uint32_t name_block(struct growing *growing, struct lane *lane, struct request *request,
                              uintptr_t at, uint64_t flags)
{
    uint32_t index = mstack_pop(&growing->table, &lane->entries);
    struct mentry *entry = mtable_entry(&growing->table, index);
    uintptr_t address = at;
    if (request->slot != 0) {
        address = request->slot;
        flags |= ENTRY_SLOT;
        lane->slots++;
        nested_note(growing, request->slot);
        atomic_store_explicit((_Atomic uintptr_t *)request->slot, at, memory_order_release);
    }
    request->handle = entry_make(entry, index * MTABLE_LOW, growing->heap.number, address, flags);
    block_count(lane, growing, 1, request->size);
    return index;
}

/* In the range, in a spare place, or in another range. */
static bool place_ready(struct growing *growing, struct lane *lane, size_t stride, uintptr_t *at)
{
    struct mchunks *chunks = &growing->chunks;
    if (lane->end - lane->at < stride && stride <= chunks->spare_bytes &&
        spare_take(lane, chunks, stride, at)) {
        return true;
    }
    bool ready = lane_ready(lane, chunks, stride, WANT_ANY);
    *at = ready ? lane_bump(lane, stride) : 0;
    return ready;
}

static bool alloc_small(struct growing *growing, struct lane *lane, struct request *request)
{
    uintptr_t at;
    if (!entries_ready(growing, lane) || !place_ready(growing, lane, request->stride, &at)) {
        return false;
    }
    uint32_t index = lane->entries.head;
    at += HEADER_BYTES;
    if (request->zero) {
        memset((void *)at, 0, request->size);
    }
    atomic_store_explicit(header_of(at), header_block(index, request->size, 0), memory_order_release);
    name_block(growing, lane, request, at, 0);
    return true;
}

static bool alloc_small_locked(struct growing *growing, struct lane *lane, struct request *request)
{
    movable_lock(&lane->lock, growing->locked);
    bool done = alloc_small(growing, lane, request);
    movable_unlock(&lane->lock, growing->locked);
    return done;
}

static bool alloc_large_locked(struct growing *growing, struct lane *lane, struct request *request)
{
    struct mlarge *large = mlarge_obtain(&growing->larges, request->size);
    if (large == NULL) {
        return false;
    }
    if (request->zero && (!large->span.zero || growing->env->core->options.tracked)) {
        memset((void *)large->span.addr, 0, request->size);
    }
    movable_lock(&lane->lock, growing->locked);
    bool done = entries_ready(growing, lane);
    if (done) {
        atomic_store_explicit(&large->index, lane->entries.head, memory_order_release);
        name_block(growing, lane, request, large->span.addr, ENTRY_LARGE);
    }
    movable_unlock(&lane->lock, growing->locked);
    if (!done) {
        mlarge_discard(&growing->larges, large, false);
    }
    return done;
}

/* From whichever lane has room or entries. */
HM_COLD static bool alloc_anywhere(struct growing *growing, struct request *request)
{
    for (unsigned i = 0; i <= growing->lane_mask; i++) {
        struct lane *lane = &growing->lane[i];
        if (request->size > growing->small_bytes ? alloc_large_locked(growing, lane, request)
                                                 : alloc_small_locked(growing, lane, request)) {
            return true;
        }
    }
    return false;
}

HM_COLD bool block_rescue(struct growing *growing, uintptr_t keep)
{
    if ((growing->heap.options.flags & HM_MOVABLE_NO_RESCUE) != 0) {
        return false;
    }
    struct evacuate_how how = {.slots = true, .all = true, .keep = keep};
    size_t released = growing->chunks.released;
    size_t settled = mlarges_settle(&growing->larges);
    struct hm_compact_result result = evacuate_run(growing, &how);
    return result.released_bytes > 0 || settled > 0 || growing->chunks.released != released ||
           result.moved_blocks > 0;
}

HM_COLD static enum movable_result alloc_slow(struct growing *growing, struct request *request)
{
    bool done = alloc_anywhere(growing, request) ||
                (block_rescue(growing, request->slot) && alloc_anywhere(growing, request));
    return done ? MOVABLE_OK : MOVABLE_NO_MEMORY;
}

enum movable_result block_alloc_in(struct growing *growing, size_t size, bool zero, uintptr_t slot,
                                   hm_handle *handle)
{
    struct request request = {.size = size, .zero = zero, .slot = slot};
    bool done;
    if (size > growing->small_bytes) {
        if (size > PTRDIFF_MAX) {
            return MOVABLE_NO_MEMORY;
        }
        done = alloc_large_locked(growing, block_lane(growing), &request);
    } else {
        request.stride = mchunk_stride(size, growing->alignment);
        done = alloc_small_locked(growing, block_lane(growing), &request);
    }
    enum movable_result result = done ? MOVABLE_OK : alloc_slow(growing, &request);
    *handle = request.handle;
    return result;
}

enum movable_result block_alloc(struct hm_heap *heap, size_t size, bool zero, hm_handle *handle)
{
    return block_alloc_in(growing_of(heap), size, zero, 0, handle);
}

/* Freeing */

static bool is_nested(const struct mblock *block)
{
    return atomic_load_explicit(block->chunk != NULL ? &block->chunk->nested : &block->large->nested,
                                memory_order_relaxed);
}

/* Other lanes may need what this one has too many of. */
void block_spare_entries(struct growing *growing, struct lane *lane)
{
    if (lane->entries.count > ENTRIES_MAX) {
        mtable_put(&growing->table, &lane->entries, lane->entries.count - ENTRIES_MAX / 2);
    }
}

static bool bury_small(struct growing *growing, struct lane *lane, const struct mblock *block)
{
    struct mchunks *chunks = &growing->chunks;
    size_t stride = mchunk_stride(block->size, growing->alignment);
    bool special = atomic_load_explicit(&block->chunk->special, memory_order_relaxed) != 0;
    bool wanted = !special && spare_wanted(chunks, block->chunk, stride);
    struct spare out = wanted ? spare_make_room(&lane->spares) : spare_turn(&lane->spares);
    bool settle = !wanted && block_kill(growing, block->chunk, block->at, block->size);
    if (wanted) {
        spare_put(lane, block->chunk, block->at - HEADER_BYTES, stride, growing_died(growing));
    }
    return spare_drop(chunks, &out) || settle;
}

void block_bury(struct growing *growing, struct lane *lane, struct mentry *entry, uint64_t word,
                struct rest *rest)
{
    struct mblock block;
    block_of_entry(growing, entry, word, &block);
    if (HM_UNLIKELY(is_nested(&block))) {
        nested_freed(growing, block.at, block.size);
    }
    if ((word & ENTRY_SLOT) != 0) {
        atomic_store_explicit((_Atomic uintptr_t *)entry_address(entry), 0, memory_order_release);
        lane->slots--;
    }
    if (HM_LIKELY(block.chunk != NULL)) {
        rest->settle = bury_small(growing, lane, &block);
    } else {
        atomic_store_explicit(&block.large->index, 0, memory_order_release);
        rest->large = block.large;
    }
    block_count(lane, growing, (size_t)-1, block.size);
    mstack_push(&growing->table, &lane->entries, block.index);
    block_spare_entries(growing, lane);
}

HM_COLD void block_finish(struct growing *growing, const struct rest *rest)
{
    if (rest->large != NULL) {
        if ((growing->heap.options.flags & HM_MOVABLE_ZERO_ON_FREE) != 0) {
            memset((void *)rest->large->span.addr, 0,
                   atomic_load_explicit(&rest->large->size, memory_order_relaxed));
        }
        mlarge_discard(&growing->larges, rest->large,
                       atomic_load_explicit(&growing->read, memory_order_relaxed));
    }
    if (rest->settle) {
        mchunks_settle(&growing->chunks, mchunks_keep(&growing->chunks));
    }
}

/* Live -> free without waiting, as the lane's lock is held. */
HM_INLINE enum entry_result take_try(struct mentry *entry, hm_handle handle, uint64_t *word)
{
    *word = entry_word(entry);
    for (;;) {
        if (HM_UNLIKELY(!entry_is_of(*word, handle))) {
            return ENTRY_STALE;
        }
        if (HM_UNLIKELY((*word & (ENTRY_PINS | ENTRY_MOVING)) != 0)) {
            return (*word & ENTRY_PINS) != 0 ? ENTRY_PINNED : ENTRY_BUSY;
        }
        if (atomic_compare_exchange_strong(&entry->word, word, entry_freed(*word))) {
            return ENTRY_OK;
        }
    }
}

enum movable_result block_free(struct hm_heap *heap, hm_handle handle)
{
    struct growing *growing = growing_of(heap);
    struct mentry *entry = heap_entry(&growing->heap, handle);
    struct lane *lane = block_lane(growing);
    struct rest rest = {0};
    uint64_t word;
    enum entry_result result;
    if (!heap_has(&growing->heap, handle)) {
        return MOVABLE_STALE;
    }
    movable_lock(&lane->lock, growing->locked);
    while ((result = take_try(entry, handle, &word)) == ENTRY_BUSY) {
        movable_unlock(&lane->lock, growing->locked);
        entry_wait(entry);
        movable_lock(&lane->lock, growing->locked);
    }
    if (result == ENTRY_OK) {
        if ((word & ENTRY_TAGGED) != 0) {
            pins_forget(&growing->pins, handle);
        }
        block_bury(growing, lane, entry, word, &rest);
    }
    movable_unlock(&lane->lock, growing->locked);
    block_finish(growing, &rest);
    return result == ENTRY_OK ? MOVABLE_OK : result == ENTRY_PINNED ? MOVABLE_BUSY : MOVABLE_STALE;
}

/* Places without a name */

static bool make_small(struct growing *growing, struct lane *lane, size_t size, struct place *place)
{
    size_t stride = mchunk_stride(size, growing->alignment);
    movable_lock(&lane->lock, growing->locked);
    bool done = lane_ready(lane, &growing->chunks, stride, WANT_ANY);
    if (done) {
        uintptr_t at = lane_bump(lane, stride);
        atomic_store_explicit(header_at(at), header_making(stride), memory_order_release);
        place->at = at + HEADER_BYTES;
        place->chunk = lane->chunk;
    }
    movable_unlock(&lane->lock, growing->locked);
    return done;
}

static bool make_try(struct growing *growing, size_t size, struct place *place)
{
    *place = (struct place){.size = size};
    if (size > growing->small_bytes) {
        place->large = size > PTRDIFF_MAX ? NULL : mlarge_obtain(&growing->larges, size);
        place->at = place->large != NULL ? place->large->span.addr : 0;
        return place->large != NULL;
    }
    bool done = make_small(growing, block_lane(growing), size, place);
    for (unsigned i = 0; i <= growing->lane_mask && !done; i++) {
        done = make_small(growing, &growing->lane[i], size, place);
    }
    return done;
}

bool block_make(struct growing *growing, size_t size, uintptr_t keep, struct place *place)
{
    return make_try(growing, size, place) || (block_rescue(growing, keep) && make_try(growing, size, place));
}

void block_unmake(struct growing *growing, const struct place *place)
{
    if (place->large != NULL) {
        mlarge_discard(&growing->larges, place->large, false);
        return;
    }
    struct lane *lane = block_lane(growing);
    movable_lock(&lane->lock, growing->locked);
    bool settle = block_kill(growing, place->chunk, place->at, place->size);
    movable_unlock(&lane->lock, growing->locked);
    if (settle) {
        mchunks_settle(&growing->chunks, mchunks_keep(&growing->chunks));
    }
}
