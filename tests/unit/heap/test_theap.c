#include "heap/fast.h"
#include "heap_fixture.h"

TestSuite(theap, .init = fixture_setup, .fini = fixture_teardown);

#define CLASS_100 6u /* 112 bytes */

Test(theap, requests_lead_to_the_bin_of_their_class)
{
    for (size_t bytes = 1; bytes <= CLASS_EXACT_BYTES; bytes++) {
        cr_assert_eq(fast_bin(a, fast_bin_of_exact(bytes)), &a->bin[class_of(bytes)], "%zu bytes", bytes);
    }
    for (size_t bytes = CLASS_EXACT_BYTES + 1; bytes <= CLASS_FAST_BYTES; bytes++) {
        cr_assert_eq(fast_bin(a, fast_bin_of_step(bytes)), &a->bin[class_of(bytes)], "%zu bytes", bytes);
    }
}

Test(theap, freed_blocks_of_all_sizes_become_one_hole)
{
    static void *blocks[2000];
    size_t count = 0;
    size_t bytes = 0;
    while (bytes < 400 * KIB) {
        size_t size = 16 + count * 37 % 700;
        blocks[count++] = get(a, size);
        bytes += size;
    }
    size_t chunks = a->chunk_count;
    /* All but every twentieth. */
    for (size_t i = 0; i < count; i++) {
        if (i % 20 != 0) {
            put(a, blocks[i]);
        }
    }
    theap_drop_bins(a, true);
    verify();
    size_t made = a->stats.chunks_made;
    for (int i = 0; i < 30; i++) {
        get(a, 5000);
    }
    cr_assert_eq(a->stats.chunks_made, made, "the holes between the survivors serve it");
    cr_assert_leq(a->chunk_count, chunks);
    verify();
}

Test(theap, the_last_block_takes_its_chunk_along)
{
    void *blocks[200];
    for (int i = 0; i < 200; i++) {
        blocks[i] = get(a, 1000);
    }
    size_t chunks = a->chunk_count;
    cr_assert_geq(chunks, 3);
    for (int i = 0; i < 200; i++) {
        put(a, blocks[i]);
    }
    theap_drop_bins(a, true);
    cr_assert_eq(a->chunk_count, 0);
    cr_assert_eq(a->stats.chunks_released, a->stats.chunks_made);
    verify();
}

Test(theap, a_full_bin_makes_room_by_flushing_its_older_entries)
{
    static void *blocks[1000];
    for (int i = 0; i < 1000; i++) {
        blocks[i] = get(a, 100);
    }
    theap_drop_bins(a, true);
    for (int i = 0; i < 1000; i++) {
        put(a, blocks[i]);
        cr_assert_leq(bins_count(a, CLASS_100), BINS_MAX_CAPACITY);
        cr_assert_eq(mark_value(blocks[i]) & CODE_CACHED, CODE_CACHED);
        cr_assert_eq(mark_value(blocks[0]) == 0, i >= (int)BINS_MAX_CAPACITY, "block %d", i);
        if (i == (int)BINS_MAX_CAPACITY) {
            cr_assert_eq(bins_count(a, CLASS_100), 64,
                         "the newest 63 stay, and the one for which there was no room");
        }
    }
    verify();
}

Test(theap, freeing_much_drops_all_bins)
{
    static void *blocks[6000];
    void *other[5];
    for (int i = 0; i < 6000; i++) {
        blocks[i] = get(a, 500);
    }
    for (int i = 0; i < 5; i++) {
        other[i] = get(a, 64);
    }
    for (int i = 0; i < 5; i++) {
        put(a, other[i]);
    }
    for (int i = 0; i < 6000; i++) {
        put(a, blocks[i]);
    }
    cr_assert_eq(mark_value(other[0]), 0, "its bin saw no other free");
    verify();
}

Test(theap, closed_bins_stay_empty)
{
    void *before = get(a, 100);
    put(a, before);
    core_instrument(core, a, true);
    cr_assert_eq(bins_count(a, CLASS_100), 0);
    for (int i = 0; i < 100; i++) {
        void *block = get(a, 100);
        cr_assert_eq(a->bin[CLASS_100].top, a->bin[CLASS_100].limit);
        put(a, block);
        cr_assert_eq(mark_value(block), 0);
    }
    core_instrument(core, a, false);
    put(a, get(a, 100));
    cr_assert_neq(bins_count(a, CLASS_100), 0);
    assert_empty();
}

Test(theap, other_threads_follow_the_mode_at_their_next_miss)
{
    void *blocks[20];
    for (int i = 0; i < 20; i++) {
        blocks[i] = get(b, 100);
    }
    core_instrument(core, a, true);
    for (int i = 0; i < 20; i++) {
        put(b, blocks[i]);
    }
    get(b, 3000);
    cr_assert(b->closed);
    cr_assert_eq(bins_count(b, CLASS_100), 0);
    core_instrument(core, a, false);
    get(b, 3000);
    cr_assert_not(b->closed);
    verify();
}

/* A chunk that goes while it is in the inbox would come back to life in an inbox that nobody looks into. */
Test(theap, a_chunk_that_is_given_back_is_in_no_inbox)
{
    void *mine = get(a, 10000);
    void *other = get(a, 10000);
    struct chunk *chunk = chunk_of(mine);
    put(b, other);
    cr_assert_eq(atomic_load(&a->inbox), chunk);
    put(a, mine);
    theap_drop_bins(a, true);
    cr_assert_eq(a->chunk_count, 0);
    cr_assert_null(atomic_load(&a->inbox));
    cr_assert_not(atomic_load(&chunk->announced));
}

Test(theap, buckets_tell_where_most_is_dead)
{
    void *blocks[60];
    for (int i = 0; i < 60; i++) {
        blocks[i] = get(a, 4096);
    }
    for (int i = 0; i < 60; i += 1 + i / 20) {
        put(a, blocks[i]);
    }
    theap_drop_bins(a, true);
    for (struct list *node = a->chunks.next; node != &a->chunks; node = node->next) {
        struct chunk *chunk = LIST_ENTRY(node, struct chunk, span.link);
        unsigned dead = chunk_dead(chunk) - chunk->swept_dead;
        cr_assert_eq(chunk->bucket, dead == 0 ? 0 : bits_log2(dead));
    }
    lock_acquire(&a->lock);
    theap_sweep_all_locked(a);
    lock_release(&a->lock);
    for (struct list *node = a->chunks.next; node != &a->chunks; node = node->next) {
        cr_assert_eq(LIST_ENTRY(node, struct chunk, span.link)->bucket, 0);
    }
    verify();
}

static void *kept;

static void steal(void *unused)
{
    (void)unused;
    atomic_store(&chunk_of(kept)->span.owner, b);
    theap_verify(a);
}

static void lose_count(void *unused)
{
    (void)unused;
    a->chunk_count++;
    theap_verify(a);
}

static void lose_from_table(void *unused)
{
    (void)unused;
    struct chunk *chunk = chunk_of(kept);
    table_clear(&core->table, chunk);
    theap_verify(a);
}

static void lose_bucket(void *unused)
{
    (void)unused;
    a->buckets = 0;
    theap_verify(a);
}

static void lose_hole(void *unused)
{
    (void)unused;
    chunk_of(kept)->linked -= 2;
    theap_verify(a);
}

Test(theap, verify_names_the_broken_equation)
{
    kept = get(a, 100);
    assert_panic(steal, NULL, "a heap owns the chunks on its list");
    assert_panic(lose_count, NULL, "chunk_count counts the chunks");
    assert_panic(lose_from_table, NULL, "the table leads to every chunk");
    assert_panic(lose_bucket, NULL, "a bucket's bit is set");
    assert_panic(lose_hole, NULL, "the holes of all chunks are those of the index");
}
