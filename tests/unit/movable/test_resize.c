#define _GNU_SOURCE 1

#include <unistd.h>

#include "support/growing_heap.h"

TestSuite(resize, .fini = teardown, .timeout = 20);

static enum movable_result resize(hm_handle handle, size_t size)
{
    return heap->kind->resize(heap, handle, size);
}

Test(resize, what_fits_stays)
{
    use(NULL);
    hm_handle handle = g_alloc(heap, 1000);
    hm_handle behind = g_alloc(heap, 10);
    void *at = hm_deref(heap, handle);
    g_fill(at, 1000, 3);
    cr_assert_eq(heap->kind->tag(heap, handle, "name"), MOVABLE_OK);
    cr_assert_eq(resize(handle, 500), MOVABLE_OK);
    cr_assert_eq(hm_deref(heap, handle), at);
    cr_assert(g_filled(at, 500, 3));
    cr_assert_eq(g_size(heap, handle), 500);
    cr_assert_neq(header_tag(atomic_load(header_of((uintptr_t)at))), 0);
    struct hm_movable_stats stats = g_stats(heap);
    cr_assert(stats.live_bytes == 510 && stats.granule_bytes == 512 + 16);
    heap->kind->verify(heap);
    cr_assert_eq(resize(handle, 504), MOVABLE_OK, "the rest of the last granule");
    cr_assert_eq(hm_deref(heap, handle), at);
    cr_assert_eq(g_free(heap, behind), MOVABLE_OK);
}

Test(resize, what_readers_may_look_at_is_not_cut_off)
{
    use(NULL);
    hm_handle handle = g_alloc(heap, 1000);
    g_alloc(heap, 10);
    heap->kind->read_enter(heap);
    char *at = hm_deref(heap, handle);
    g_fill(at, 1000, 4);
    cr_assert_eq(resize(handle, 500), MOVABLE_OK);
    cr_assert_neq(hm_deref(heap, handle), at);
    cr_assert(g_filled(at, 1000, 4));
    cr_assert(g_filled(hm_deref(heap, handle), 500, 4));
    heap->kind->read_leave(heap);
}

Test(resize, what_does_not_fit_moves_with_name_slot_and_contents)
{
    static void *slot;
    hm_handle handle;
    size_t sizes[] = {100, 900, 50 * KIB, 90 * KIB, 3 * MIB, 70 * KIB, 200, 0, 5};
    use(NULL);
    cr_assert_eq(heap->kind->slot_alloc(heap, &slot, 60), MOVABLE_OK);
    cr_assert_eq(heap->kind->slot_find(heap, &slot, &handle), MOVABLE_OK);
    cr_assert_eq(heap->kind->tag(heap, handle, "name"), MOVABLE_OK);
    g_fill(slot, 60, 9);
    size_t kept = 60;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct mblock block;
        g_alloc(heap, 20);
        cr_assert_eq(resize(handle, sizes[i]), MOVABLE_OK);
        kept = kept < sizes[i] ? kept : sizes[i];
        cr_assert(g_filled(slot, kept, 9), "%zu", sizes[i]);
        block_of_entry(growing, heap_entry(heap, handle), entry_word(heap_entry(heap, handle)), &block);
        cr_assert(block.at == (uintptr_t)slot && block.size == sizes[i]);
        cr_assert((block.large != NULL) == (sizes[i] > growing->small_bytes));
        uint8_t tag = block.large != NULL ? atomic_load(&block.large->tag)
                                          : header_tag(atomic_load(header_of(block.at)));
        cr_assert_str_eq(pins_tag_name(&growing->pins, tag), "name");
        heap->kind->verify(heap);
    }
    cr_assert_eq(g_stats(heap).live_bytes, 5 + 20 * (sizeof sizes / sizeof *sizes));
}

Test(resize, failures_leave_the_block_as_it_was)
{
    use(&(struct hm_movable_options){.max_bytes = 4 * MIB});
    hm_handle handle = g_alloc(heap, 100);
    g_fill(hm_deref(heap, handle), 100, 2);
    cr_assert_eq(resize(handle, 8 * MIB), MOVABLE_NO_MEMORY);
    cr_assert_eq(resize(handle, SIZE_MAX), MOVABLE_NO_MEMORY);
    g_pin(heap, handle);
    cr_assert_eq(resize(handle, 100), MOVABLE_BUSY);
    cr_assert_eq(resize(handle, 5000), MOVABLE_BUSY);
    g_unpin(heap, handle);
    cr_assert_eq(resize(handle + (UINT64_C(1) << 32), 5), MOVABLE_STALE);
    cr_assert_eq(resize(handle + (UINT64_C(1) << 54), 5), MOVABLE_STALE);
    cr_assert_eq(resize(UINT32_MAX, 5), MOVABLE_STALE);
    cr_assert_eq(g_size(heap, handle), 100);
    cr_assert(g_filled(hm_deref(heap, handle), 100, 2));
    cr_assert_eq(atomic_load(&growing->resizing), 0);
}

Test(resize, what_is_cut_off_is_wiped_if_wanted)
{
    use(&(struct hm_movable_options){.flags = HM_MOVABLE_ZERO_ON_FREE});
    hm_handle handle = g_alloc(heap, 300);
    char *at = hm_deref(heap, handle);
    memset(at, 'x', 300);
    cr_assert_eq(resize(handle, 297), MOVABLE_OK);
    cr_assert(at[296] == 'x' && at[297] == 0 && at[299] == 0);
    g_alloc(heap, 5);
    cr_assert_eq(resize(handle, 2000), MOVABLE_OK);
    cr_assert(at[0] == 0 && memcmp(at, at + 1, 296) == 0, "where it was, too");
    char *now = hm_deref(heap, handle);
    cr_assert(now[0] == 'x' && memcmp(now, now + 1, 296) == 0);
}

static hm_handle resized;
static enum entry_result (*meanwhile)(struct mentry *entry, hm_handle handle);
static enum entry_result meanwhile_result;

/* While other blocks move, somebody gets hold of the one that is being resized. */
static bool interfere(void *unused, enum hm_move what, void *from, void *to, size_t size)
{
    (void)unused, (void)to, (void)size;
    if (what == HM_MOVE_ASK && meanwhile != NULL && from != hm_deref(heap, resized)) {
        meanwhile_result = meanwhile(heap_entry(heap, resized), resized);
        meanwhile = NULL;
    }
    return true;
}

static enum entry_result pin(struct mentry *entry, hm_handle handle)
{
    return entry_pin(entry, handle);
}

/* A heap at its limit, full of holes that are too short. Returns how many blocks stay. */
static size_t crumble(hm_handle *handles, size_t most)
{
    size_t count = 0;
    size_t left = 0;
    while (count < most && (handles[count] = g_alloc(heap, 1000)) != 0) {
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        if (i % 3 == 0) {
            left++;
        } else {
            cr_assert_eq(g_free(heap, handles[i]), MOVABLE_OK);
        }
    }
    return left;
}

static void lose_the_block(size_t size)
{
    static hm_handle handles[8000];
    use(&(struct hm_movable_options){.max_bytes = 4 * MIB, .on_move = interfere});
    size_t left = crumble(handles, 8000);
    size_t held = atomic_load(&growing->chunks.held);
    resized = handles[0];
    g_fill(hm_deref(heap, resized), 1000, 7);
    meanwhile = pin;
    cr_assert_eq(resize(resized, size), MOVABLE_BUSY);
    cr_assert_null(meanwhile, "the heap was compacted");
    cr_assert_eq(meanwhile_result, ENTRY_OK);
    g_unpin(heap, resized);
    struct hm_movable_stats stats = g_stats(heap);
    cr_assert(stats.live_blocks == left && stats.live_bytes == 1000 * left);
    cr_assert(g_size(heap, resized) == 1000 && g_filled(hm_deref(heap, resized), 1000, 7));
    cr_assert_leq(atomic_load(&growing->chunks.held), held);
    cr_assert_eq(growing->larges.count, 0);
    cr_assert_eq(atomic_load(&growing->resizing), 0);
    heap->kind->verify(heap);
    cr_assert_eq(resize(resized, size), MOVABLE_OK);
    cr_assert_eq(g_stats(heap).live_bytes, 1000 * (left - 1) + size);
    cr_assert_eq(heap->kind->reset(heap), MOVABLE_OK);
    g_compact(heap);
    cr_assert_eq(growing->chunks.count, 0, "no place is kept for ever");
}

Test(resize, whose_block_is_pinned_meanwhile_gives_a_small_place_back)
{
    lose_the_block(8000);
}

Test(resize, whose_block_is_pinned_meanwhile_gives_a_large_place_back)
{
    lose_the_block(200 * KIB);
}

static enum movable_result resize_to_500(hm_handle handle)
{
    return resize(handle, 500);
}

Test(resize, waits_for_a_move)
{
    use(NULL);
    struct kept_waiting waiting = {.verb = resize_to_500, .handle = g_alloc(heap, 30)};
    kept_waiting_begin(&waiting);
    usleep(20000);
    cr_assert_gt(atomic_load(&growing->resizing), 0, "a child of fork has to know");
    cr_assert_eq(kept_waiting_end(&waiting), MOVABLE_OK);
    cr_assert_eq(g_size(heap, waiting.handle), 500);
    cr_assert_eq(atomic_load(&growing->resizing), 0);
}
