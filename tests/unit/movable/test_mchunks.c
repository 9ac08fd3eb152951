#include "support/assert_panic.h"
#include "support/growing_fixture.h"

static struct growing_fixture fixture;
static struct hm_heap *heap;
static struct mchunks *set;

/* The heap makes no blocks: the chunks are this test's. */
static void setup(void)
{
    growing_fixture_init(&fixture, 1);
    heap = growing_fixture_heap(&fixture, NULL);
    set = &growing_of(heap)->chunks;
}

static void teardown(void)
{
    mchunks_verify_locked(set);
    mchunks_destroy(set);
    cr_assert_eq(atomic_load(&set->held), 0);
    heap->kind->destroy(heap);
    core_verify(fixture.core.core, NULL);
    growing_fixture_drop(&fixture);
}

TestSuite(mchunks, .init = setup, .fini = teardown);

/* As if it had been filled to `top`, and but `live` bytes of it freed. */
static void pretend(struct mchunk *chunk, uint32_t top, uint32_t live)
{
    chunk->top = top;
    atomic_store(&chunk->touched, top);
    atomic_store(&chunk->live, live);
}

static struct mchunk *fresh(void)
{
    struct mchunk *chunk = mchunks_take(set, WANT_MOVE);
    cr_assert_not_null(chunk);
    cr_assert_eq(chunk->state, MCHUNK_HELD);
    return chunk;
}

/* Of several that are all held at once, so that none is one of the others again. */
static void make(struct mchunk **chunks, const uint32_t *live, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        chunks[i] = fresh();
    }
    for (size_t i = 0; i < count; i++) {
        pretend(chunks[i], mchunk_end(chunks[i]), live[i]);
        mchunks_give(set, chunks[i]);
    }
    mchunks_verify_locked(set);
}

Test(mchunks, are_found_by_any_address_in_them)
{
    struct mchunk *chunk = fresh();
    uintptr_t addr = chunk->span.addr;
    cr_assert_eq(mchunks_find(set, addr), chunk);
    cr_assert_eq(mchunks_find(set, addr + MCHUNK_BYTES - 1), chunk);
    cr_assert_null(mchunks_find(set, addr + MCHUNK_BYTES));
    cr_assert_null(mchunks_find(set, (uintptr_t)&chunk));
    struct mchunks other = *set;
    cr_assert_null(mchunks_find(&other, addr), "another heap's");
    pretend(chunk, 1000, 500);
    mchunks_give(set, chunk);
}

Test(mchunks, charges_keep_the_limit_and_the_reserve)
{
    set->limit = 10 * MIB;
    set->reserve = MIB;
    cr_assert_not(mchunks_charge(set, 9 * MIB + 1));
    cr_assert(mchunks_charge(set, 8 * MIB));
    cr_assert_not(mchunks_charge(set, SIZE_MAX));
    struct mchunk *chunk = mchunks_take(set, WANT_ANY);
    cr_assert_not_null(chunk);
    cr_assert_null(mchunks_take(set, WANT_ANY), "the reserve is the compactor's");
    struct mchunk *reserve = mchunks_take(set, WANT_MOVE);
    cr_assert_not_null(reserve);
    cr_assert_eq(atomic_load(&set->held), 10 * MIB);
    cr_assert_null(mchunks_take(set, WANT_MOVE));
    mchunks_discharge(set, 8 * MIB);
    mchunks_give(set, chunk);
    mchunks_give(set, reserve);
}

Test(mchunks, the_victim_has_the_most_garbage)
{
    uint32_t live[] = {900 * KIB, 100 * KIB, 500 * KIB, MCHUNK_BYTES - 16};
    struct mchunk *chunks[4];
    make(chunks, live, 4);
    cr_assert_eq(mchunks_victim(set, 1, 1), chunks[1]);
    cr_assert_eq(mchunks_victim(set, 1, 1), chunks[2]);
    cr_assert_null(mchunks_victim(set, 1, 32), "the others have less than half a chunk of garbage");
    cr_assert_eq(mchunks_victim(set, 1, 1), chunks[0]);
    cr_assert_null(mchunks_victim(set, 1, 1), "nothing is won with a full one");
    for (int i = 0; i < 3; i++) {
        mchunks_give(set, chunks[i]);
    }
}

Test(mchunks, who_is_stuck_is_a_victim_in_the_next_pass)
{
    uint32_t live[] = {100 * KIB, 200 * KIB};
    struct mchunk *chunks[2];
    make(chunks, live, 2);
    cr_assert_eq(mchunks_victim(set, 5, 1), chunks[0]);
    mchunks_give_stuck(set, chunks[0], 5);
    mchunks_verify_locked(set);
    cr_assert_eq(mchunks_victim(set, 5, 1), chunks[1]);
    cr_assert_null(mchunks_victim(set, 5, 1));
    mchunks_give(set, chunks[1]);
    cr_assert_eq(mchunks_victim(set, 6, 1), chunks[1], "it is no reason to leave others");
    cr_assert_eq(mchunks_victim(set, 6, 1), chunks[0]);
    mchunks_give_stuck(set, chunks[1], 6);
    atomic_store(&chunks[0]->live, 0);
    mchunks_give_stuck(set, chunks[0], 6);
    cr_assert_eq(chunks[0]->state, MCHUNK_LIMBO, "it became empty meanwhile");
    atomic_fetch_sub(&chunks[1]->live, 100 * KIB);
    mchunks_relist(set, chunks[1]);
    cr_assert_eq(mchunks_victim(set, 6, 1), chunks[1], "more of it was freed");
    mchunks_give(set, chunks[1]);
}

Test(mchunks, lanes_take_room_then_empty_ones_then_sparse_ones)
{
    uint32_t live[] = {10 * KIB, 300 * KIB, 0};
    struct mchunk *chunks[3];
    make(chunks, live, 3);
    struct mchunk *roomy = mchunks_take(set, WANT_ROOMY);
    cr_assert_eq(roomy, chunks[2]);
    cr_assert_eq(roomy->top, MCHUNK_FIRST);
    pretend(roomy, 100 * KIB, 50 * KIB);
    mchunks_give(set, roomy);
    mchunks_tended(set);
    cr_assert_eq(mchunks_take(set, WANT_ANY), chunks[2], "it has room at the end");
    cr_assert_eq(mchunks_take(set, WANT_ANY), chunks[0], "it has the most garbage");
    struct mchunk *other = mchunks_take(set, WANT_MOVE);
    cr_assert(other != chunks[1] && set->count == 4, "the compactor doesn't look for holes");
    atomic_store(&other->live, 8);
    mchunks_give(set, other);
    mchunks_give(set, chunks[0]);
    mchunks_give(set, chunks[2]);
}

Test(mchunks, where_nothing_fresh_is_to_be_had_any_hole_will_do)
{
    uint32_t live[] = {MCHUNK_BYTES - 50 * KIB};
    struct mchunk *chunks[1];
    make(chunks, live, 1);
    set->limit = MIB;
    cr_assert_eq(mchunks_take(set, WANT_ANY), chunks[0]);
    mchunks_give_stuck(set, chunks[0], 1);
    cr_assert_eq(mchunks_take(set, WANT_ANY), chunks[0], "a stuck one, too");
    mchunks_give(set, chunks[0]);
    set->limit = SIZE_MAX;
    for (enum fake_call call = 0; call < FAKE_CALLS; call++) {
        fake_os_refuse_kind(&fixture.core.fake, call, true);
    }
    struct mchunk *taken[64];
    size_t count = 0;
    while (count < 64 && (taken[count] = mchunks_take(set, WANT_ANY)) != NULL) {
        pretend(taken[count], mchunk_end(taken[count]), MCHUNK_BYTES - 16);
        count++;
    }
    cr_assert_lt(count, 64);
    cr_assert_eq(taken[count - 1], chunks[0], "the last one");
    cr_assert_eq(atomic_load(&set->held), set->count * MIB);
    for (enum fake_call call = 0; call < FAKE_CALLS; call++) {
        fake_os_refuse_kind(&fixture.core.fake, call, false);
    }
    for (size_t i = 0; i < count; i++) {
        mchunks_give(set, taken[i]);
    }
}

Test(mchunks, empty_ones_go_when_no_section_looks_at_them)
{
    uint32_t live[] = {0, 0, 0};
    struct mchunk *chunks[3];
    struct reader *reader = growing_fixture_self();
    readers_enter(&fixture.readers, reader);
    make(chunks, live, 3);
    struct mchunks_stats stats;
    mchunks_stats(set, &stats);
    cr_assert_eq(stats.waiting, 3 * (MIB - 8));
    mchunks_settle(set, 0);
    cr_assert_eq(set->count, 3);
    readers_leave(reader);
    size_t purged = fixture.core.fake.purged_bytes;
    cr_assert_eq(mchunks_release(set, 1), MCHUNKS_PURGE, "a little at a time");
    cr_assert_eq(set->count, 3);
    mchunks_settle(set, 1);
    cr_assert_eq(set->count, 1);
    cr_assert_eq(fixture.core.fake.purged_bytes - purged, 2 * MIB);
    cr_assert_eq(set->released, 2 * MIB);
    mchunks_settle(set, 0);
    cr_assert_eq(set->count, 0);
}

Test(mchunks, a_free_that_passes_a_bound_lists_the_chunk_anew)
{
    uint32_t live[] = {3 * 32 * KIB + 8};
    struct mchunk *chunks[1];
    make(chunks, live, 1);
    uint8_t bucket = chunks[0]->bucket;
    cr_assert_not(mchunks_killed(set, chunks[0], 8));
    cr_assert_eq(chunks[0]->bucket, bucket, "no bound");
    cr_assert_not(mchunks_killed(set, chunks[0], 40 * KIB));
    cr_assert_gt(chunks[0]->bucket, bucket);
    mchunks_verify_locked(set);
    cr_assert_not(mchunks_killed(set, chunks[0], 56 * KIB), "one empty one is kept");
    cr_assert_eq(chunks[0]->state, MCHUNK_LIMBO);
}

Test(mchunks, the_end_of_a_chunk_is_trimmed)
{
    struct mchunk *chunk = fresh();
    pretend(chunk, 800 * KIB, 300 * KIB);
    chunk->top = 100 * KIB + 8;
    size_t all = 0;
    size_t bytes;
    while ((bytes = mchunks_trim(set, chunk)) > 0) {
        struct range purged = fixture.core.fake.last_purge;
        cr_assert_eq(purged.end - purged.start, bytes);
        cr_assert_leq(bytes, MCHUNKS_PURGE + 16 * KIB);
        all += bytes;
        cr_assert_eq(atomic_load(&chunk->touched), 800 * KIB - all);
    }
    cr_assert(all >= 690 * KIB && all <= 700 * KIB);
    mchunks_give(set, chunk);
}

Test(mchunks, a_child_of_fork_takes_back_what_was_going)
{
    uint32_t live[] = {0};
    struct mchunk *chunks[1];
    make(chunks, live, 1);
    list_remove(&chunks[0]->link);
    set->limbo_count--;
    chunks[0]->state = MCHUNK_GOING;
    set->going_count++;
    mchunks_fork_child(set);
    mchunks_verify_locked(set);
    cr_assert_eq(chunks[0]->state, MCHUNK_LIMBO);
    cr_assert_eq(set->going_count, 0);
}

static void verify_wrong_bucket(void *arg)
{
    ((struct mchunk *)arg)->bucket++;
    mchunks_verify_locked(set);
}

static void verify_wrong_count(void *arg)
{
    (void)arg;
    set->count++;
    mchunks_verify_locked(set);
}

static void verify_wrong_state(void *arg)
{
    ((struct mchunk *)arg)->state = MCHUNK_HELD;
    mchunks_verify_locked(set);
}

Test(mchunks, the_verifier_finds_what_is_broken)
{
    uint32_t live[] = {200 * KIB};
    struct mchunk *chunks[1];
    make(chunks, live, 1);
    assert_panic(verify_wrong_bucket, chunks[0], "a chunk is in its bucket");
    assert_panic(verify_wrong_count, chunks[0], "count = length of all");
    assert_panic(verify_wrong_state, chunks[0], "a chunk is on the list of its state");
}
