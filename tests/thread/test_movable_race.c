/* Short blocks in small chunks, changed by a few threads while the compactor never rests: what each does to headers and entries must look
 * right to the other at every moment. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "support/growing_fixture.h"

enum { WORKERS = 4, CELLS = 600, BYTES_MAX = 700, SIZE = 40, MANY = 6000, MS = 400 };

/* What the workers do. */
struct way {
    struct hm_movable_options options;
    bool resizes;
    bool hastily;
    bool reads; /* in read sections, instead of under pins */
};

struct worker {
    pthread_t thread;
    hm_handle handle[MANY];
    uint16_t size[CELLS];
    uint64_t state;
    const struct way *way;
};

static struct growing_fixture fixture;
static struct hm_heap *heap;
static struct worker workers[WORKERS];
static _Atomic bool stop;

static size_t some_size(uint64_t *state)
{
    return 8 + g_random(state) % (g_random(state) % 4 == 0 ? BYTES_MAX - 8 : 56);
}

static void write_block(struct worker *worker, size_t cell, size_t size)
{
    void *block = g_pin(heap, worker->handle[cell]);
    g_fill(block, size, cell);
    g_unpin(heap, worker->handle[cell]);
    worker->size[cell] = (uint16_t)size;
}

static void check_block(const struct worker *worker, size_t cell, size_t size)
{
    if (worker->way->reads) {
        heap->kind->read_enter(heap);
        cr_assert(g_filled(hm_deref(heap, worker->handle[cell]), size, cell), "a block has other contents");
        heap->kind->read_leave(heap);
        return;
    }
    const void *block = g_pin(heap, worker->handle[cell]);
    cr_assert(g_filled(block, size, cell), "a block has other contents");
    g_unpin(heap, worker->handle[cell]);
}

static void change(struct worker *worker, size_t cell)
{
    hm_handle *handle = &worker->handle[cell];
    size_t size = some_size(&worker->state);
    if (*handle == 0) {
        *handle = g_alloc(heap, size);
        if (*handle != 0) {
            write_block(worker, cell, size);
        }
        return;
    }
    size_t old = worker->size[cell];
    check_block(worker, cell, old);
    if (worker->way->resizes && g_random(&worker->state) % 2 == 0) {
        if (heap->kind->resize(heap, *handle, size) == MOVABLE_OK) {
            check_block(worker, cell, old < size ? old : size);
            write_block(worker, cell, size);
        }
        return;
    }
    cr_assert_eq(g_free(heap, *handle), MOVABLE_OK);
    *handle = 0;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    while (!atomic_load(&stop)) {
        change(worker, g_random(&worker->state) % CELLS);
    }
    return NULL;
}

/* Nothing but frees, of blocks in chunks that are worth being emptied by then: one that is interrupted in the midst of it finds its
 * block elsewhere. */
static void *work_hastily(void *argument)
{
    struct worker *worker = argument;
    while (!atomic_load(&stop)) {
        for (size_t i = 0; i < MANY; i++) {
            worker->handle[i] = g_alloc(heap, SIZE);
        }
        for (size_t i = 0; i < MANY; i++) {
            size_t cell = i * 4 % MANY + i * 4 / MANY;
            cr_assert(g_free(heap, worker->handle[cell]) == MOVABLE_OK);
        }
    }
    return NULL;
}

static void compact_for(uint64_t ms)
{
    uint64_t end = os_now_ns() + ms * 1000000;
    size_t moved = 0;
    while (os_now_ns() < end || moved == 0) {
        moved += heap->kind->compact(heap, (struct hm_budget){.bytes = 32 * KIB}, true).moved_blocks;
        cr_assert_leq(g_stats(heap).live_blocks, WORKERS * MANY);
    }
}

/* Small ones change hands often. */
static void cut_chunks(struct growing *growing)
{
    growing->chunks.chunk_bytes = MCHUNK_BYTES_MIN;
    growing->small_bytes = BYTES_MAX;
}

static void race(const struct way *way)
{
    growing_fixture_init(&fixture, 2);
    heap = growing_fixture_heap(&fixture, &way->options);
    cut_chunks(growing_of(heap));
    atomic_store(&stop, false);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.state = i + 1, .way = way};
        cr_assert_eq(
            pthread_create(&workers[i].thread, NULL, way->hastily ? work_hastily : work, &workers[i]), 0);
    }
    compact_for(way->hastily ? 3 * MS : MS);
    atomic_store(&stop, true);
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    growing_fixture_end(&fixture, heap);
}

Test(movable_race, frees_against_the_compactor)
{
    race(&(struct way){.reads = false});
}

Test(movable_race, frees_near_the_limit_against_the_compactor)
{
    race(&(struct way){.options = {.max_bytes = MIB / 2, .alignment = 8}});
}

Test(movable_race, frees_and_reads_against_the_compactor)
{
    race(&(struct way){.reads = true});
}

Test(movable_race, resizes_against_the_compactor)
{
    race(&(struct way){.options = {.alignment = 8}, .resizes = true});
}

Test(movable_race, resizes_and_reads_against_the_compactor)
{
    race(&(struct way){.resizes = true, .reads = true});
}

Test(movable_race, hasty_frees_against_the_compactor)
{
    race(&(struct way){.hastily = true});
}
