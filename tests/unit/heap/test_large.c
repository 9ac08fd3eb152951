#include "heap_fixture.h"

TestSuite(large, .init = fixture_setup, .fini = fixture_teardown);

static size_t live(void)
{
    struct pageheap_stats stats;
    verify();
    pageheap_stats_get(&core->pages, &stats);
    return stats.live;
}

static size_t own(void)
{
    struct pageheap_stats stats;
    verify();
    pageheap_stats_get(&core->pages, &stats);
    return stats.own;
}

Test(large, classes_up_to_256_kib_whole_pages_above)
{
    static const size_t requests[] = {16385,     20 * KIB,      20 * KIB + 1, 255 * KIB,
                                      256 * KIB, 256 * KIB + 1, MIB - 1};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        void *block = get(a, requests[i]);
        size_t bytes = requests[i] <= CLASS_MAX_BYTES ? class_bytes[class_of(requests[i])]
                                                      : (requests[i] + PAGE - 1) / PAGE * PAGE;
        cr_assert_eq(alloc_usable(core, block, "free"), bytes);
        cr_assert_eq((uintptr_t)block % PAGE, 0);
        memset(block, 1, bytes);
        put(a, block);
    }
    assert_empty();
}

Test(large, a_freed_block_is_kept_and_handed_out_again)
{
    void *block = get(a, 64 * KIB);
    struct span *span = large_find(core, (uintptr_t)block);
    put(a, block);
    cr_assert_eq(span->mark, LARGE_USER | CODE_CACHED);
    cr_assert_eq(live(), 64 * KIB);
    cr_assert_eq(get(a, 64 * KIB), block);
    cr_assert_eq(span->mark, LARGE_USER);
}

Test(large, a_longer_block_is_kept_for_a_request_of_as_many_pages)
{
    void *block = get(a, 700 * KIB);
    struct span *span = large_find(core, (uintptr_t)block);
    put(a, block);
    cr_assert_eq(span->mark, LARGE_USER | CODE_CACHED);
    void *other = get(a, 700 * KIB - PAGE);
    cr_assert_neq(other, block);
    cr_assert_eq(get(a, 700 * KIB - PAGE + 1), block);
    cr_assert_eq(span->mark, LARGE_USER);
    put(a, other);
    put(a, block);
    cr_assert_eq(live(), 700 * KIB, "the older one made room");
    put(a, get(a, MIB + 1));
    cr_assert_eq(live(), 700 * KIB, "a longer one isn't kept");
    theap_drop_bins(a, true);
    assert_empty();
}

Test(large, slots_keep_the_newest_and_leave_bins_alone)
{
    void *small = get(a, 256 * KIB);
    void *blocks[8];
    for (size_t i = 0; i < 8; i++) {
        blocks[i] = get(a, (300 + 4 * i) * KIB);
    }
    put(a, small);
    for (size_t i = 0; i < 8; i++) {
        put(a, blocks[i]);
        verify();
    }
    cr_assert_eq(live(), (256 + 324 + 328) * KIB);
    cr_assert_eq(get(a, 324 * KIB), blocks[6]);
    cr_assert_eq(get(a, 256 * KIB), small);
}

Test(large, what_nobody_asks_for_goes_with_time)
{
    void *longer[2] = {get(a, 300 * KIB), get(a, 304 * KIB)};
    void *small = get(a, 256 * KIB);
    put(a, longer[0]);
    put(a, longer[1]);
    put(a, small);
    large_age(a);
    cr_assert_eq(live(), 860 * KIB, "not looked at before");
    put(a, get(a, 304 * KIB));
    large_age(a);
    cr_assert_eq(live(), 604 * KIB, "the slots were used since, the bin wasn't");
    large_age(a);
    cr_assert_eq(live(), 304 * KIB, "the older one");
    large_age(a);
    cr_assert_eq(live(), 0);
    cr_assert_eq(a->large_room, 0);
}

Test(large, a_slot_that_a_fork_tore_gives_back_what_is_whole)
{
    void *block = get(a, 400 * KIB);
    put(a, block);
    struct span *span = a->slot[0];
    a->slot[1] = span;
    theap_drop_bins(a, false);
    cr_assert_eq(live(), 0);
    cr_assert_eq(a->large_room, 0);
    block = get(a, 400 * KIB);
    a->slot[0] = large_find(core, (uintptr_t)block);
    theap_drop_bins(a, false);
    cr_assert_eq(live(), 400 * KIB, "a block with the user stays");
}

Test(large, a_thread_keeps_a_bounded_amount)
{
    void *blocks[40];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 40; i++) {
            blocks[i] = get(a, (20 + 8 * (size_t)i % 200) * KIB);
        }
        for (int i = 0; i < 40; i++) {
            put(a, blocks[i]);
        }
        cr_assert_leq(live(), LARGE_CACHED_MAX + 256 * KIB);
        cr_assert_geq(live(), LARGE_CACHED_MAX / 2, "but it does keep some");
    }
    assert_empty();
}

Test(large, taking_kept_blocks_out_makes_room_for_others)
{
    void *blocks[4];
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 4; i++) {
            blocks[i] = get(a, 256 * KIB);
        }
        for (int i = 0; i < 4; i++) {
            put(a, blocks[i]);
        }
    }
    cr_assert_leq(a->stats.large_allocs, 8, "the loop lives from its cache");
}

static unsigned room_of(size_t bytes)
{
    return a->info[class_of(bytes)].room;
}

Test(large, a_bin_has_room_for_as_many_as_it_had_at_once)
{
    void *blocks[3];
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3; i++) {
            blocks[i] = get(a, 100 * KIB);
        }
        for (unsigned i = 0; i < 3; i++) {
            put(a, blocks[i]);
            cr_assert_eq(room_of(100 * KIB), round == 0 ? i + 1 : 3);
            verify();
        }
    }
    cr_assert_eq(a->large_room, 3 * class_bytes[class_of(100 * KIB)]);
}

Test(large, room_that_a_bin_does_not_use_goes_to_others)
{
    void *blocks[5];
    for (int i = 0; i < 5; i++) {
        blocks[i] = get(a, 256 * KIB);
    }
    void *other = get(a, 200 * KIB);
    void *longer = get(a, 600 * KIB);
    for (int i = 0; i < 5; i++) {
        put(a, blocks[i]);
        verify();
    }
    cr_assert_eq(room_of(256 * KIB), 4, "as much as a thread may keep");
    cr_assert_eq(bins_count(a, class_of(256 * KIB)), 4);
    get(a, 256 * KIB);
    put(a, other);
    cr_assert_eq(room_of(256 * KIB), 3);
    cr_assert_eq(room_of(200 * KIB), 1);
    get(a, 256 * KIB);
    get(a, 256 * KIB);
    put(a, longer);
    cr_assert_eq(a->slot[0], large_find(core, (uintptr_t)longer), "to a slot, too");
    verify();
    cr_assert_not(large_grant(a, class_of(128 * KIB)), "all is used");
    theap_drop_bins(a, true);
    cr_assert_eq(a->large_room, 0);
}

Test(large, what_nobody_asks_for_is_not_kept_for_long)
{
    void *idle = get(a, 100 * KIB);
    put(a, idle);
    cr_assert_eq(bins_count(a, class_of(100 * KIB)), 1);
    for (int i = 0; i < 100; i++) {
        get(a, 40 * KIB);
    }
    cr_assert_eq(bins_count(a, class_of(100 * KIB)), 0);
    cr_assert_eq(a->large_room, 0);
    verify();
}

Test(large, blocks_of_other_threads_are_not_kept)
{
    void *block = get(a, 64 * KIB);
    put(b, block);
    cr_assert_eq(live(), 0);
    cr_assert_eq(bins_count(b, class_of(64 * KIB)), 0);
    put(a, get(a, 64 * KIB));
}

Test(large, a_heapless_thread_can_allocate_and_free)
{
    bool zero;
    void *block = alloc_block(core, NULL, 100, 1, &zero);
    cr_assert(zero);
    alloc_free(core, NULL, block);
    block = alloc_block(core, NULL, 64 * KIB, 1, &zero);
    put(a, block);
    block = get(a, 100 * KIB);
    alloc_free(core, NULL, block);
    assert_empty();
}

Test(large, from_a_size_on_blocks_are_mappings_of_their_own)
{
    void *block = get(a, 2 * MIB);
    cr_assert_eq(large_find(core, (uintptr_t)block)->kind, SPAN_OWN);
    cr_assert_eq(own(), 2 * MIB);
    put(a, block);
    cr_assert_eq(own(), 0);
    block = get(a, 2 * MIB - PAGE);
    cr_assert_eq(large_find(core, (uintptr_t)block)->kind, SPAN_LARGE);
    put(a, block);
    assert_empty();
}

Test(large, only_the_exact_address_finds_a_block)
{
    char *block = get(a, 64 * KIB);
    cr_assert_not_null(large_find(core, (uintptr_t)block));
    cr_assert_null(large_find(core, (uintptr_t)block + 16));
    cr_assert_null(large_find(core, (uintptr_t)block + 64 * KIB - PAGE));
    cr_assert_null(large_find(core, (uintptr_t)block + 64 * KIB - 1));
    cr_assert_null(large_find(core, (uintptr_t)get(a, 100)));
}

Test(large, free_says_when_it_is_too_late)
{
    void *block = get(a, 64 * KIB);
    struct span *span = large_find(core, (uintptr_t)block);
    cr_assert(large_free(core, a, span));
    cr_assert_not(large_free(core, a, span));
    cr_assert_not(large_free(core, b, span));
}

/* The mode may change between a block's allocation and its free. */
Test(large, a_kept_block_goes_when_bins_close)
{
    void *kept = get(a, 64 * KIB);
    void *block = get(a, 64 * KIB);
    void *fresh = get(b, 80 * KIB);
    put(a, kept);
    core_instrument(core, NULL, true);
    put(a, block);
    alloc_free(core, b, fresh);
    core_instrument(core, NULL, false);
    assert_empty();
}

/* The first free of a class needs an array for its bin. */
Test(large, free_works_when_the_bin_can_have_no_array)
{
    void *blocks[28];
    for (unsigned i = 0; i < 28; i++) {
        blocks[i] = get(a, class_bytes[CLASS_IN_CHUNK + i]);
    }
    /* No descriptor memory is left. */
    while (core->meta.left > 0) {
        meta_alloc(&core->meta, core->meta.left < 64 ? core->meta.left : 64);
    }
    fake_os_refuse_kind(&f.fake, FAKE_MAP, true);
    fake_os_refuse_kind(&f.fake, FAKE_RESERVE, true);
    fake_os_refuse_kind(&f.fake, FAKE_COMMIT, true);
    for (int i = 0; i < 28; i++) {
        put(a, blocks[i]);
    }
    assert_empty();
}

Test(large, resize_in_place_shrinks_and_grows)
{
    char *block = get(a, 300 * KIB);
    memset(block, 7, 300 * KIB);
    cr_assert_eq(core_realloc(core, a, block, 100 * KIB), block);
    cr_assert_eq(live(), 100 * KIB);
    cr_assert_eq(core_realloc(core, a, block, 100 * KIB - 5), block);
    cr_assert_eq(core_realloc(core, a, block, 200 * KIB), block, "its tail is still free");
    cr_assert_eq(block[0], 7);
    cr_assert_eq(block[100 * KIB - 1], 7);
    memset(block, 8, 200 * KIB);
    put(a, block);
    assert_empty();
}

Test(large, a_resized_block_is_not_kept_as_one_of_its_old_class)
{
    void *block = get(a, 64 * KIB);
    cr_assert_eq(core_realloc(core, a, block, 32 * KIB), block);
    put(a, block);
    cr_assert_eq(bins_count(a, class_of(64 * KIB)), 0);
    assert_empty();
}

Test(large, own_mappings_grow_by_remapping)
{
    size_t bytes = 2 * MIB;
    char *block = get(a, bytes);
    block[0] = 1;
    block[bytes - 1] = 2;
    for (; bytes < 64 * MIB; bytes += 4 * MIB) {
        block = core_realloc(core, a, block, bytes);
        cr_assert_not_null(block);
        cr_assert_eq(own(), bytes);
    }
    cr_assert_eq(block[0], 1);
    cr_assert_eq(block[2 * MIB - 1], 2);
    block = core_realloc(core, a, block, 100);
    cr_assert_eq(block[0], 1);
    cr_assert_eq(own(), 0);
    put(a, block);
    assert_empty();
}

Test(large, impossible_sizes_and_alignments_are_refused)
{
    static const size_t sizes[] = {PTRDIFF_MAX,
                                   (size_t)PTRDIFF_MAX - 4096,
                                   (size_t)PTRDIFF_MAX + 1,
                                   SIZE_MAX,
                                   SIZE_MAX - 4096,
                                   (size_t)1 << 62,
                                   (size_t)1 << 48};
    bool zero;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t align = 1; align != 0; align *= 2) {
            cr_assert_null(alloc_block(core, a, sizes[i], align, &zero), "%zu, %zu", sizes[i], align);
        }
        cr_assert_null(alloc_block(core, NULL, sizes[i], 1, &zero));
    }
    for (size_t align = (size_t)1 << 47; align != 0; align *= 2) {
        cr_assert_null(alloc_block(core, a, 1, align, &zero), "%zu", align);
    }
    assert_empty();
}

Test(large, a_huge_alignment_leaves_nothing_behind)
{
    struct pageheap_stats before, after;
    size_t align = (size_t)256 * MIB;
    bool zero;
    pageheap_stats_get(&core->pages, &before);
    void *block = alloc_block(core, a, 100, align, &zero);
    cr_assert_not_null(block);
    cr_assert_eq((uintptr_t)block % align, 0);
    pageheap_stats_get(&core->pages, &after);
    cr_assert_eq(after.from_map + after.from_break, before.from_map + before.from_break);
    cr_assert_leq(after.own, 64 * KIB);
    put(a, block);
    assert_empty();
}
