#include "heap_fixture.h"

TestSuite(remote, .init = fixture_setup, .fini = fixture_teardown);

static bool free_from(const void *block)
{
    uint8_t *mark = mark_of(block);
    return remote_free(NULL, chunk_of(block), mark, mark_load(mark));
}

Test(remote, a_block_is_freed_once)
{
    void *block = get(a, 100);
    uint8_t *mark = mark_of(block);
    unsigned code = mark_load(mark);
    get(a, 100);
    cr_assert(remote_free(NULL, chunk_of(block), mark, code));
    cr_assert_eq(*mark, CODE_DEAD);
    cr_assert_not(remote_free(NULL, chunk_of(block), mark, code));
    verify();
}

Test(remote, the_first_free_announces_the_chunk)
{
    void *blocks[4];
    for (int i = 0; i < 4; i++) {
        blocks[i] = get(a, 100);
    }
    struct chunk *chunk = chunk_of(blocks[0]);
    for (int i = 0; i < 3; i++) {
        cr_assert(free_from(blocks[i]));
        cr_assert(atomic_load(&chunk->announced));
        cr_assert_eq(atomic_load(&a->inbox), chunk);
        cr_assert(i == 0 || chunk->inbox_next == NULL, "it is in there once");
    }
    lock_acquire(&a->lock);
    theap_drain_locked(a);
    lock_release(&a->lock);
    cr_assert_null(atomic_load(&a->inbox));
    cr_assert_not(atomic_load(&chunk->announced));
    cr_assert_geq(chunk_dead(chunk), 3 * 7);
    verify();
}

Test(remote, several_chunks_wait_in_one_inbox)
{
    void *blocks[30];
    for (int i = 0; i < 30; i++) {
        blocks[i] = get(a, 10000);
    }
    for (int i = 0; i < 30; i += 3) {
        put(b, blocks[i]);
    }
    cr_assert_neq(a->stats.sweeps, 1);
    size_t made = a->stats.chunks_made;
    for (int i = 0; i < 10; i++) {
        cr_assert_not_null(get(a, 10000));
    }
    cr_assert_leq(a->stats.chunks_made, made + 1, "what others freed is used again");
    verify();
}

Test(remote, the_last_free_gives_the_chunk_back)
{
    void *blocks[300];
    for (int i = 0; i < 300; i++) {
        blocks[i] = get(a, 1000);
    }
    theap_drop_bins(a, true);
    cr_assert_geq(a->chunk_count, 4);
    for (int i = 0; i < 300; i++) {
        put(b, blocks[i]);
    }
    cr_assert_leq(a->chunk_count, 1, "though its owner did nothing");
    remote_pay(b);
    cr_assert_eq(a->chunk_count, 0);
    cr_assert_eq(b->stats.remote_frees, 300);
    cr_assert_null(atomic_load(&a->inbox));
    assert_empty();
}

/* b's bin of the class has room for so many more. */
static unsigned room_of(struct theap *heap, size_t bytes)
{
    unsigned class = class_of(bytes);
    return heap->info[class].room - bins_count(heap, class);
}

Test(remote, a_bin_with_room_takes_blocks_of_others)
{
    get(b, 128);
    void *block = get(a, 128);
    struct chunk *chunk = chunk_of(block);
    uint32_t gone = atomic_load(&chunk->gone);
    cr_assert_gt(room_of(b, 128), 0);
    put(b, block);
    cr_assert_eq(mark_value(block) & CODE_CACHED, CODE_CACHED);
    cr_assert_eq(atomic_load(&chunk->gone), gone, "it still counts as used");
    verify();
    cr_assert_eq(get(b, 128), block, "and is the next to be handed out");
    verify();
    put(b, block);
    theap_drop_bins(b, true);
    cr_assert_eq(mark_value(block), 0);
    cr_assert_eq(atomic_load(&chunk->gone), gone + 8);
    cr_assert(atomic_load(&chunk->announced));
    verify();
}

Test(remote, a_bin_does_not_grow_for_blocks_of_others)
{
    void *blocks[40];
    get(b, 128);
    for (int i = 0; i < 40; i++) {
        blocks[i] = get(a, 128);
    }
    unsigned room = room_of(b, 128);
    for (int i = 0; i < 40; i++) {
        put(b, blocks[i]);
        cr_assert_eq(room_of(b, 128), (unsigned)i < room ? room - 1 - (unsigned)i : 0);
    }
    cr_assert_eq(b->stats.remote_frees, 40 - room);
    verify();
}

Test(remote, chunks_whose_last_blocks_are_flushed_by_others_are_given_back)
{
    void *blocks[300];
    for (int i = 0; i < 300; i++) {
        put(b, get(b, 1000));
        blocks[i] = get(a, 1000);
    }
    theap_drop_bins(a, true);
    cr_assert_geq(a->chunk_count, 4);
    for (int i = 0; i < 300; i++) {
        put(b, blocks[i]);
    }
    theap_drop_bins(b, true);
    cr_assert_eq(a->chunk_count, 0, "though its owner did nothing");
    assert_empty();
}

/* A fork may find them in the bin. */
Test(remote, blocks_of_others_in_the_bin_of_a_thread_that_is_gone_are_free)
{
    get(b, 128);
    void *block = get(a, 128);
    struct chunk *chunk = chunk_of(block);
    uint32_t gone = atomic_load(&chunk->gone);
    put(b, block);
    theap_drop_bins(b, false);
    cr_assert_eq(mark_value(block), 0);
    cr_assert_eq(atomic_load(&chunk->gone), gone + 8);
    verify();
}

static void *twice;

static void take_it_twice(void *unused)
{
    (void)unused;
    cr_assert_eq(get(a, 128), twice);
    get(b, 128);
}

static void flush_it_twice(void *unused)
{
    (void)unused;
    theap_drop_bins(a, true);
    theap_drop_bins(b, true);
}

/* Two threads see the block in use at the same moment, so it lies in the bins of both. */
Test(remote, what_lies_in_two_bins_is_noticed)
{
    get(b, 128);
    twice = get(a, 128);
    uint8_t *mark = mark_of(twice);
    unsigned code = mark_load(mark);
    put(a, twice);
    mark_store(mark, code);
    put(b, twice);
    assert_panic(take_it_twice, NULL, "freed by two threads at once");
    assert_panic(flush_it_twice, NULL, "freed by two threads at once");
}

/* The first at once, then by parts. */
Test(remote, frees_in_one_chunk_are_counted_together)
{
    void *blocks[40];
    for (int i = 0; i < 40; i++) {
        blocks[i] = get(a, 128);
    }
    struct chunk *chunk = chunk_of(blocks[0]);
    uint32_t gone = atomic_load(&chunk->gone);
    static const uint32_t counted[40] = {[0] = 8, [1 ... 15] = 8, [16 ... 31] = 136, [32 ... 39] = 264};
    for (int i = 0; i < 40; i++) {
        put(b, blocks[i]);
        cr_assert_eq(mark_value(blocks[i]), 0);
        cr_assert_eq(atomic_load(&chunk->gone) - gone, counted[i], "block %d", i);
        verify();
    }
    remote_pay(b);
    cr_assert_eq(atomic_load(&chunk->gone) - gone, 40 * 8);
    remote_pay(b);
    cr_assert_eq(atomic_load(&chunk->gone) - gone, 40 * 8, "once");
}

static void pay_by_refill(void)
{
    get(b, 5000);
}

static void pay_by_dropping(void)
{
    theap_drop_bins(b, true);
}

static void pay_by_ending(void)
{
    core_detach(core, b);
    b = core_attach(core);
}

static void pay_by_another_chunk(void)
{
    void *elsewhere;
    struct chunk *chunk = b->owed_chunk;
    do {
        elsewhere = get(a, 10000);
    } while (chunk_of(elsewhere) == chunk);
    put(b, elsewhere);
}

Test(remote, what_is_owed_is_paid)
{
    static void (*const ways[])(void) = {pay_by_refill, pay_by_dropping, pay_by_ending, pay_by_another_chunk};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        void *blocks[3] = {get(a, 400), get(a, 400), get(a, 400)};
        struct chunk *chunk = chunk_of(blocks[0]);
        b->owed_chunk = NULL;
        put(b, blocks[0]);
        uint32_t gone = atomic_load(&chunk->gone);
        put(b, blocks[1]);
        cr_assert_eq(b->owed, 25);
        cr_assert_eq(atomic_load(&chunk->gone), gone);
        ways[i]();
        cr_assert_eq(b->owed, 0);
        cr_assert_eq(atomic_load(&chunk->gone), gone + 25, "way %zu", i);
        verify();
        put(a, blocks[2]);
    }
}

/* It may have been counted already: better a chunk that stays than one that goes too early. */
Test(remote, what_a_thread_owed_is_forgotten_by_a_forked_child)
{
    void *blocks[2] = {get(a, 400), get(a, 400)};
    struct chunk *chunk = chunk_of(blocks[0]);
    put(b, blocks[0]);
    uint32_t gone = atomic_load(&chunk->gone);
    put(b, blocks[1]);
    theap_drop_bins(b, false);
    cr_assert_eq(b->owed, 0);
    theap_drop_bins(b, true);
    cr_assert_eq(atomic_load(&chunk->gone), gone);
    verify();
}

Test(remote, an_announcement_follows_the_chunk_to_its_new_owner)
{
    void *blocks[3];
    for (int i = 0; i < 3; i++) {
        blocks[i] = get(a, 2000);
    }
    struct chunk *chunk = chunk_of(blocks[0]);
    core_detach(core, a);
    put(b, blocks[0]);
    cr_assert(atomic_load(&chunk->announced));
    /* The freer of blocks[1] is late: it still means the old owner. */
    cr_assert(core_adopt(core, b, 10));
    cr_assert_eq(atomic_load(&chunk->span.owner), b);
    cr_assert_not(atomic_load(&chunk->announced));
    atomic_store(&chunk->announced, true);
    chunk->inbox_next = NULL;
    atomic_store(&a->inbox, chunk);
    lock_acquire(&a->lock);
    theap_drain_locked(a);
    lock_release(&a->lock);
    cr_assert_null(atomic_load(&a->inbox));
    cr_assert_eq(atomic_load(&b->inbox), chunk);
    verify();
}

Test(remote, a_late_announcement_of_nobodys_chunk_is_dropped)
{
    void *block = get(a, 2000);
    struct chunk *chunk = chunk_of(block);
    put(b, block);
    theap_drop_bins(a, true);
    cr_assert_eq(a->chunk_count, 0);
    cr_assert_null(atomic_load(&chunk->span.owner));
    remote_announce(chunk);
    cr_assert_not(atomic_load(&chunk->announced));
    remote_settled(chunk, 0);
    verify();
}

/* Everything after the subtraction may come when the chunk has another owner, or a new life. */
Test(remote, late_steps_change_nothing_in_a_recycled_chunk)
{
    void *block = get(a, 2000);
    struct chunk *chunk = chunk_of(block);
    put(b, block);
    theap_drop_bins(a, true);
    void *next = get(b, 2000);
    cr_assert_eq(chunk_of(next), chunk, "the descriptor is used again");
    remote_settled(chunk, 0);
    remote_settled(chunk, 0);
    cr_assert_eq(atomic_load(&chunk->span.owner), b);
    cr_assert_neq(*mark_of(next), 0);
    verify();
    put(a, next);
    assert_empty();
}

Test(remote, blocks_of_ended_threads_can_be_freed)
{
    void *blocks[100];
    for (int i = 0; i < 100; i++) {
        blocks[i] = get(a, 3000);
    }
    core_detach(core, a);
    cr_assert_eq(atomic_load(&core->registry.orphan_count), 1);
    for (int i = 0; i < 100; i++) {
        put(b, blocks[i]);
    }
    cr_assert_eq(a->chunk_count, 0);
    cr_assert_eq(core_attach(core), a);
    assert_empty();
}
