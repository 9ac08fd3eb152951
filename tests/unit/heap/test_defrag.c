#include "heap/defrag.h"

#include "heap_fixture.h"

TestSuite(defrag, .init = fixture_setup, .fini = fixture_teardown);

#define MOST 4000

static void *blocks[MOST];
static size_t sizes[MOST];

static bool hinted(const void *block)
{
    return defrag_hint(core, block, "free");
}

static void *dense(struct theap *heap, size_t bytes)
{
    void *block = defrag_alloc(heap, bytes);
    cr_assert_not_null(block);
    return block;
}

/* `count` chunks full of blocks of 1 KiB, 64 in each. */
static void fill_chunks(struct theap *heap, size_t count)
{
    for (size_t i = 0; i < count * 64; i++) {
        blocks[i] = get(heap, KIB);
        cr_assert_eq(chunk_of(blocks[i]), chunk_of(blocks[i / 64 * 64]), "block %zu", i);
    }
    cr_assert_eq(heap->chunk_count, count);
}

/* Frees the last blocks of a chunk of fill_chunks that are still there, all but the first `left`. */
static void thin_out(struct theap *heap, size_t chunk, size_t left)
{
    for (size_t i = 64 * chunk + left; i < 64 * (chunk + 1); i++) {
        core_free(core, heap, blocks[i]);
        blocks[i] = NULL;
    }
    theap_drop_bins(heap, true);
}

Test(defrag, only_sparse_chunks_are_hinted_at)
{
    fill_chunks(a, 4);
    cr_assert(!hinted(blocks[0]) && !hinted(blocks[200]), "all are full");
    thin_out(a, 1, 10);
    cr_assert(hinted(blocks[64]) && hinted(blocks[73]));
    cr_assert(!hinted(blocks[0]) && !hinted(blocks[255]), "neighbours are still full");
    thin_out(a, 2, 60);
    cr_assert(!hinted(blocks[128]), "an eighth must be free");
    thin_out(a, 3, 48);
    cr_assert(!hinted(blocks[192]), "three quarters are more than the average");
    thin_out(a, 0, 54);
    cr_assert_eq(a->chunk_count, 4);
    cr_assert(!hinted(blocks[192]) && !hinted(blocks[0]));
    thin_out(a, 0, 30);
    cr_assert(hinted(blocks[0]), "less than half");
    verify();
}

Test(defrag, below_the_average_counts_as_sparse)
{
    fill_chunks(a, 4);
    thin_out(a, 1, 50);
    cr_assert(hinted(blocks[64]) && !hinted(blocks[0]));
}

Test(defrag, the_only_chunk_is_not_sparse)
{
    void *block = get(a, 100);
    cr_assert_eq(a->chunk_count, 1);
    cr_assert(!hinted(block), "another one would be needed for it");
}

Test(defrag, large_blocks_are_never_hinted_at)
{
    fill_chunks(a, 2);
    thin_out(a, 0, 2);
    cr_assert(hinted(blocks[0]));
    cr_assert(!hinted(get(a, 20 * KIB)) && !hinted(get(a, 300 * KIB)) && !hinted(get(a, 40 * MIB)));
}

Test(defrag, blocks_of_any_thread_heap)
{
    fill_chunks(b, 2);
    thin_out(b, 1, 3);
    cr_assert(hinted(blocks[64]) && !hinted(blocks[0]));
    core_detach(core, b);
    cr_assert(hinted(blocks[64]), "its thread has ended");
    void *moved = dense(a, KIB);
    core_free(core, a, blocks[64]);
    core_free(core, a, moved);
    core_verify(core, a);
}

Test(defrag, the_fullest_chunk_with_room_is_filled)
{
    fill_chunks(a, 5);
    thin_out(a, 0, 20);
    thin_out(a, 1, 40);
    thin_out(a, 2, 30);
    thin_out(a, 3, 62);
    const struct chunk *fullest = chunk_of(blocks[64]);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(chunk_of(dense(a, 999)), fullest, "block %d", i);
    }
    verify();
    cr_assert_eq(a->chunk_count, 5);
}

Test(defrag, blocks_of_the_target_are_not_hinted_at)
{
    fill_chunks(a, 3);
    thin_out(a, 0, 4);
    thin_out(a, 1, 5);
    cr_assert(hinted(blocks[64]));
    void *block = dense(a, 100);
    cr_assert_eq(chunk_of(block), chunk_of(blocks[64]));
    cr_assert(!hinted(block) && !hinted(blocks[64]));
    cr_assert(hinted(blocks[0]));
}

Test(defrag, what_waits_in_bins_is_not_handed_out)
{
    fill_chunks(a, 3);
    thin_out(a, 0, 40);
    void *freed = blocks[2 * 64 + 5];
    put(a, freed);
    cr_assert_neq(mark_value(freed) & CODE_CACHED, 0);
    for (int i = 0; i < 100; i++) {
        cr_assert_neq(dense(a, KIB), freed);
    }
    verify();
}

/* Small rests of full chunks are used too. */
Test(defrag, the_best_fit_in_a_full_chunk_comes_first)
{
    fill_chunks(a, 3);
    thin_out(a, 0, 40);
    void *rest = blocks[64 + 7];
    put(a, rest);
    theap_drop_bins(a, true);
    lock_acquire(&a->lock);
    theap_sweep_locked(a, chunk_of(blocks[64]), NULL);
    lock_release(&a->lock);
    cr_assert_eq(dense(a, KIB), rest);
    cr_assert_eq(chunk_of(dense(a, KIB)), chunk_of(blocks[0]));
    verify();
}

Test(defrag, a_target_that_is_gone_is_forgotten)
{
    fill_chunks(a, 3);
    thin_out(a, 0, 20);
    void *block = dense(a, KIB);
    cr_assert_eq(chunk_of(block), chunk_of(blocks[0]));
    put(a, block);
    void *first = blocks[0];
    thin_out(a, 0, 0);
    cr_assert_eq(chunk_of(first), NULL, "given back");
    for (int i = 0; i < 100; i++) {
        dense(a, KIB);
    }
    verify();
}

Test(defrag, every_size_of_a_chunk)
{
    for (size_t bytes = 0; bytes <= CLASS_CHUNK_BYTES; bytes += 1 + bytes / 30) {
        char *block = dense(a, bytes);
        size_t usable = alloc_usable(core, block, "free");
        cr_assert(usable >= bytes && (uintptr_t)block % 16 == 0, "%zu bytes", bytes);
        memset(block, 5, usable);
        put(bytes % 2 == 0 ? a : b, block);
    }
    assert_empty();
}

Test(defrag, exhaustion)
{
    fake_os_limit(&f.fake, 3 * MIB);
    size_t count = 0;
    void *last = NULL;
    void *block;
    while ((block = defrag_alloc(a, 5000)) != NULL) {
        *(void **)block = last;
        last = block;
        count++;
    }
    cr_assert_gt(count, 20);
    verify();
    while (last != NULL) {
        void *next = *(void **)last;
        put(a, last);
        last = next;
    }
    cr_assert_not_null(defrag_alloc(a, 5000));
}

/* Fills, deletes at random, and moves what is hinted at: to the figure that is promised. */
static size_t move_all(size_t count, unsigned char *check)
{
    size_t moved = 0;
    for (size_t i = 0; i < count; i++) {
        if (blocks[i] != NULL && hinted(blocks[i])) {
            void *copy = dense(a, sizes[i]);
            memcpy(copy, blocks[i], sizes[i]);
            put(a, blocks[i]);
            blocks[i] = copy;
            moved++;
        }
        if (blocks[i] != NULL) {
            cr_assert_eq(*(unsigned char *)blocks[i], check[i]);
        }
    }
    core_trim(core, a, 0);
    verify();
    return moved;
}

Test(defrag, moving_ends_with_full_chunks)
{
    static unsigned char check[MOST];
    uint64_t random = 1;
    size_t live = 0;
    for (size_t i = 0; i < MOST; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        sizes[i] = 16 + (random >> 33) % 3000;
        check[i] = (unsigned char)(random >> 56);
        blocks[i] = memset(get(a, sizes[i]), check[i], sizes[i]);
    }
    for (size_t i = 0; i < MOST; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        if ((random >> 33) % 5 != 0) {
            put(a, blocks[i]);
            blocks[i] = NULL;
        } else {
            live += alloc_usable(core, blocks[i], "free");
        }
    }
    core_trim(core, a, 0);
    size_t before = a->chunk_count * CHUNK_BYTES;
    cr_assert_gt(before, 4 * live, "sparse at first");
    size_t passes = 0;
    while (move_all(MOST, check) > 0) {
        cr_assert_leq(++passes, 12, "it ends");
    }
    cr_assert_leq(a->chunk_count * CHUNK_BYTES, live + live / 5, "%zu KiB of chunks for %zu",
                  a->chunk_count * CHUNK_BYTES / KIB, live / KIB);
}
