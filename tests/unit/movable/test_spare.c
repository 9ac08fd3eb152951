#include "movable/spare.h"
#include "support/growing_fixture.h"

static struct growing_fixture fixture;
static struct hm_heap *heap;

static void setup(void)
{
    growing_fixture_init(&fixture, 1);
    heap = growing_fixture_heap(&fixture, NULL);
}

static void teardown(void)
{
    growing_fixture_end(&fixture, heap);
}

TestSuite(spare, .init = setup, .fini = teardown);

/* The lane's range is used up but for less than `left` bytes, by blocks of 1,000 bytes. */
static void use_up(size_t left, hm_handle *handles, size_t *count)
{
    struct lane *lane = block_lane(growing_of(heap));
    *count = 0;
    do {
        handles[(*count)++] = g_alloc(heap, 1000);
    } while (lane->stop - lane->at >= left);
}

static unsigned count_spares(const struct lane *lane)
{
    return (unsigned)__builtin_popcountll(~lane->spares.vacant);
}

Test(spare, a_freed_place_is_used_again_when_no_section_may_look_at_it)
{
    static hm_handle handles[2000];
    size_t count;
    use_up(1008, handles, &count);
    uintptr_t place = (uintptr_t)hm_deref(heap, handles[10]);
    heap->kind->read_enter(heap);
    cr_assert_eq(g_free(heap, handles[10]), MOVABLE_OK);
    hm_handle other = g_alloc(heap, 1000);
    cr_assert_neq((uintptr_t)hm_deref(heap, other), place);
    heap->kind->read_leave(heap);
    bool found = false;
    for (int i = 0; i < 200 && !found; i++) {
        found = (uintptr_t)hm_deref(heap, g_alloc(heap, 1000)) == place;
    }
    cr_assert(found);
    heap->kind->verify(heap);
}

Test(spare, places_are_used_before_the_range_is)
{
    enum { BLOCKS = 100, FREED = 12 };
    hm_handle handles[BLOCKS];
    uintptr_t place[FREED];
    for (int i = 0; i < BLOCKS; i++) {
        handles[i] = g_alloc(heap, 1000);
    }
    for (int i = 0; i < FREED; i++) {
        place[i] = (uintptr_t)hm_deref(heap, handles[i * 2]);
        cr_assert_eq(g_free(heap, handles[i * 2]), MOVABLE_OK);
    }
    struct lane *lane = block_lane(growing_of(heap));
    uintptr_t at = lane->at;
    int used = 0;
    for (int i = 0; i < BLOCKS; i++) {
        uintptr_t address = (uintptr_t)hm_deref(heap, g_alloc(heap, 1000));
        for (int j = 0; j < FREED; j++) {
            used += address == place[j];
        }
    }
    cr_assert_eq(used, FREED);
    cr_assert_eq(lane->at - at, (size_t)(BLOCKS - FREED) * 1008);
    heap->kind->verify(heap);
}

Test(spare, a_longer_place_is_split)
{
    static hm_handle handles[2000];
    size_t count;
    use_up(1008, handles, &count);
    uintptr_t place = (uintptr_t)hm_deref(heap, handles[10]);
    cr_assert_eq(g_free(heap, handles[10]), MOVABLE_OK);
    hm_handle first = g_alloc(heap, 200);
    hm_handle second = g_alloc(heap, 780);
    cr_assert_eq((uintptr_t)hm_deref(heap, first), place);
    cr_assert_eq((uintptr_t)hm_deref(heap, second), place + 208);
    heap->kind->verify(heap);
}

Test(spare, a_sparse_chunk_becomes_empty)
{
    static hm_handle handles[8][2000];
    size_t count[8];
    struct growing *growing = growing_of(heap);
    for (int i = 0; i < 8; i++) {
        use_up(1008, handles[i], &count[i]);
    }
    for (int i = 0; i < 8; i++) {
        for (size_t j = 0; j < count[i]; j++) {
            cr_assert_eq(g_free(heap, handles[i][j]), MOVABLE_OK);
        }
    }
    cr_assert_eq(count_spares(&growing->lane[0]), 0);
    cr_assert_leq(growing->chunks.count, 2);
}

Test(spare, compaction_takes_all_places)
{
    static hm_handle handles[2000];
    size_t count;
    use_up(1008, handles, &count);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(g_free(heap, handles[i]), MOVABLE_OK);
    }
    cr_assert_eq(count_spares(block_lane(growing_of(heap))), 5);
    g_compact(heap);
    cr_assert_eq(count_spares(block_lane(growing_of(heap))), 0);
}

Test(spare, a_heap_near_its_limit_keeps_none)
{
    struct hm_movable_options options = {.max_bytes = 4 * MIB};
    struct hm_heap *other = growing_create(&fixture.env, 8, &options);
    hm_handle handle = g_alloc(other, 1000);
    cr_assert_eq(g_free(other, handle), MOVABLE_OK);
    cr_assert_eq(count_spares(block_lane(growing_of(other))), 0);
    other->kind->destroy(other);
}

Test(spare, places_of_a_bin_do_for_requests_of_lower_ones)
{
    unsigned last = 0;
    for (size_t length = 32; length <= SPARE_BYTES_MAX; length += 8) {
        unsigned bin = spare_bin(length);
        cr_assert(bin < LANE_BINS && (bin == last || last == 0 || bin == last + 1));
        last = bin;
    }
    cr_assert_eq(last, LANE_BINS - 1);
}

/* Of a new block; another one, which stays, lies behind it. */
static uintptr_t place_of_size(size_t size, hm_handle *handle)
{
    *handle = g_alloc(heap, size);
    g_alloc(heap, 40);
    return (uintptr_t)hm_deref(heap, *handle);
}

Test(spare, the_shortest_place_that_does_is_taken)
{
    hm_handle handle[3];
    uintptr_t large = place_of_size(3000, &handle[0]);
    uintptr_t middle = place_of_size(1000, &handle[1]);
    uintptr_t small = place_of_size(200, &handle[2]);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(g_free(heap, handle[i]), MOVABLE_OK);
    }
    cr_assert_eq((uintptr_t)hm_deref(heap, g_alloc(heap, 900)), middle);
    cr_assert_eq((uintptr_t)hm_deref(heap, g_alloc(heap, 200)), small);
    cr_assert_eq((uintptr_t)hm_deref(heap, g_alloc(heap, 200)), large);
    heap->kind->verify(heap);
}

Test(spare, where_none_is_vacant_another_one_is_dead)
{
    enum { BLOCKS = 300 };
    static hm_handle handles[BLOCKS];
    struct growing *growing = growing_of(heap);
    struct lane *lane = block_lane(growing);
    for (int i = 0; i < BLOCKS; i++) {
        handles[i] = g_alloc(heap, 100 + (size_t)i % 7 * 300);
        g_alloc(heap, 40);
    }
    uint32_t live = atomic_load(&lane->chunk->live);
    size_t dead = 0;
    for (int i = 0; i < BLOCKS; i++) {
        size_t stride = mchunk_stride(100 + (size_t)i % 7 * 300, growing->alignment);
        dead += i < BLOCKS - (int)LANE_SPARES ? stride : 0;
        cr_assert_eq(g_free(heap, handles[i]), MOVABLE_OK);
        heap->kind->verify(heap);
    }
    cr_assert_eq(count_spares(lane), LANE_SPARES);
    cr_assert_eq(atomic_load(&lane->chunk->live), live - dead);
}

Test(spare, places_that_sections_may_look_at_wait)
{
    enum { FREED = 20 };
    hm_handle handles[FREED];
    struct lane *lane = block_lane(growing_of(heap));
    for (int i = 0; i < FREED; i++) {
        place_of_size(500, &handles[i]);
    }
    heap->kind->read_enter(heap);
    for (int i = 0; i < FREED; i++) {
        cr_assert_eq(g_free(heap, handles[i]), MOVABLE_OK);
    }
    for (int i = 0; i < 100; i++) {
        g_alloc(heap, 500);
    }
    cr_assert_eq(__builtin_popcountll(lane->spares.waiting), FREED);
    heap->kind->verify(heap);
    heap->kind->read_leave(heap);
    for (int i = 0; i < 100; i++) {
        g_alloc(heap, 500);
    }
    cr_assert_eq(lane->spares.waiting, 0);
    cr_assert_eq(count_spares(lane), 0);
    heap->kind->verify(heap);
}
