#include "heap_fixture.h"

TestSuite(bins, .init = fixture_setup, .fini = fixture_teardown);

Test(bins, a_new_bin_is_empty_and_full)
{
    cr_assert_null(fast_pop(a, fast_bin_of_exact(0)));
    for (unsigned class = 0; class <= CLASS_COUNT; class ++) {
        cr_assert_eq(a->bin[class].top, a->bin[class].limit);
        cr_assert_null(fast_pop(a, THEAP_BIN_OF(class)));
    }
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        cr_assert_eq(bins_count(a, class), 0);
    }
}

Test(bins, room_grows_by_doubling_up_to_what_two_batches_need)
{
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        unsigned batch = bins_max_batch(class);
        unsigned limit = 0;
        cr_assert(batch >= 1 && batch <= 255);
        cr_assert(batch == 1 || batch * class_bytes[class] <= 16 * KIB);
        for (unsigned count = 1; count <= 300; count++) {
            unsigned room = bins_reserve(a, class, count);
            cr_assert(room == 7 || room == 15 || room == 31 || room == 63 || room == 127 || room == 255);
            cr_assert(room >= count || room == limit || limit == 0, "class %u", class);
            limit = room;
        }
        cr_assert_geq(limit, batch < 128 ? 2 * batch - 1 : 255);
        cr_assert_eq(a->bin[class].limit - a->bin[class].top,
                     class < CLASS_IN_CHUNK ? limit * sizeof(struct entry) : 0,
                     "large blocks are granted room");
    }
    cr_assert_eq(bins_reserve(a, 0, 1), BINS_MAX_CAPACITY, "it doesn't shrink");
}

/* Blocks of a class, taken away from the heap's bin so that the test can put them where it wants. */
static void cache(unsigned class, unsigned count, void **blocks)
{
    for (unsigned i = 0; i < count; i++) {
        blocks[i] = get(a, class_bytes[class]);
    }
    theap_drop_bins(a, true);
    for (unsigned i = 0; i < count; i++) {
        put(a, blocks[i]);
    }
}

Test(bins, entries_move_along_when_the_array_grows)
{
    void *blocks[100];
    cache(4, 100, blocks);
    cr_assert_eq(bins_count(a, 4), 100);
    verify();
    for (int i = 100; i-- > 0;) {
        cr_assert_eq(get(a, class_bytes[4]), blocks[i], "last in, first out");
    }
}

Test(bins, flush_empties_the_older_ones)
{
    void *blocks[20];
    cache(4, 20, blocks);
    bins_flush(a, 4, 13, true);
    cr_assert_eq(bins_count(a, 4), 7);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(mark_value(blocks[i]) != 0, i >= 13, "block %d", i);
    }
    verify();
    bins_flush(a, 4, 0, true);
    bins_flush(a, 4, 7, true);
    cr_assert_eq(bins_count(a, 4), 0);
    cr_assert_eq(a->chunk_count, 0, "the last block takes its chunk along");
    verify();
}

Test(bins, large_blocks_are_flushed_to_the_page_heap)
{
    void *blocks[5];
    cache(CLASS_IN_CHUNK + 2, 5, blocks);
    cr_assert_eq(bins_count(a, CLASS_IN_CHUNK + 2), 5);
    bins_flush(a, CLASS_IN_CHUNK + 2, 5, true);
    assert_empty();
}

Test(bins, half_of_what_is_idle_is_flushed)
{
    void *blocks[20];
    unsigned class = class_of(KIB);
    cache(class, 20, blocks);
    cr_assert_not(bins_age(a), "not looked at before");
    cr_assert_eq(bins_count(a, class), 20);
    a->info[class].batch = 16;
    cr_assert(bins_age(a));
    cr_assert_eq(bins_count(a, class), 10);
    cr_assert_eq(a->info[class].batch, 8);
    get(a, KIB);
    cr_assert_not(bins_age(a), "used since");
    cr_assert(bins_age(a));
    cr_assert_eq(bins_count(a, class), 4);
    cr_assert(bins_age(a));
    cr_assert_not(bins_age(a), "a thirty-second of a chunk");
    cr_assert_eq(bins_count(a, class), 2);
    verify();
}

Test(bins, half_of_idle_large_blocks_is_flushed_however_few)
{
    void *blocks[20];
    unsigned class = CLASS_IN_CHUNK;
    cache(class_of(KIB), 20, blocks);
    for (int i = 0; i < 3; i++) {
        blocks[i] = get(a, class_bytes[class]);
    }
    for (int i = 0; i < 3; i++) {
        put(a, blocks[i]);
    }
    a->chunk_count += 1000;
    bins_age_large(a);
    cr_assert_eq(bins_count(a, class), 3, "not looked at before");
    bins_age_large(a);
    cr_assert_eq(bins_count(a, class), 1);
    cr_assert_eq(bins_count(a, class_of(KIB)), 20, "only large ones");
    bins_age_large(a);
    cr_assert_eq(bins_count(a, class), 0);
    a->chunk_count -= 1000;
    verify();
}

/* What a fork may leave of another thread's operation. */
Test(bins, torn_entries_are_left_alone)
{
    void *blocks[6];
    cache(4, 6, blocks);
    struct entry *bottom = bins_bottom(a, 4);
    struct entry good = bottom[1];
    bottom[2].mark = bottom[3].mark;
    bottom[4].block = NULL;
    mark_to_user(bottom[5].mark);
    bottom[6] = good;
    theap_drop_bins(a, false);
    cr_assert_eq(mark_value(blocks[0]), 0, "the whole one is flushed, once");
    cr_assert_neq(*mark_of(blocks[1]), 0);
    cr_assert_neq(*mark_of(blocks[3]), 0);
    cr_assert_neq(*mark_of(blocks[4]), 0);
    cr_assert_eq(bins_count(a, 4), 0);
    verify();
}

Test(bins, torn_entries_of_large_blocks_are_left_alone)
{
    void *blocks[5];
    unsigned class = CLASS_IN_CHUNK + 1;
    cache(class, 5, blocks);
    struct entry *bottom = bins_bottom(a, class);
    bottom[1].mark = NULL;
    bottom[2].block = NULL;
    bottom[3].mark = bottom[4].mark;
    mark_to_user(bottom[5].mark);
    theap_drop_bins(a, false);
    struct pageheap_stats stats;
    pageheap_stats_get(&core->pages, &stats);
    cr_assert_eq(stats.live, 4 * class_bytes[class]);
    verify();
}

/* A fork between the writes that exchange an array. */
Test(bins, a_torn_bin_is_left_alone)
{
    void *blocks[6];
    for (unsigned torn = 0; torn < 3; torn++) {
        unsigned class = 4 + torn;
        cache(class, 6, blocks);
        a->info[class].capacity = 0;
        a->bin[class].top += torn == 1 ? 4096 : 0;
        a->bin[class].limit -= torn == 2 ? 4096 : 0;
        theap_drop_bins(a, false);
        bins_discard_arrays(a);
        cr_assert_eq(mark_value(blocks[0]) & CODE_CACHED, CODE_CACHED);
        cr_assert_eq(bins_count(a, class), 0);
        put(a, get(a, class_bytes[class]));
        verify();
    }
}

/* A fork between the writes that change the room of a bin of large blocks. */
Test(bins, a_torn_room_is_left_alone)
{
    for (unsigned torn = 0; torn < 2; torn++) {
        unsigned class = class_of(64 * KIB) + torn;
        put(a, get(a, class_bytes[class]));
        a->info[class].capacity = 0;
        a->info[class].room += 3;
        a->bin[class].limit += torn == 1 ? 3 * sizeof(struct entry) : 0;
        theap_drop_bins(a, false);
        bins_discard_arrays(a);
        cr_assert_eq(bins_count(a, class), 0);
        cr_assert_eq(a->large_room, 0);
        put(a, get(a, class_bytes[class]));
        verify();
    }
}

/* Frees blocks as if no bin had room. */
static void loosen(void **blocks, int count)
{
    for (int i = 0; i < count; i++) {
        mark_to_cached(mark_of(blocks[i]));
        bins_settle(a, code_class(mark_value(blocks[i]) & ~CODE_CACHED), blocks[i], mark_of(blocks[i]));
    }
}

Test(bins, loose_blocks_go_to_their_chunks_together)
{
    void *blocks[THEAP_LOOSE_MAX + 3];
    for (unsigned i = 0; i < THEAP_LOOSE_MAX + 3; i++) {
        blocks[i] = get(a, 40 + 500 * i);
    }
    theap_drop_bins(a, true);
    loosen(blocks, THEAP_LOOSE_MAX - 1);
    cr_assert_eq(a->loose_count, THEAP_LOOSE_MAX - 1);
    verify();
    loosen(blocks + THEAP_LOOSE_MAX - 1, 2);
    cr_assert_eq(a->loose_count, 1);
    for (unsigned i = 0; i < THEAP_LOOSE_MAX + 3; i++) {
        cr_assert_eq(mark_value(blocks[i]) == 0, i < THEAP_LOOSE_MAX, "block %u", i);
    }
    verify();
    loosen(blocks + THEAP_LOOSE_MAX + 1, 2);
    theap_drop_bins(a, true);
    assert_empty();
}

Test(bins, torn_loose_blocks_are_left_alone)
{
    void *blocks[6];
    for (int i = 0; i < 6; i++) {
        blocks[i] = get(a, 40);
    }
    theap_drop_bins(a, true);
    loosen(blocks, 6);
    a->loose[1].mark = a->loose[2].mark;
    a->loose[3].block = NULL;
    mark_to_user(a->loose[4].mark);
    a->loose[5] = a->loose[0];
    theap_drop_bins(a, false);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(mark_value(blocks[i]) == 0, i == 0 || i == 2, "block %d", i);
    }
    cr_assert_eq(a->loose_count, 0);
    verify();
}

static void verify_a_handed_out_loose_block(void *block)
{
    loosen(&block, 1);
    mark_to_user(mark_of(block));
    core_verify(core, a);
}

static void settle_a_vanished_loose_block(void *block)
{
    loosen(&block, 1);
    *mark_of(block) = CODE_CACHED;
    theap_drop_bins(a, true);
}

Test(bins, loose_blocks_are_checked)
{
    void *block = get(a, 40);
    assert_panic(verify_a_handed_out_loose_block, block, "loose blocks are marked cached");
    assert_panic(settle_a_vanished_loose_block, block, "double free");
}

/* Frees `count` blocks of the class in a sparse heap. */
static void put_sparsely(unsigned class, void **blocks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        cr_assert_eq(code_class(mark_value(blocks[i])), class);
        put(a, blocks[i]);
    }
}

Test(bins, in_a_sparse_heap_one_class_at_a_time_has_a_narrow_bin)
{
    static void *blocks[2][THEAP_LOOSE_MAX + BINS_NARROW + 2];
    const unsigned count = THEAP_LOOSE_MAX + BINS_NARROW + 2;
    void *large[80];
    for (int i = 0; i < 80; i++) {
        large[i] = get(a, 16 * KIB);
    }
    for (unsigned i = 0; i < count; i++) {
        blocks[0][i] = get(a, class_bytes[4]);
        blocks[1][i] = get(a, class_bytes[9]);
    }
    theap_drop_bins(a, true);
    bins_discard_arrays(a);
    /* Sparse from here on, as far as the heap knows. */
    a->used -= 80 * class_granules(CLASS_IN_CHUNK - 1);
    put_sparsely(4, blocks[0], THEAP_LOOSE_MAX - 1);
    cr_assert_eq(a->info[4].capacity, 0);
    put_sparsely(4, blocks[0] + THEAP_LOOSE_MAX - 1, BINS_NARROW + 1);
    cr_assert_eq(a->info[4].capacity, BINS_NARROW, "who frees so many in a row gets a bin");
    cr_assert_eq(bins_count(a, 4), BINS_NARROW);
    put(a, blocks[0][count - 2]);
    cr_assert_eq(a->info[4].capacity, BINS_NARROW, "it doesn't grow");
    cr_assert_eq(bins_count(a, 4), 1, "it is emptied altogether");
    put_sparsely(9, blocks[1], THEAP_LOOSE_MAX);
    cr_assert_eq(a->info[9].capacity, BINS_NARROW);
    cr_assert_eq(a->info[4].capacity, 0, "there is one at a time");
    cr_assert_eq(mark_value(blocks[0][count - 2]), 0);
    a->used += 80 * class_granules(CLASS_IN_CHUNK - 1);
    verify();
    for (int i = 0; i < 80; i++) {
        put(a, large[i]);
    }
}

Test(bins, arrays_are_given_back_and_reused)
{
    void *blocks[20];
    for (unsigned class = 4; class < 40; class += 7) {
        cache(class, 20, blocks);
        theap_drop_bins(a, true);
        bins_discard_arrays(a);
        cr_assert_eq(a->bin[class].top, 0);
        cr_assert_eq(bins_bottom(a, class), &a->none);
        for (int i = 0; i < CORE_ARRAY_SIZES; i++) {
            cr_assert_eq(core->array_pool[i].free_count, i < 3 ? 1 : 0, "arrays of size %d", i);
        }
    }
}

static void discard_a_full_bin(void *unused)
{
    void *blocks[1];
    (void)unused;
    cache(4, 1, blocks);
    bins_discard_arrays(a);
}

Test(bins, an_array_with_entries_is_not_given_back)
{
    assert_panic(discard_a_full_bin, NULL, "only empty bins lose their arrays");
}
