#include "heap_fixture.h"

TestSuite(alloc, .init = fixture_setup, .fini = fixture_teardown);

Test(alloc, each_size_is_usable_aligned_and_its_own)
{
    for (size_t bytes = 0; bytes < 40 * KIB; bytes += 1 + bytes / 50) {
        void *first = get(a, bytes);
        void *second = get(a, bytes);
        size_t usable = alloc_usable(core, first, "free");
        cr_assert_geq(usable, bytes);
        cr_assert_eq((uintptr_t)first % 16, 0);
        cr_assert_neq(first, second);
        memset(first, 1, usable);
        memset(second, 2, usable);
        cr_assert_eq(((char *)first)[usable - 1], 1);
        put(a, first);
        put(a, second);
    }
    assert_empty();
}

Test(alloc, every_alignment_for_small_and_large_sizes)
{
    static const size_t sizes[] = {0,    1,     16,    33,    100,   624,    625,    1000,
                                   4096, 10000, 16384, 16385, 70000, 300000, 3000000};
    for (size_t align = 1; align <= 4 * MIB; align *= 2) {
        void *blocks[15];
        for (int i = 0; i < 15; i++) {
            bool zero;
            blocks[i] = alloc_block(core, a, sizes[i], align, &zero);
            cr_assert_not_null(blocks[i]);
            cr_assert_eq((uintptr_t)blocks[i] % align, 0, "%zu of %zu", align, sizes[i]);
            cr_assert(!zero || is_zero(blocks[i], sizes[i] + (sizes[i] == 0)));
            memset(blocks[i], 3, alloc_usable(core, blocks[i], "free"));
        }
        verify();
        for (int i = 0; i < 15; i++) {
            put(i % 2 == 0 ? a : b, blocks[i]);
        }
    }
    assert_empty();
}

/* The others stay in the bin; what lies too deep in it isn't found. */
Test(alloc, aligned_blocks_come_from_the_bin_if_one_lies_right)
{
    void *blocks[40];
    bool zero;
    for (int i = 0; i < 40; i++) {
        blocks[i] = get(a, 48);
    }
    theap_drop_bins(a, true);
    for (int i = 0; i < 40; i++) {
        put(a, blocks[i]);
    }
    size_t carved = a->stats.carved;
    for (unsigned count = 40; count > 10; count--) {
        void *block = alloc_block(core, a, 48, 32, &zero);
        cr_assert_eq((uintptr_t)block % 32, 0);
        if (a->stats.carved != carved) {
            break;
        }
        cr_assert_eq(bins_count(a, class_of(48)), count - 1);
    }
    cr_assert_geq(40 - bins_count(a, class_of(48)), 10, "every second block lies right");
    verify();
}

/* Each move leaves room for some steps, but for no more than an eighth. */
/* Every size that fast_fits takes for a block is one that the general path wouldn't change it for, either. */
Test(alloc, a_size_that_fits_changes_nothing)
{
    for (unsigned class = 1; class < CLASS_IN_CHUNK; class ++) {
        void *block = get(a, class_bytes[class]);
        size_t fits = 0;
        for (size_t bytes = 0; bytes <= CLASS_CHUNK_BYTES + 1; bytes++) {
            if (fast_fits(core, block, bytes)) {
                cr_assert_leq(bytes, class_bytes[class]);
                cr_assert_eq(alloc_resize(core, a, block, bytes), block);
                cr_assert_eq(alloc_usable(core, block, "free"), class_bytes[class], "%zu bytes", bytes);
                fits++;
            }
        }
        cr_assert_geq(fits, GRANULE_BYTES);
        cr_assert_not(fast_fits(core, (char *)block + GRANULE_BYTES, class_bytes[class]));
        put(a, block);
        cr_assert_not(fast_fits(core, block, class_bytes[class]), "freed");
    }
    cr_assert_not(fast_fits(core, NULL, 0));
    cr_assert_not(fast_fits(core, get(a, 64 * KIB), 64 * KIB));
}

Test(alloc, growth_by_small_steps_moves_seldom)
{
    char *block = get(a, 16);
    unsigned moves = 0;
    for (size_t bytes = 32; bytes <= 16 * KIB; bytes += 16) {
        void *in_the_way = get(a, bytes);
        char *grown = core_realloc(core, a, block, bytes);
        moves += grown != block;
        block = grown;
        size_t usable = alloc_usable(core, block, "free");
        cr_assert(usable >= bytes && usable - bytes <= bytes / 8 + bytes / 5 + 16, "%zu for %zu", usable,
                  bytes);
        put(a, in_the_way);
    }
    cr_assert_leq(moves, 60);
}

Test(alloc, memory_said_to_be_zero_is)
{
    size_t known = 0;
    for (unsigned i = 0; i < 3000; i++) {
        bool zero;
        size_t bytes = 1 + i * 7919 % 20000;
        char *block = alloc_block(core, a, bytes, 1, &zero);
        cr_assert(!zero || is_zero(block, bytes), "%zu bytes", bytes);
        known += zero;
        memset(block, 0xff, alloc_usable(core, block, "free"));
        if (i % 3 != 0) {
            put(a, block);
        }
    }
    cr_assert_gt(known, 10, "some are known");
}

Test(alloc, null_is_freed_without_consequence)
{
    alloc_free(core, a, NULL);
    alloc_free(core, NULL, NULL);
}

Test(alloc, a_block_shrinks_in_place_and_its_tail_is_free)
{
    for (unsigned class = 1; class < CLASS_IN_CHUNK; class ++) {
        unsigned char *block = get(a, class_bytes[class]);
        struct chunk *chunk = chunk_of(block);
        memset(block, 5, class_bytes[class]);
        for (unsigned smaller = class; smaller-- > 0;) {
            cr_assert_eq(core_realloc(core, a, block, class_bytes[smaller]), block);
            size_t usable = alloc_usable(core, block, "free");
            bool exact = usable == class_bytes[smaller];
            cr_assert(exact || usable - class_bytes[smaller] < usable / 8, "%zu left for %u", usable,
                      class_bytes[smaller]);
        }
        cr_assert_eq(block[31], 5);
        chunk_verify(chunk);
        put(a, block);
    }
    assert_empty();
}

static void expect_tail_to_serve(struct theap *resizer)
{
    char *block = get(a, 4000);
    struct chunk *chunk = chunk_of(block);
    theap_drop_bins(a, true);
    lock_acquire(&a->lock);
    theap_sweep_locked(a, chunk, NULL);
    lock_release(&a->lock);
    cr_assert_eq(core_realloc(core, resizer, block, 100), block);
    lock_acquire(&a->lock);
    theap_sweep_locked(a, chunk, NULL);
    lock_release(&a->lock);
    cr_assert_eq(chunk_dead(chunk), 0);
    put(a, block);
    assert_empty();
}

Test(alloc, the_tail_of_a_block_that_shrank_serves_again)
{
    expect_tail_to_serve(a);
}

Test(alloc, the_tail_of_a_block_that_another_thread_shrank_serves_again)
{
    expect_tail_to_serve(b);
}

Test(alloc, a_block_shrinks_in_place_for_another_thread_too)
{
    char *block = get(a, 10000);
    unsigned before = chunk_used(chunk_of(block));
    cr_assert_eq(core_realloc(core, b, block, 100), block);
    cr_assert_eq(before - chunk_used(chunk_of(block)), (class_bytes[class_of(10000)] - 112) / 16);
    verify();
    put(b, block);
    assert_empty();
}

Test(alloc, a_block_grows_in_place_into_free_memory)
{
    char *block = get(a, 32);
    theap_drop_bins(a, true);
    size_t bytes = 32;
    memset(block, 6, 32);
    for (int i = 0; i < 40; i++) {
        bytes += bytes / 4;
        if (bytes > CLASS_CHUNK_BYTES) {
            break;
        }
        cr_assert_eq(core_realloc(core, a, block, bytes), block, "to %zu", bytes);
        cr_assert_geq(alloc_usable(core, block, "free"), bytes);
        verify();
    }
    cr_assert_eq(block[31], 6);
    put(a, block);
    assert_empty();
}

Test(alloc, a_block_that_cannot_grow_moves_with_its_contents)
{
    unsigned char *block = get(a, 100);
    void *neighbours[8];
    for (int i = 0; i < 8; i++) {
        neighbours[i] = get(a, 100);
    }
    for (unsigned i = 0; i < 100; i++) {
        block[i] = (unsigned char)i;
    }
    for (size_t bytes = 101; bytes < 5 * MIB; bytes += bytes / 2) {
        block = core_realloc(core, bytes % 3 == 0 ? b : a, block, bytes);
        for (unsigned i = 0; i < 100; i++) {
            cr_assert_eq(block[i], i);
        }
        verify();
    }
    for (int i = 0; i < 8; i++) {
        put(b, neighbours[i]);
    }
    put(a, block);
    assert_empty();
}

Test(alloc, growing_by_impossible_sizes_leaves_the_block)
{
    static const size_t from[] = {10, 1000, 10000, 100000, 3000000};
    static const size_t to[] = {PTRDIFF_MAX, SIZE_MAX, (size_t)1 << 50, SIZE_MAX - 4096,
                                (size_t)PTRDIFF_MAX - 70000};
    for (int i = 0; i < 5; i++) {
        char *block = get(a, from[i]);
        block[from[i] - 1] = 9;
        for (int j = 0; j < 5; j++) {
            cr_assert_null(core_realloc(core, a, block, to[j]));
        }
        cr_assert_eq(block[from[i] - 1], 9);
        put(a, block);
    }
    assert_empty();
}

/* A program that asks for too much again and again must not pay for it each time. */
Test(alloc, impossible_sizes_leave_the_caches)
{
    void *blocks[20];
    for (int i = 0; i < 20; i++) {
        blocks[i] = get(a, 500);
    }
    for (int i = 0; i < 20; i++) {
        put(a, blocks[i]);
    }
    unsigned cached = bins_count(a, class_of(500));
    cr_assert_gt(cached, 10);
    cr_assert_null(core_malloc(core, a, (size_t)1 << 48));
    bool zero;
    cr_assert_null(alloc_block(core, a, 100, (size_t)1 << 48, &zero));
    void *block = get(a, 100);
    cr_assert_null(core_realloc(core, a, block, SIZE_MAX / 4));
    cr_assert_eq(bins_count(a, class_of(500)), cached);
    put(a, block);
}

/* Whoever gives memory up must not be told that there is none. */
Test(alloc, shrinking_works_without_memory)
{
    char *large = get(a, 100 * KIB);
    char *own = get(a, 4 * MIB);
    large[0] = own[0] = 4;
    fake_os_limit(&f.fake, 1);
    for (int kind = 0; kind < FAKE_CALLS; kind++) {
        fake_os_refuse_kind(&f.fake, (enum fake_call)kind, true);
    }
    cr_assert_not_null(large = core_realloc(core, a, large, 100));
    cr_assert_not_null(own = core_realloc(core, a, own, 300 * KIB));
    cr_assert_not_null(own = core_realloc(core, a, own, 100));
    cr_assert(large[0] == 4 && own[0] == 4);
}

Test(alloc, without_new_memory_what_the_caches_hide_is_used)
{
    void *blocks[1000];
    size_t count = 0;
    for (; count < 600; count++) {
        blocks[count] = get(a, 1000);
    }
    fake_os_limit(&f.fake, f.fake.mapped + fake_os_break_bytes(&f.fake));
    for (size_t i = 0; i < count; i++) {
        put(a, blocks[i]);
    }
    void *block = get(a, 300 * KIB);
    cr_assert_not_null(block, "free small blocks serve it");
    put(a, block);
    verify();
}

Test(alloc, exhaustion_is_null_and_passes)
{
    void *blocks[3000];
    size_t count = 0;
    fake_os_limit(&f.fake, 8 * MIB);
    while (count < 3000) {
        void *block = core_malloc(core, a, 9000);
        if (block == NULL) {
            break;
        }
        memset(block, (int)count, 9000);
        blocks[count++] = block;
    }
    cr_assert(count > 300 && count < 1000, "%zu", count);
    cr_assert_null(core_malloc(core, b, 9000));
    verify();
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(((unsigned char *)blocks[i])[8999], i & 255);
        put(i % 2 == 0 ? a : b, blocks[i]);
    }
    cr_assert_not_null(core_malloc(core, b, 9000));
    cr_assert_not_null(core_malloc(core, a, 1 * MIB));
    verify();
}

Test(alloc, freed_memory_is_overwritten_when_checking)
{
    struct core_options options = core_fixture_options;
    struct core_fixture checked;
    options.check = 1;
    core_fixture_init(&checked, &options, 0, 0);
    struct theap *heap = core_attach(checked.core);
    for (size_t bytes = 100; bytes < 200000; bytes *= 3) {
        unsigned char *block = core_malloc(checked.core, heap, bytes);
        unsigned char *other = core_malloc(checked.core, heap, bytes);
        memset(block, 0, bytes);
        core_free(checked.core, heap, block);
        cr_assert_neq(block[bytes - 1], 0);
        core_free(checked.core, heap, other);
        core_verify(checked.core, heap);
    }
    core_fixture_drop(&checked);
}
