/* Short blocks in small chunks, changed by a few threads while the compactor never rests: what each does to headers and entries must look
 * right to the other at every moment. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "support/growing_fixture.h"

enum { WORKERS = 2, CELLS = 600, BYTES_MAX = 700 };

struct worker {
    pthread_t thread;
    hm_handle handle[CELLS];
    uint16_t size[CELLS];
    uint64_t state;
    bool resizes;
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
    if (worker->resizes && g_random(&worker->state) % 2 == 0) {
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

static void compact_for(unsigned ms)
{
    uint64_t end = os_now_ns() + (uint64_t)ms * 1000000;
    size_t moved = 0;
    while (os_now_ns() < end || moved == 0) {
        moved += heap->kind->compact(heap, (struct hm_budget){.bytes = 4 * KIB}, true).moved_blocks;
    }
}

static void race(const struct hm_movable_options *options, bool resizes, unsigned ms)
{
    growing_fixture_init(&fixture, 2);
    heap = growing_fixture_heap(&fixture, options);
    atomic_store(&stop, false);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.state = i + 1, .resizes = resizes};
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    compact_for(ms);
    atomic_store(&stop, true);
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    heap->kind->verify(heap);
    heap->kind->destroy(heap);
    core_verify(fixture.core.core, NULL);
    growing_fixture_drop(&fixture);
}

/* Chunks of 64 KiB: they change hands often. */
static const struct hm_movable_options small_chunks = {.max_bytes = 2 * MIB};

Test(movable_race, frees_against_the_compactor)
{
    race(&small_chunks, false, 800);
}

Test(movable_race, resizes_against_the_compactor)
{
    race(&small_chunks, true, 800);
}

Test(movable_race, blocks_aligned_by_8)
{
    race(&(struct hm_movable_options){.max_bytes = 2 * MIB, .alignment = 8}, true, 400);
}
