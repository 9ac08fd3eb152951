#include "movable/move.h"

#include "support/assert_panic.h"
#include "support/growing_heap.h"

TestSuite(move, .fini = teardown);

static const struct evacuate_how any = {.slots = true};

static struct move about(hm_handle handle, const struct evacuate_how *how)
{
    struct mblock block;
    struct mentry *entry = heap_entry(heap, handle);
    block_of_entry(growing, entry, entry_word(entry), &block);
    return (struct move){.growing = growing,
                         .how = how,
                         .chunk = block.chunk,
                         .at = block.at,
                         .header = atomic_load(header_of(block.at)),
                         .index = block.index,
                         .before = MCHUNK_FIRST};
}

static enum move_outcome do_move(struct move *move)
{
    movable_lock(&growing->evacuate.lock, growing->locked);
    enum move_outcome outcome = move_block(move);
    movable_unlock(&growing->evacuate.lock, growing->locked);
    heap->kind->verify(heap);
    return outcome;
}

static enum move_outcome move_now(hm_handle handle, const struct evacuate_how *how)
{
    struct move move = about(handle, how);
    return do_move(&move);
}

static hm_handle make(size_t size, uint64_t number)
{
    hm_handle handle = g_alloc(heap, size);
    g_fill(hm_deref(heap, handle), size, number);
    g_alloc(heap, 1);
    return handle;
}

Test(move, brings_the_block_to_the_compactors_lane)
{
    use(NULL);
    hm_handle handle = make(100, 1);
    struct move move = about(handle, &any);
    cr_assert_eq(do_move(&move), MOVE_DONE);
    const char *now = hm_deref(heap, handle);
    cr_assert_neq((uintptr_t)now, move.at);
    cr_assert(g_filled(now, 100, 1));
    cr_assert_eq(mchunks_find(&growing->chunks, (uintptr_t)now), growing->evacuate.lane.chunk);
    cr_assert_neq(atomic_load(header_of(move.at)) & HEADER_DEAD, 0);
    cr_assert_eq(atomic_load(&growing->evacuate.cleared), mchunk_stride(100, growing->alignment));
    cr_assert_eq(entry_word(heap_entry(heap, handle)), entry_generation(handle));
    cr_assert_eq(do_move(&move), MOVE_GONE, "what was seen of it is no more");
}

Test(move, leaves_what_somebody_is_at)
{
    use(NULL);
    hm_handle handle = make(100, 1);
    struct mentry *entry = heap_entry(heap, handle);
    uint64_t word = entry_word(entry);
    g_pin(heap, handle);
    cr_assert_eq(move_now(handle, &any), MOVE_PINNED);
    g_unpin(heap, handle);
    struct move move = about(handle, &any);
    cr_assert(entry_move_begin(entry, word));
    entry_set_address(entry, move.at + 512);
    cr_assert_eq(do_move(&move), MOVE_PINNED, "who resizes it may just have moved it");
    entry_set_address(entry, move.at);
    entry_move_end(entry, word);
    cr_assert_eq(heap->kind->resize(heap, handle, 50), MOVABLE_OK);
    cr_assert_eq(do_move(&move), MOVE_GONE, "the header is another one");
    move = about(handle, &any);
    cr_assert_eq(g_free(heap, handle), MOVABLE_OK);
    cr_assert_eq(do_move(&move), MOVE_GONE);
}

static bool agree;
static int asked, told;

static bool on_move(void *context, enum hm_move what, void *from, void *to, size_t size)
{
    (void)context;
    bool same = size == 100 && memcmp(from, to, size) == 0;
    asked += what == HM_MOVE_ASK;
    told += what == HM_MOVED && same;
    return agree;
}

Test(move, is_asked_for_and_told)
{
    use(&(struct hm_movable_options){.on_move = on_move});
    hm_handle handle = make(100, 1);
    void *at = hm_deref(heap, handle);
    cr_assert_eq(move_now(handle, &any), MOVE_VETOED);
    cr_assert_eq(hm_deref(heap, handle), at);
    cr_assert(asked == 1 && told == 0);
    agree = true;
    cr_assert_eq(move_now(handle, &any), MOVE_DONE);
    cr_assert(asked == 2 && told == 1);
}

Test(move, writes_the_slot_if_slots_may_move_and_it_holds_the_block)
{
    static void *slot;
    hm_handle handle;
    use(NULL);
    cr_assert_eq(heap->kind->slot_alloc(heap, &slot, 100), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_find(heap, &slot, &handle), MOVABLE_OK);
    void *at = slot;
    cr_assert_eq(move_now(handle, &(struct evacuate_how){0}), MOVE_SLOTS);
    cr_assert_eq(slot, at);
    struct move move = about(handle, &any);
    slot = NULL;
    cr_assert_eq(do_move(&move), MOVE_LOST);
    cr_assert_null(slot);
    entry_set_address(heap_entry(heap, handle), 0);
    cr_assert_eq(do_move(&move), MOVE_LOST, "its slot was freed");
    entry_set_address(heap_entry(heap, handle), (uintptr_t)&slot);
    slot = at;
    cr_assert_eq(do_move(&move), MOVE_DONE);
    cr_assert(slot != at && heap->kind->slot_of(heap, slot) == &slot);
}

Test(move, takes_slots_that_lie_in_the_block_along)
{
    hm_handle inner;
    use(NULL);
    hm_handle outer = g_alloc(heap, 100);
    void **slot = (void **)hm_deref(heap, outer) + 3;
    *slot = NULL;
    cr_assert_eq(heap->kind->slot_alloc(heap, slot, 50), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_find(heap, slot, &inner), MOVABLE_OK);
    cr_assert_eq(move_now(outer, &(struct evacuate_how){.keep = (uintptr_t)slot}), MOVE_SLOTS,
                 "whoever calls has its address");
    cr_assert_eq(move_now(outer, &any), MOVE_DONE);
    slot = (void **)hm_deref(heap, outer) + 3;
    cr_assert_eq(entry_address(heap_entry(heap, inner)), (uintptr_t)slot);
    cr_assert(atomic_load(&growing->evacuate.lane.chunk->nested), "or they are not looked for the next time");
    cr_assert_eq(move_now(inner, &any), MOVE_DONE);
    cr_assert_eq(heap->kind->slot_of(heap, *slot), slot);
}

Test(move, needs_room)
{
    use(NULL);
    hm_handle handle = make(100, 1);
    growing->chunks.limit = atomic_load(&growing->chunks.held);
    cr_assert_eq(move_now(handle, &any), MOVE_NO_PLACE);
    cr_assert(g_filled(hm_deref(heap, handle), 100, 1));
    growing->chunks.limit = SIZE_MAX;
    cr_assert_eq(move_now(handle, &any), MOVE_DONE);
}

static void move_with_index(void *index)
{
    hm_handle first = g_alloc(heap, 24);
    hm_handle second = g_alloc(heap, 24);
    uintptr_t at = (uintptr_t)hm_deref(heap, second);
    struct move move = about(second, &any);
    move.before = (uint32_t)((uintptr_t)hm_deref(heap, first) - HEADER_BYTES - move.chunk->span.addr);
    move.index = *(uint32_t *)index != 0 ? *(uint32_t *)index : (uint32_t)first / MTABLE_LOW;
    move.header = header_block(move.index, 24, 0);
    atomic_store(header_of(at), move.header);
    move_block(&move);
}

Test(move, notices_a_header_that_its_entry_does_not_confirm)
{
    use(NULL);
    uint32_t another = 0;
    uint32_t none = UINT32_MAX;
    assert_panic(move_with_index, &another, "was overwritten, perhaps by the block before it");
    assert_panic(move_with_index, &none, "was overwritten, perhaps by the block before it");
}
