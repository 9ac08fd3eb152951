#include "base/check.h"
#include "movable/block.h"
#include "movable/spare.h"

/* The quick verbs, in two versions each: a heap with one owner has no locks. Whatever calls a function does it as its last act, or in a
 * function of its own, so that the way of most calls saves no registers. */

#define LANE_CHOSEN 1u /* in lane_chosen; below what lane_offsets keeps */

/* Where the calling thread's lane lies in an array of lanes, before the heap's mask. 0: it has not chosen yet, and shares the first
 * one. */
static HM_TLS uint32_t lane_chosen;

HM_INLINE struct lane *own_lane(struct growing *growing)
{
    static_assert(sizeof(struct lane) == (size_t)1 << LANE_SHIFT, "a lane is found by an offset");
    struct lane *lane =
        (struct lane *)(void *)((char *)growing->lane + (lane_chosen & growing->lane_offsets));
    /* Computed once: else the compiler does it again for each member. */
    HM_FORGET(lane);
    return lane;
}

struct lane *block_lane(struct growing *growing)
{
    if (HM_UNLIKELY(lane_chosen == 0)) {
        uint32_t turn = atomic_fetch_add_explicit(&growing->env->lane_turn, 1, memory_order_relaxed);
        lane_chosen = turn << LANE_SHIFT | LANE_CHOSEN;
    }
    return own_lane(growing);
}

/* Said at compile time, in the verbs of each sort of heap. */
enum owners { SINGLE_OWNER, MANY_OWNERS };

HM_INLINE bool enter_lane(struct lane *lane, enum owners owners)
{
    return owners == SINGLE_OWNER || lock_enter(&lane->lock);
}

HM_COLD static bool wake(struct lane *lane)
{
    lock_wake(&lane->lock);
    return true;
}

HM_COLD static hm_handle wake_with(struct lane *lane, hm_handle handle)
{
    lock_wake(&lane->lock);
    return handle;
}

/* True. */
HM_INLINE bool leave_lane(struct lane *lane, enum owners owners)
{
    return owners == SINGLE_OWNER || lock_leave(&lane->lock) || wake(lane);
}

HM_INLINE hm_handle leave_lane_with(struct lane *lane, hm_handle handle, enum owners owners)
{
    return owners == SINGLE_OWNER || lock_leave(&lane->lock) ? handle : wake_with(lane, handle);
}

/* Allocating */

/* Makes the block whose header is to be at `at`, and gives it the name of an entry on the lane's stack. */
HM_INLINE hm_handle make_block(struct growing *growing, struct lane *lane, size_t size, uintptr_t at)
{
    uint32_t index = lane->entries.head;
    struct mentry *entry = mtable_entry(&growing->table, index);
    lane->entries.head = (uint32_t)atomic_load_explicit(&entry->address, memory_order_relaxed);
    lane->entries.count--;
    atomic_store_explicit(header_at(at), header_block(index, size, 0), memory_order_release);
    lane->bytes += size;
    lane->granules += (size + growing->round - HEADER_BYTES) & growing->mask;
    /* As entry_make. */
    uint64_t word = atomic_load_explicit(&entry->word, memory_order_relaxed) + growing->make;
    atomic_store_explicit(&entry->address, at + HEADER_BYTES, memory_order_release);
    atomic_store_explicit(&entry->word, word, memory_order_release);
    return word | (hm_handle)index * MTABLE_LOW;
}

/* A spare place, or the range gone on with. */
static bool place_here(struct growing *growing, struct lane *lane, size_t stride, uintptr_t *at)
{
    struct mchunks *chunks = &growing->chunks;
    if (stride <= chunks->spare_bytes && spare_take(lane, chunks, stride, at)) {
        return true;
    }
    if (lane->stop - lane->at < stride) {
        return false;
    }
    lane_refill(lane, chunks, stride, WANT_ANY);
    *at = lane_bump(lane, stride);
    return true;
}

/* The lane's range is too short, or something was freed. The lane's lock is held. */
HM_NOINLINE static hm_handle alloc_not_here(struct hm_heap *heap, size_t size, alloc_otherwise *otherwise,
                                            struct lane *lane, size_t stride)
{
    struct growing *growing = growing_of(heap);
    uintptr_t at;
    bool found = lane->entries.head != 0 && place_here(growing, lane, stride, &at);
    hm_handle handle = found ? make_block(growing, lane, size, at) : 0;
    movable_unlock(&lane->lock, growing->locked);
    return found ? handle : otherwise(heap, size);
}

/* A small block from the lane's range and stack. */
HM_INLINE hm_handle alloc_quick(struct hm_heap *heap, size_t size, alloc_otherwise *otherwise,
                                enum owners owners)
{
    struct growing *growing = growing_of(heap);
    struct lane *lane = own_lane(growing);
    if (HM_UNLIKELY(size > growing->small_bytes || !enter_lane(lane, owners))) {
        return otherwise(heap, size);
    }
    size_t stride = (size + growing->round) & growing->mask;
    uintptr_t at = lane->at;
    if (HM_UNLIKELY(lane->end - at < stride || lane->entries.head == 0)) {
        return alloc_not_here(heap, size, otherwise, lane, stride);
    }
    lane->at = at + stride;
    return leave_lane_with(lane, make_block(growing, lane, size, at), owners);
}

hm_handle block_alloc_quick(struct hm_heap *heap, size_t size, alloc_otherwise *otherwise)
{
    return alloc_quick(heap, size, otherwise, MANY_OWNERS);
}

hm_handle block_alloc_quick_single(struct hm_heap *heap, size_t size, alloc_otherwise *otherwise)
{
    return alloc_quick(heap, size, otherwise, SINGLE_OWNER);
}

/* Freeing */

HM_COLD static bool free_not_here(struct hm_heap *heap, hm_handle handle, free_otherwise *otherwise)
{
    struct growing *growing = growing_of(heap);
    movable_unlock(&own_lane(growing)->lock, growing->locked);
    return otherwise(heap, handle);
}

/* The chunk's live bytes passed a bound: often enough to look after the stack, too. The lane's lock is held. */
HM_COLD static bool free_crossed(struct growing *growing, struct lane *lane, struct mchunk *chunk,
                                 const struct spare *out)
{
    block_spare_entries(growing, lane);
    bool settle = mchunks_relist(&growing->chunks, chunk);
    settle |= spare_drop(&growing->chunks, out);
    movable_unlock(&lane->lock, growing->locked);
    if (settle) {
        mchunks_settle(&growing->chunks, mchunks_keep(&growing->chunks));
    }
    return true;
}

/* The entry is the caller's, but there is more to do than usual; or the header doesn't name the entry. */
HM_COLD static bool free_special(struct growing *growing, struct lane *lane, struct mentry *entry,
                                 uint64_t word)
{
    struct rest rest = {0};
    block_bury(growing, lane, entry, word, &rest);
    movable_unlock(&lane->lock, growing->locked);
    block_finish(growing, &rest);
    return true;
}

/* A spare place becomes a dead piece. */
HM_NOINLINE static bool free_turned(struct growing *growing, struct lane *lane, struct spare out)
{
    atomic_store_explicit(header_at(out.at), header_dead(out.length, out.epoch), memory_order_release);
    uint32_t before = atomic_fetch_sub_explicit(&out.chunk->live, out.length, memory_order_acq_rel);
    if (HM_UNLIKELY(mchunks_crossed(before, out.length))) {
        return free_crossed(growing, lane, out.chunk, &(struct spare){0});
    }
    movable_unlock(&lane->lock, growing->locked);
    return true;
}

/* No room for the place that comes, or it may not come: another one goes. */
HM_NOINLINE static bool free_in_turn(struct growing *growing, struct lane *lane, struct mchunk *chunk,
                                     uintptr_t at, size_t stride)
{
    struct spare out = spare_turn(&lane->spares);
    if (spare_wanted(&growing->chunks, chunk, stride)) {
        spare_put(lane, chunk, at, stride, growing_died(growing));
    } else {
        uint64_t dead = header_dead(stride, readers_epoch(growing->chunks.readers));
        atomic_store_explicit(header_at(at), dead, memory_order_release);
        uint32_t before = atomic_fetch_sub_explicit(&chunk->live, (uint32_t)stride, memory_order_acq_rel);
        if (HM_UNLIKELY(mchunks_crossed(before, stride))) {
            return free_crossed(growing, lane, chunk, &out);
        }
    }
    if (out.length > 0) {
        return free_turned(growing, lane, out);
    }
    movable_unlock(&lane->lock, growing->locked);
    return true;
}

/* The place of a block that has no name any more becomes a spare one, or dead. The lane's lock is held. */
HM_INLINE bool free_place(struct growing *growing, struct lane *lane, struct mchunk *chunk, uintptr_t at,
                          size_t stride, enum owners owners)
{
    if (HM_UNLIKELY(!spare_wanted(&growing->chunks, chunk, stride) || lane->spares.vacant == 0)) {
        return free_in_turn(growing, lane, chunk, at, stride);
    }
    spare_put(lane, chunk, at, stride, growing_died(growing));
    return leave_lane(lane, owners);
}

HM_NOINLINE static bool free_place_locked(struct growing *growing, struct lane *lane, struct mchunk *chunk,
                                          uintptr_t at, size_t stride)
{
    return free_place(growing, lane, chunk, at, stride, MANY_OWNERS);
}

HM_NOINLINE static bool free_place_single(struct growing *growing, struct lane *lane, struct mchunk *chunk,
                                          uintptr_t at, size_t stride)
{
    return free_place(growing, lane, chunk, at, stride, SINGLE_OWNER);
}

/* The block made last, with its header at `at`, goes back into the range, where no read section was ever begun. What the chunk has
 * touched stays that. */
HM_INLINE bool unbump(struct growing *growing, struct lane *lane, struct mchunk *chunk, uintptr_t at,
                      size_t stride)
{
    if (at + stride != lane->at || HM_RACY_BYTE((uintptr_t)&growing->read)) {
        return false;
    }
    uint32_t touched = (uint32_t)(lane->at - lane->base);
    if (touched > atomic_load_explicit(&chunk->touched, memory_order_relaxed)) {
        atomic_store_explicit(&chunk->touched, touched, memory_order_relaxed);
    }
    lane->at = at;
    return true;
}

/* A small block without a tag, named by handle, in a chunk that nothing special is about. Its address is read when the entry is
 * taken, as the block may move until then. */
HM_INLINE bool free_quick(struct hm_heap *heap, hm_handle handle, free_otherwise *otherwise,
                          enum owners owners)
{
    struct growing *growing = growing_of(heap);
    struct lane *lane = own_lane(growing);
    struct entry_halves half = entry_halves(handle);
    if (HM_UNLIKELY((uint32_t)half.low >= heap_limit(heap) || !enter_lane(lane, owners))) {
        return otherwise(heap, handle);
    }
    struct mentry *entry = (struct mentry *)(void *)(heap->table + half.low * 8);
    uint64_t word = half.generation;
    uint64_t freed = word + growing->free;
    if (HM_UNLIKELY((freed & ENTRY_USES_OVER) != 0 ||
                    !atomic_compare_exchange_strong(&entry->word, &word, freed))) {
        return free_not_here(heap, handle, otherwise);
    }
    uintptr_t at = entry_address(entry);
    struct mchunk *chunk = lane->chunk;
    if (HM_UNLIKELY(at - lane->base >= growing->chunks.chunk_bytes)) {
        chunk = mchunks_find(&growing->chunks, at);
        if (HM_UNLIKELY(chunk == NULL)) {
            return free_special(growing, lane, entry, word);
        }
    }
    uint32_t index = (uint32_t)half.low / MTABLE_LOW;
    uint64_t header = atomic_load_explicit(header_of(at), memory_order_relaxed);
    size_t size = header >> HEADER_SIZE_SHIFT;
    if (HM_UNLIKELY(HM_RACY_BYTE((uintptr_t)&chunk->special) || header_index(header) != index ||
                    size > MCHUNK_SMALL_BYTES)) {
        return free_special(growing, lane, entry, word);
    }
    size_t sum = size + growing->round;
    size_t stride = sum & growing->mask;
    lane->bytes -= size;
    lane->granules -= (sum - HEADER_BYTES) & growing->mask;
    /* As mstack_push. */
    atomic_store_explicit(&entry->address, lane->entries.head, memory_order_release);
    lane->entries.head = index;
    lane->entries.count++;
    at -= HEADER_BYTES;
    if (unbump(growing, lane, chunk, at, stride)) {
        return leave_lane(lane, owners);
    }
    return owners == SINGLE_OWNER ? free_place_single(growing, lane, chunk, at, stride)
                                  : free_place_locked(growing, lane, chunk, at, stride);
}

bool block_free_quick(struct hm_heap *heap, hm_handle handle, free_otherwise *otherwise)
{
    return free_quick(heap, handle, otherwise, MANY_OWNERS);
}

bool block_free_quick_single(struct hm_heap *heap, hm_handle handle, free_otherwise *otherwise)
{
    return free_quick(heap, handle, otherwise, SINGLE_OWNER);
}
