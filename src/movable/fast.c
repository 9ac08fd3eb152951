#include "base/check.h"
#include "movable/block.h"
#include "movable/spare.h"

/* The two verbs that matter most, in two versions each: a heap with one owner has no locks. */

/* Two threads' thread-local memory never lies closer than a stack. */
HM_INLINE struct lane *own_lane(struct growing *growing)
{
    static HM_TLS char here;
    static_assert(sizeof(struct lane) == (size_t)1 << LANE_SHIFT, "a lane is found by shifts");
    uint32_t mixed = (uint32_t)((uintptr_t)&here >> 12) * 0x9e3779b1u;
    struct lane *lane =
        (struct lane *)(void *)((char *)growing->lane + (mixed >> (28 - LANE_SHIFT) & growing->lane_offsets));
    /* Computed once: else the compiler does it again for each member. */
    HM_FORGET(lane);
    return lane;
}

struct lane *block_lane(struct growing *growing)
{
    return own_lane(growing);
}

/* Allocating */

HM_COLD static enum movable_result alloc_general(struct hm_heap *heap, size_t size, bool zero,
                                                 hm_handle *handle)
{
    return block_alloc_in(growing_of(heap), size, zero, 0, handle);
}

/* Makes the block whose header is to be at `at`, and gives it the name of an entry on the lane's stack. */
HM_INLINE void make_block(struct growing *growing, struct lane *lane, size_t size, uintptr_t at,
                          hm_handle *handle)
{
    uint32_t index = lane->entries.head;
    struct mentry *entry = mtable_entry(&growing->table, index);
    mstack_pop(&growing->table, &lane->entries);
    atomic_store_explicit(header_at(at), header_block(index, size, 0), memory_order_release);
    lane->bytes += size;
    lane->granules += (size + growing->round - HEADER_BYTES) & growing->mask;
    /* As entry_make. */
    uint64_t word = atomic_load_explicit(&entry->word, memory_order_relaxed) + growing->make;
    atomic_store_explicit(&entry->address, at + HEADER_BYTES, memory_order_release);
    atomic_store_explicit(&entry->word, word, memory_order_release);
    *handle = word | (hm_handle)index * MTABLE_LOW;
}

/* The lane's range is too short: a place in the ring may do. The lane's lock is held. */
__attribute__((noinline)) static enum movable_result alloc_not_here(struct hm_heap *heap, size_t size,
                                                                    hm_handle *handle)
{
    struct growing *growing = growing_of(heap);
    struct lane *lane = own_lane(growing);
    size_t stride = (size + growing->round) & growing->mask;
    uintptr_t at;
    if (lane->entries.head != 0 && stride <= growing->chunks.spare_bytes &&
        spare_take(lane, &growing->chunks, stride, &at)) {
        make_block(growing, lane, size, at, handle);
        movable_unlock(&lane->lock, growing->locked);
        return MOVABLE_OK;
    }
    movable_unlock(&lane->lock, growing->locked);
    return block_alloc_in(growing, size, false, 0, handle);
}

/* The lock couldn't be let go by lock_leave. */
HM_COLD static enum movable_result leave_general(struct lane *lane)
{
    lock_release(&lane->lock);
    return MOVABLE_OK;
}

/* Said at compile time, in the verbs of each sort of heap. */
enum owners { SINGLE_OWNER, MANY_OWNERS };

HM_INLINE bool enter_lane(struct lane *lane, enum owners owners)
{
    return owners == SINGLE_OWNER || lock_enter(&lane->lock);
}

HM_INLINE enum movable_result leave_lane(struct lane *lane, enum owners owners)
{
    return owners == SINGLE_OWNER || lock_leave(&lane->lock) ? MOVABLE_OK : leave_general(lane);
}

/* A small block named by handle, from the lane's range and stack, without a call unless it is the last thing to do. */
HM_INLINE enum movable_result alloc_fast(struct hm_heap *heap, size_t size, bool zero, hm_handle *handle,
                                         enum owners owners)
{
    struct growing *growing = growing_of(heap);
    struct lane *lane = own_lane(growing);
    if (HM_UNLIKELY(size > growing->small_bytes || zero || !enter_lane(lane, owners))) {
        return alloc_general(heap, size, zero, handle);
    }
    size_t stride = (size + growing->round) & growing->mask;
    uintptr_t at = lane->at;
    if (HM_UNLIKELY(lane->end - at < stride || lane->entries.head == 0)) {
        return alloc_not_here(heap, size, handle);
    }
    lane->at = at + stride;
    make_block(growing, lane, size, at, handle);
    return leave_lane(lane, owners);
}

enum movable_result block_alloc(struct hm_heap *heap, size_t size, bool zero, hm_handle *handle)
{
    return alloc_fast(heap, size, zero, handle, MANY_OWNERS);
}

enum movable_result block_alloc_single(struct hm_heap *heap, size_t size, bool zero, hm_handle *handle)
{
    return alloc_fast(heap, size, zero, handle, SINGLE_OWNER);
}

/* Freeing */

HM_COLD static enum movable_result free_not_here(struct growing *growing, struct lane *lane, hm_handle handle)
{
    movable_unlock(&lane->lock, growing->locked);
    return block_free_general(growing, handle);
}

/* The chunk's live bytes passed a bound: often enough to look after the stack, too. The lane's lock is held. */
HM_COLD static enum movable_result free_crossed(struct growing *growing, struct lane *lane,
                                                struct mchunk *chunk, const struct spare *out)
{
    block_spare_entries(growing, lane);
    bool settle = mchunks_relist(&growing->chunks, chunk);
    settle |= spare_drop(&growing->chunks, out);
    movable_unlock(&lane->lock, growing->locked);
    if (settle) {
        mchunks_settle(&growing->chunks, mchunks_keep(&growing->chunks));
    }
    return MOVABLE_OK;
}

/* A place falls out of the ring. */
__attribute__((noinline)) static enum movable_result free_turned(struct growing *growing, struct lane *lane,
                                                                 struct spare out)
{
    struct mchunk *chunk = mchunks_find(&growing->chunks, out.at);
    atomic_store_explicit(header_at(out.at), header_dead(out.length, out.epoch), memory_order_release);
    uint32_t before = atomic_fetch_sub_explicit(&chunk->live, out.length, memory_order_acq_rel);
    if (HM_UNLIKELY(mchunks_crossed(before, out.length))) {
        return free_crossed(growing, lane, chunk, &(struct spare){0});
    }
    movable_unlock(&lane->lock, growing->locked);
    return MOVABLE_OK;
}

HM_COLD static _Noreturn void overwritten(struct growing *growing, struct mchunk *chunk, uintptr_t at)
{
    block_disagrees(growing, &(struct mblock){.at = at, .chunk = chunk});
}

/* The entry is the caller's, but there is more to do than usual. */
HM_COLD static enum movable_result free_special(struct growing *growing, struct lane *lane,
                                                struct mentry *entry, uint64_t word)
{
    struct rest rest = {0};
    block_bury(growing, lane, entry, word, &rest);
    movable_unlock(&lane->lock, growing->locked);
    block_finish(growing, &rest);
    return MOVABLE_OK;
}

/* The block made last goes back into the range, where no read section was ever begun. What the chunk has touched stays that. */
HM_INLINE bool unbump(struct growing *growing, struct lane *lane, uintptr_t at, size_t stride)
{
    if (at + stride != lane->at || atomic_load_explicit(&growing->read, memory_order_relaxed)) {
        return false;
    }
    uint32_t touched = (uint32_t)(lane->at - lane->base);
    if (touched > lane->chunk->touched) {
        lane->chunk->touched = touched;
    }
    lane->at = at;
    return true;
}

/* A small block named by handle, in a chunk that nothing special is about, without a call unless it is the last thing to do. Its
 * address is read when the entry is taken, as the block may move until then. */
HM_INLINE enum movable_result free_fast(struct hm_heap *heap, hm_handle handle, enum owners owners)
{
    struct growing *growing = growing_of(heap);
    struct lane *lane = own_lane(growing);
    if (HM_UNLIKELY((uint32_t)handle >= heap_limit(heap) || !enter_lane(lane, owners))) {
        return block_free_general(growing, handle);
    }
    struct mentry *entry = heap_entry(heap, handle);
    uint64_t word = entry_generation(handle);
    uint64_t freed = word + growing->free;
    if (HM_UNLIKELY(entry_is_live(freed) || !atomic_compare_exchange_strong(&entry->word, &word, freed))) {
        return free_not_here(growing, lane, handle);
    }
    uintptr_t at = entry_address(entry);
    struct mchunk *chunk = lane->chunk;
    if (HM_UNLIKELY(at - lane->base >= growing->chunks.chunk_bytes)) {
        chunk = mchunks_find(&growing->chunks, at);
        if (HM_UNLIKELY(chunk == NULL)) {
            return free_special(growing, lane, entry, word);
        }
    }
    if (HM_UNLIKELY(atomic_load_explicit(&chunk->special, memory_order_relaxed))) {
        return free_special(growing, lane, entry, word);
    }
    uint32_t index = (uint32_t)handle / MTABLE_LOW;
    uint64_t header = atomic_load_explicit(header_of(at), memory_order_relaxed);
    size_t size = header_size(header);
    if (HM_UNLIKELY((header & HEADER_NAME) != index)) {
        overwritten(growing, chunk, at);
    }
    size_t sum = size + growing->round;
    size_t stride = sum & growing->mask;
    lane->bytes -= size;
    lane->granules -= (sum - HEADER_BYTES) & growing->mask;
    atomic_store_explicit(&entry->address, lane->entries.head, memory_order_release);
    lane->entries.head = index;
    lane->entries.count++;
    if (unbump(growing, lane, at - HEADER_BYTES, stride)) {
        return leave_lane(lane, owners);
    }
    uint64_t epoch = readers_epoch(growing->chunks.readers);
    bool wanted = spare_wanted(&growing->chunks, chunk, stride);
    struct spare out = spare_turn(lane, at - HEADER_BYTES, wanted ? stride : 0, epoch);
    if (!wanted) {
        atomic_store_explicit(header_of(at), header_dead(stride, epoch), memory_order_release);
        uint32_t before = atomic_fetch_sub_explicit(&chunk->live, (uint32_t)stride, memory_order_acq_rel);
        if (HM_UNLIKELY(mchunks_crossed(before, stride))) {
            return free_crossed(growing, lane, chunk, &out);
        }
    }
    if (out.length > 0) {
        return free_turned(growing, lane, out);
    }
    return leave_lane(lane, owners);
}

enum movable_result block_free(struct hm_heap *heap, hm_handle handle)
{
    return free_fast(heap, handle, MANY_OWNERS);
}

enum movable_result block_free_single(struct hm_heap *heap, hm_handle handle)
{
    return free_fast(heap, handle, SINGLE_OWNER);
}
