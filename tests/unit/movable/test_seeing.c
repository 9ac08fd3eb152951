#include "support/assert_panic.h"
#include "support/growing_heap.h"

TestSuite(seeing, .fini = teardown);

Test(seeing, statistics_are_exact)
{
    static void *slot;
    use(NULL);
    size_t bytes = 0;
    size_t granules = 0;
    hm_handle last = 0;
    for (size_t size = 0; size < 3000; size += 7) {
        last = g_alloc(heap, size);
        bytes += size;
        granules += bits_align_up(size, 16);
    }
    g_alloc(heap, MIB);
    cr_assert_eq(heap->kind->slot_alloc(heap, &slot, 100), MOVABLE_OK);
    g_pin(heap, last);
    g_pin(heap, last);
    struct hm_movable_stats stats = g_stats(heap);
    size_t blocks = 3000 / 7 + 1 + 2;
    cr_assert_eq(stats.live_blocks, blocks);
    cr_assert_eq(stats.live_bytes, bytes + MIB + 100);
    cr_assert_eq(stats.granule_bytes, granules + MIB + 112);
    cr_assert_eq(stats.slots, 1);
    cr_assert_eq(stats.pinned_blocks, 1);
    cr_assert_geq(stats.metadata_bytes, blocks * sizeof(struct mentry) + (blocks - 1) * HEADER_BYTES);
    cr_assert_geq(stats.held_bytes, stats.granule_bytes + stats.metadata_bytes - blocks * HEADER_BYTES);
    cr_assert_leq(stats.held_bytes, stats.granule_bytes + stats.metadata_bytes + MIB);
    g_unpin(heap, last);
    g_unpin(heap, last);
    cr_assert_eq(g_stats(heap).pinned_blocks, 0);
}

Test(seeing, compaction_is_counted)
{
    static hm_handle handles[8000];
    use(NULL);
    for (size_t i = 0; i < 8000; i++) {
        handles[i] = g_alloc(heap, 1000);
    }
    for (size_t i = 0; i < 8000; i++) {
        if (i % 8 != 0) {
            g_free(heap, handles[i]);
        }
    }
    cr_assert_gt(g_stats(heap).free_bytes, 5 * MIB);
    struct hm_compact_result result = g_compact(heap);
    struct hm_movable_stats stats = g_stats(heap);
    cr_assert_gt(stats.moved_blocks, 500);
    cr_assert_eq(stats.moved_blocks, result.moved_blocks);
    cr_assert_eq(stats.moved_bytes, result.moved_bytes);
    cr_assert_gt(stats.released_bytes, 5 * MIB);
    cr_assert_geq(stats.steps, 1);
    cr_assert_lt(stats.free_bytes, MIB);
}

Test(seeing, what_a_lane_keeps_for_itself_is_free)
{
    hm_handle handles[64];
    use(NULL);
    for (size_t i = 0; i < 64; i++) {
        handles[i] = g_alloc(heap, 4000);
    }
    cr_assert_eq(g_stats(heap).free_bytes, 0);
    for (size_t i = 0; i < 63; i++) {
        g_free(heap, handles[i]);
    }
    cr_assert_eq(g_stats(heap).free_bytes, 63 * mchunk_stride(4000, 16));
    g_compact(heap);
    cr_assert_lt(g_stats(heap).free_bytes, 4096);
}

Test(seeing, what_readers_keep_is_waiting)
{
    use(NULL);
    hm_handle large = g_alloc(heap, 2 * MIB);
    heap->kind->read_enter(heap);
    g_free(heap, large);
    cr_assert_geq(g_stats(heap).waiting_bytes, 2 * MIB);
    heap->kind->read_leave(heap);
    g_compact(heap);
    cr_assert_eq(g_stats(heap).waiting_bytes, 0);
}

Test(seeing, pins_are_reported_oldest_first)
{
    struct hm_pin_info pins[4];
    void *at;
    use(NULL);
    hm_handle small = g_alloc(heap, 100);
    hm_handle large = g_alloc(heap, MIB);
    for (int i = 0; i < 20; i++) {
        g_free(heap, g_alloc(heap, 4000));
    }
    cr_assert_eq(heap->kind->tag(heap, small, "small block"), MOVABLE_OK);
    cr_assert_eq(heap->kind->tag(heap, large, "large block"), MOVABLE_OK);
    cr_assert_eq(heap->kind->pin_tagged(heap, small, "first", &at), MOVABLE_OK);
    cr_assert_eq(heap->kind->pin_tagged(heap, large, "second", &at), MOVABLE_OK);
    cr_assert_eq(heap->kind->pin_report(heap, pins, 4), 2);
    cr_assert_eq(pins[0].handle, small);
    cr_assert_str_eq(pins[0].name, "first");
    cr_assert_str_eq(pins[0].block_name, "small block");
    cr_assert_eq(pins[1].handle, large);
    cr_assert_str_eq(pins[1].block_name, "large block");
    cr_assert_geq(pins[0].age_ns, pins[1].age_ns);
    cr_assert_eq(pins[1].kept_bytes, 0);
    cr_assert_eq(heap->kind->pin_report(heap, pins, 1), 2, "there are more than were asked for");
    cr_assert_eq(entry_word(heap_entry(heap, small)) & ENTRY_PINS, 1, "the report keeps no pin");
    cr_assert_eq(heap->kind->unpin_tagged(heap, small, "first"), MOVABLE_OK);
    cr_assert_eq(heap->kind->unpin_tagged(heap, large, "second"), MOVABLE_OK);
    cr_assert_eq(heap->kind->pin_report(heap, pins, 4), 0);
}

/* What the verifier finds */

static hm_handle broken;

static mheader *header(void)
{
    return header_of((uintptr_t)hm_deref(heap, broken));
}

static void verify_after(void *arg)
{
    void (*spoil)(void) = *(void (**)(void))arg;
    spoil();
    heap->kind->verify(heap);
}

static void lose_bytes(void)
{
    growing->lane[0].bytes--;
}

static void lose_granules(void)
{
    growing->lane[0].granules -= 16;
}

static void lose_live_bytes(void)
{
    atomic_fetch_sub(&growing->lane[0].chunk->live, 16);
}

static void lose_entry(void)
{
    growing->lane[0].entries.count--;
}

static void lose_block(void)
{
    atomic_store(header(), header_dead(mchunk_stride(100, 16), 1));
}

static void name_other_entry(void)
{
    atomic_fetch_add(header(), 1);
}

static void forget_address(void)
{
    entry_set_address(heap_entry(heap, broken), 16);
}

static void call_it_large(void)
{
    atomic_fetch_or(&heap_entry(heap, broken)->word, ENTRY_LARGE);
}

static void make_it_longer(void)
{
    atomic_fetch_add(header(), UINT64_C(16) << HEADER_SIZE_SHIFT);
}

Test(seeing, the_verifier_finds_what_is_broken)
{
    static const struct {
        void (*spoil)(void);
        const char *text;
    } cases[] = {
        {lose_bytes, "bytes"},
        {lose_granules, "granule"},
        {lose_live_bytes, "live = lengths of blocks"},
        {lose_entry, "sums over the lanes"},
        {lose_block, "live"},
        {name_other_entry, "entry"},
        {forget_address, "a block's entry has its address"},
        {call_it_large, "pages of its own"},
        {make_it_longer, "corrupted movable heap"},
    };
    use(NULL);
    g_alloc(heap, 100);
    broken = g_alloc(heap, 100);
    g_alloc(heap, 100);
    heap->kind->verify(heap);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void (*spoil)(void) = cases[i].spoil;
        assert_panic(verify_after, (void *)&spoil, cases[i].text);
    }
}
