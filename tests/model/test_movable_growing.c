/* Random traces of handle and slot verbs, compaction steps between them, against a reference: contents are looked at after every move,
 * and all verifiers run now and then. */
#include "support/growing_fixture.h"

enum { BLOCKS = 600, SLOTS = 200 };

struct reference {
    hm_handle handle; /* 0: none */
    void **slot;      /* NULL: named by handle */
    size_t size;
    uint64_t number;
    unsigned pins;
};

static struct growing_fixture fixture;
static struct hm_heap *heap;
static struct reference blocks[BLOCKS];
static void *slots[SLOTS];
static uint64_t state;
static uint64_t numbers;
static bool may_fail; /* a call of the OS is refused */

static size_t below(size_t n)
{
    return (size_t)(g_random(&state) % n);
}

static size_t some_size(void)
{
    size_t kind = below(100);
    return kind < 60 ? below(300) : kind < 90 ? below(5000) : kind < 98 ? below(70000) : below(400000);
}

static void *contents(const struct reference *block)
{
    return block->slot != NULL ? *block->slot : hm_deref(heap, block->handle);
}

static void look(const struct reference *block)
{
    if (block->handle != 0) {
        cr_assert(g_filled(contents(block), block->size, block->number));
        cr_assert_eq(g_size(heap, block->handle), block->size);
    }
}

static void look_at_all(void)
{
    size_t live = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        look(&blocks[i]);
        live += blocks[i].handle != 0;
        bytes += blocks[i].handle != 0 ? blocks[i].size : 0;
    }
    struct hm_movable_stats stats = g_stats(heap);
    cr_assert_eq(stats.live_blocks, live);
    cr_assert_eq(stats.live_bytes, bytes);
    heap->kind->verify(heap);
    pageheap_verify(&fixture.core.core->pages);
}

static void make(struct reference *block)
{
    size_t size = some_size();
    void **slot = below(3) == 0 ? (void **)&slots[below(SLOTS)] : NULL;
    *block = (struct reference){.size = size, .number = ++numbers};
    if (slot != NULL && *slot == NULL) {
        if (heap->kind->slot_alloc(heap, slot, size) != MOVABLE_OK) {
            cr_assert(may_fail && *slot == NULL);
            return;
        }
        cr_assert_eq(heap->kind->slot_find(heap, slot, &block->handle), MOVABLE_OK);
        cr_assert_eq(heap->kind->slot_of(heap, *slot), slot);
        block->slot = slot;
    } else {
        block->handle = g_alloc(heap, size);
    }
    if (block->handle == 0) {
        cr_assert(may_fail);
        return;
    }
    g_fill(contents(block), size, block->number);
}

static void drop(struct reference *block)
{
    hm_handle handle = block->handle;
    enum movable_result result = g_free(heap, handle);
    if (block->pins > 0) {
        cr_assert_eq(result, MOVABLE_BUSY);
        return;
    }
    cr_assert_eq(result, MOVABLE_OK);
    cr_assert(block->slot == NULL || *block->slot == NULL);
    cr_assert_eq(g_free(heap, handle), MOVABLE_STALE);
    block->handle = 0;
}

static void resize(struct reference *block)
{
    size_t size = some_size();
    enum movable_result result = heap->kind->resize(heap, block->handle, size);
    if (block->pins > 0) {
        cr_assert_eq(result, MOVABLE_BUSY);
        return;
    }
    if (result == MOVABLE_NO_MEMORY && may_fail) {
        look(block);
        return;
    }
    cr_assert_eq(result, MOVABLE_OK);
    cr_assert(g_filled(contents(block), size < block->size ? size : block->size, block->number));
    block->size = size;
    block->number = ++numbers;
    g_fill(contents(block), size, block->number);
}

static void pin(struct reference *block)
{
    if (block->pins > 0 && below(2) == 0) {
        g_unpin(heap, block->handle);
        block->pins--;
    } else {
        cr_assert_eq(g_pin(heap, block->handle), contents(block));
        block->pins++;
    }
}

static void hand_over(struct reference *block)
{
    void **to = &slots[below(SLOTS)];
    if (block->slot == NULL) {
        return;
    }
    bool vacant = *to == NULL;
    void *at = *block->slot;
    enum movable_result result = heap->kind->slot_move(heap, block->handle, to);
    cr_assert_eq(result, vacant ? MOVABLE_OK : MOVABLE_INVALID);
    if (vacant) {
        cr_assert(*block->slot == NULL && *to == at);
        block->slot = to;
    }
}

static void unpin_all(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        while (blocks[i].handle != 0 && blocks[i].pins > 0) {
            g_unpin(heap, blocks[i].handle);
            blocks[i].pins--;
        }
    }
}

static void compact(void)
{
    struct hm_budget budget = {.bytes = below(2) == 0 ? 0 : 1 + below(100000)};
    heap->kind->compact(heap, budget, below(4) != 0);
}

static void reset(void)
{
    unsigned pins = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        pins += blocks[i].handle != 0 ? blocks[i].pins : 0;
    }
    cr_assert_eq(heap->kind->reset(heap), pins > 0 ? MOVABLE_BUSY : MOVABLE_OK);
    for (size_t i = 0; pins == 0 && i < BLOCKS; i++) {
        cr_assert(blocks[i].handle == 0 || heap->kind->free(heap, blocks[i].handle) == MOVABLE_STALE);
        cr_assert(blocks[i].slot == NULL || *blocks[i].slot == NULL || blocks[i].handle == 0);
        blocks[i].handle = 0;
    }
}

static void act(void)
{
    struct reference *block = &blocks[below(BLOCKS)];
    size_t what = below(1000);
    if (block->handle == 0) {
        make(block);
    } else if (what < 450) {
        drop(block);
    } else if (what < 700) {
        resize(block);
    } else if (what < 800) {
        pin(block);
    } else if (what < 900) {
        hand_over(block);
    } else {
        look(block);
    }
}

static void run(uint64_t seed, const struct hm_movable_options *options, int steps)
{
    growing_fixture_init(&fixture, 1);
    heap = growing_fixture_heap(&fixture, options);
    memset(blocks, 0, sizeof blocks);
    memset(slots, 0, sizeof slots);
    state = seed * 0x9e3779b97f4a7c15u | 1;
    for (int i = 0; i < steps; i++) {
        act();
        if (below(50) == 0) {
            compact();
        }
        if (below(200) == 0) {
            look_at_all();
        }
        if (below(500) == 0) {
            unpin_all();
        }
        if (below(3000) == 0) {
            reset();
        }
    }
    unpin_all();
    cr_assert_eq(heap->kind->slot_check(heap), 0);
    g_compact(heap);
    look_at_all();
    heap->kind->destroy(heap);
    for (size_t i = 0; i < SLOTS; i++) {
        cr_assert_null(slots[i]);
    }
    core_verify(fixture.core.core, NULL);
    growing_fixture_drop(&fixture);
}

/* False: there was no n-th call. */
static bool run_refused(size_t n, const struct hm_movable_options *options, int steps)
{
    growing_fixture_init(&fixture, 1);
    state = 0x9e3779b97f4a7c15u;
    memset(blocks, 0, sizeof blocks);
    memset(slots, 0, sizeof slots);
    fake_os_refuse_nth(&fixture.core.fake, n);
    heap = growing_create(&fixture.env, 7, options);
    cr_assert(heap != NULL || fake_os_fired(&fixture.core.fake));
    heap = heap != NULL ? heap : growing_create(&fixture.env, 7, options);
    may_fail = true;
    for (int i = 0; i < steps; i++) {
        act();
        if (i % 64 == 63) {
            compact();
        }
    }
    unpin_all();
    g_compact(heap);
    may_fail = false;
    bool fired = fake_os_fired(&fixture.core.fake);
    fake_os_refuse_nth(&fixture.core.fake, 0);
    look_at_all();
    heap->kind->destroy(heap);
    core_verify(fixture.core.core, NULL);
    growing_fixture_drop(&fixture);
    return fired;
}

static int scaled(int steps)
{
    const char *scale = getenv("HM_TEST_SCALE");
    return scale != NULL ? steps * atoi(scale) / 100 : steps;
}

Test(growing, traces)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        run(seed, NULL, scaled(8000));
    }
}

Test(growing, traces_with_alignment_8)
{
    run(21, &(struct hm_movable_options){.alignment = 8}, scaled(8000));
}

Test(growing, traces_of_a_single_owner)
{
    run(22, &(struct hm_movable_options){.flags = HM_MOVABLE_SINGLE_OWNER}, scaled(8000));
}

Test(growing, traces_with_zero_on_free)
{
    run(23, &(struct hm_movable_options){.flags = HM_MOVABLE_ZERO_ON_FREE}, scaled(8000));
}

Test(growing, traces_under_a_limit)
{
    run(24, &(struct hm_movable_options){.max_bytes = 64 * MIB}, scaled(8000));
}

Test(growing, each_call_of_the_os_is_refused_once)
{
    static const struct hm_movable_options options = {.flags = HM_MOVABLE_ZERO_ON_FREE};
    size_t n = 1;
    while (run_refused(n, &options, 700)) {
        n += scaled(1000) >= 1000 ? 1 : 7;
    }
    cr_assert_gt(n, 20);
}

Test(growing, each_call_of_the_os_is_refused_once_without_rescue)
{
    static const struct hm_movable_options options = {.flags = HM_MOVABLE_NO_RESCUE, .max_bytes = 32 * MIB};
    size_t n = 1;
    while (run_refused(n, &options, 500)) {
        n += scaled(1000) >= 1000 ? 1 : 7;
    }
}
