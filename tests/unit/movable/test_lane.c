#include "support/growing_fixture.h"

static struct growing_fixture fixture;
static struct hm_heap *heap;
static struct mchunks *chunks;
static struct lane lane;

static void setup(void)
{
    growing_fixture_init(&fixture, 1);
    heap = growing_fixture_heap(&fixture, NULL);
    chunks = &growing_of(heap)->chunks;
    lane_init(&lane);
}

static void teardown(void)
{
    struct mchunk *chunk = lane_detach(&lane);
    if (chunk != NULL) {
        mchunks_give(chunks, chunk);
    }
    mchunks_verify_locked(chunks);
    heap->kind->destroy(heap);
    core_verify(fixture.core.core, NULL);
    growing_fixture_drop(&fixture);
}

TestSuite(lane, .init = setup, .fini = teardown);

/* A block that nobody has, as far as the chunk can tell. */
static uintptr_t take(size_t stride)
{
    cr_assert(lane_ready(&lane, chunks, stride, WANT_ANY));
    uintptr_t at = lane_bump(&lane, stride);
    atomic_store(header_at(at), header_making(stride));
    return at;
}

static bool drop(uintptr_t at, size_t stride)
{
    struct mchunk *chunk = mchunks_find(chunks, at);
    atomic_store(header_at(at), header_dead(stride, readers_epoch(&fixture.readers)));
    return mchunks_killed(chunks, chunk, stride);
}

Test(lane, a_range_is_bumped_through_a_chunk)
{
    uintptr_t first = take(64);
    struct mchunk *chunk = lane.chunk;
    cr_assert_eq(first, chunk->span.addr + MCHUNK_FIRST);
    cr_assert_eq(take(48), first + 64);
    cr_assert_eq(lane_garbage(&lane), 0);
    cr_assert_eq(atomic_load(&chunk->live), MCHUNK_BYTES - 16);
    drop(first, 64);
    cr_assert_eq(lane_garbage(&lane), 64);
    cr_assert_eq(lane_detach(&lane), chunk);
    cr_assert_eq(atomic_load(&chunk->live), 48);
    cr_assert_eq(chunk->top, MCHUNK_FIRST + 112);
    mchunks_give(chunks, chunk);
    /* It has room, so it is the next one again, above what is there. */
    cr_assert_eq(take(32), first + 112);
    cr_assert_eq(chunks->count, 1);
}

Test(lane, holes_of_a_sparse_chunk_are_used_before_fresh_memory)
{
    enum { COUNT = 4000, STRIDE = 512 };
    static uintptr_t at[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        at[i] = take(STRIDE);
    }
    size_t count = chunks->count;
    for (size_t i = 0; i < COUNT; i++) {
        if (i % 4 != 0) {
            drop(at[i], STRIDE);
        }
    }
    /* The lane's own chunk is walked on with, then the sparse one comes. */
    for (size_t i = 0; i < COUNT / 2; i++) {
        take(STRIDE);
    }
    cr_assert_leq(chunks->count, count + 1);
}

Test(lane, dead_memory_waits_for_read_sections)
{
    enum { COUNT = 4000, STRIDE = 512 };
    static uintptr_t at[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        at[i] = take(STRIDE);
        memset((void *)(at[i] + 8), 0x5a, STRIDE - 8);
    }
    heap->kind->read_enter(heap);
    for (size_t i = 0; i < COUNT; i++) {
        if (i % 4 != 0) {
            drop(at[i], STRIDE);
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        memset((void *)(take(STRIDE) + 8), 1, STRIDE - 8);
    }
    for (size_t i = 0; i < COUNT; i++) {
        const unsigned char *block = (const unsigned char *)at[i] + 8;
        cr_assert(block[0] == 0x5a && memcmp(block, block + 1, STRIDE - 9) == 0);
    }
    heap->kind->read_leave(heap);
}

Test(lane, an_empty_chunk_is_given_back_but_for_one)
{
    enum { COUNT = 10 * 2048, STRIDE = 512 };
    static uintptr_t at[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        at[i] = take(STRIDE);
    }
    size_t purged = fixture.core.fake.purged_bytes;
    for (size_t i = 0; i < COUNT; i++) {
        if (drop(at[i], STRIDE)) {
            mchunks_settle(chunks, mchunks_keep(chunks));
        }
    }
    cr_assert_leq(chunks->count, 3);
    cr_assert_geq(fixture.core.fake.purged_bytes - purged, 7 * MIB);
}

Test(lane, the_limit_is_kept)
{
    chunks->limit = 3 * MIB;
    for (size_t i = 0; i < 3 * 2047; i++) {
        take(512);
    }
    cr_assert(!lane_refill(&lane, chunks, 512, WANT_ANY));
    cr_assert_eq(atomic_load(&chunks->held), 3 * MIB);
    cr_assert_eq(lane.chunk, NULL);
    chunks->limit = SIZE_MAX;
}

Test(lane, refusals_leave_the_lane_usable)
{
    for (size_t n = 1;; n++) {
        fake_os_refuse_nth(&fixture.core.fake, n);
        bool done = lane_refill(&lane, chunks, MCHUNK_BYTES - 16, WANT_ANY);
        bool fired = fake_os_fired(&fixture.core.fake);
        fake_os_refuse_nth(&fixture.core.fake, 0);
        mchunks_verify_locked(chunks);
        cr_assert(done || fired);
        cr_assert(lane_refill(&lane, chunks, 64, WANT_ANY));
        if (!fired) {
            break;
        }
        take(MCHUNK_BYTES - 16);
    }
}
