/* Pinners, readers, freers, resizers and the compactor on one heap at once; contents are checked wherever somebody looks. */
#include <pthread.h>
#include <stdatomic.h>

#include "support/growing_fixture.h"

enum { CELLS = 2000, WORKERS = 3 };

/* Who changes what a cell holds has its lock; a reader only reads the handle. */
struct cell {
    pthread_mutex_t lock;
    _Atomic hm_handle handle;
    size_t size;
};

static struct growing_fixture fixture;
static struct hm_heap *heap;
static struct cell cells[CELLS];
static _Atomic bool stop;
static _Atomic size_t moved;

/* Every block begins with its own words: size, and a number that the rest follows. */
struct label {
    uint64_t size;
    uint64_t number;
};

static void fill(void *block, size_t size, uint64_t number)
{
    struct label label = {.size = size, .number = number};
    memcpy(block, &label, sizeof label);
    g_fill((char *)block + sizeof label, size - sizeof label, number);
}

static bool is_filled(const void *block)
{
    struct label label;
    memcpy(&label, block, sizeof label);
    return g_filled((const char *)block + sizeof label, label.size - sizeof label, label.number);
}

static size_t some_size(uint64_t *state)
{
    uint64_t kind = g_random(state) % 100;
    return sizeof(struct label) + g_random(state) % (kind < 90 ? 400 : kind < 99 ? 20000 : 150000);
}

static void replace(struct cell *cell, uint64_t *state)
{
    hm_handle old = atomic_load(&cell->handle);
    if (old != 0) {
        atomic_store(&cell->handle, 0);
        enum movable_result result;
        while ((result = g_free(heap, old)) == MOVABLE_BUSY) {
            sched_yield();
        }
        cr_assert_eq(result, MOVABLE_OK);
    }
    if (g_random(state) % 3 != 0) {
        size_t size = some_size(state);
        hm_handle handle = g_alloc(heap, size);
        cr_assert_neq(handle, 0);
        void *block = g_pin(heap, handle);
        fill(block, size, g_random(state));
        g_unpin(heap, handle);
        atomic_store(&cell->handle, handle);
        cell->size = size;
    }
}

static void rewrite(struct cell *cell, uint64_t *state)
{
    hm_handle handle = atomic_load(&cell->handle);
    if (handle == 0) {
        return;
    }
    /* Readers must not see it halfway: they are kept off by the handle. */
    atomic_store(&cell->handle, 0);
    size_t size = some_size(state);
    /* A section that began before may look the handle up when the block is shorter than its label says. */
    if (size < cell->size) {
        heap->kind->read_synchronize(heap);
    }
    enum movable_result result;
    while ((result = heap->kind->resize(heap, handle, size)) == MOVABLE_BUSY) {
        sched_yield();
    }
    cr_assert_eq(result, MOVABLE_OK);
    cr_assert_eq(g_size(heap, handle), size);
    heap->kind->read_synchronize(heap);
    void *block = g_pin(heap, handle);
    fill(block, size, g_random(state));
    g_unpin(heap, handle);
    cell->size = size;
    atomic_store(&cell->handle, handle);
}

static void *work(void *seed)
{
    uint64_t state = (uintptr_t)seed * 0x9e3779b97f4a7c15u | 1;
    while (!atomic_load(&stop)) {
        struct cell *cell = &cells[g_random(&state) % CELLS];
        if (pthread_mutex_trylock(&cell->lock) != 0) {
            continue;
        }
        uint64_t what = g_random(&state) % 8;
        hm_handle handle = atomic_load(&cell->handle);
        if (what < 5) {
            replace(cell, &state);
        } else if (what < 6) {
            rewrite(cell, &state);
        } else if (handle != 0) {
            const void *block = g_pin(heap, handle);
            cr_assert(is_filled(block));
            g_unpin(heap, handle);
            cr_assert_eq(g_size(heap, handle), cell->size);
        }
        pthread_mutex_unlock(&cell->lock);
    }
    return NULL;
}

/* Without any lock: what a section dereferences stays as it was until the section ends. */
static void *read_blocks(void *seed)
{
    uint64_t state = (uintptr_t)seed * 0x9e3779b97f4a7c15u | 1;
    while (!atomic_load(&stop)) {
        heap->kind->read_enter(heap);
        for (int i = 0; i < 20; i++) {
            hm_handle handle = atomic_load(&cells[g_random(&state) % CELLS].handle);
            if (i == 10) {
                sched_yield(); /* between the two looks, a block may be freed or resized */
            }
            const void *block = handle != 0 ? hm_deref(heap, handle) : NULL;
            cr_assert(block == NULL || is_filled(block));
        }
        heap->kind->read_leave(heap);
    }
    return NULL;
}

static void *compact(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct hm_compact_result result =
            heap->kind->compact(heap, (struct hm_budget){.bytes = 64 * KIB, .nanoseconds = 200000}, true);
        atomic_fetch_add(&moved, result.moved_blocks);
        if (result.done) {
            sched_yield();
        }
    }
    return NULL;
}

static void storm(const struct hm_movable_options *options, unsigned ms)
{
    pthread_t threads[WORKERS + 3];
    growing_fixture_init(&fixture, 2);
    heap = growing_fixture_heap(&fixture, options);
    atomic_store(&stop, false);
    atomic_store(&moved, 0);
    for (size_t i = 0; i < CELLS; i++) {
        pthread_mutex_init(&cells[i].lock, NULL);
        atomic_store(&cells[i].handle, 0);
    }
    for (uintptr_t i = 0; i < WORKERS + 3; i++) {
        pthread_create(&threads[i], NULL,
                       i < WORKERS       ? work
                       : i < WORKERS + 2 ? read_blocks
                                         : compact,
                       (void *)(i + 1));
    }
    for (unsigned i = 0; i < 10 || atomic_load(&moved) == 0; i++) {
        struct timespec pause = {.tv_nsec = (long)ms * 100000};
        nanosleep(&pause, NULL);
        heap->kind->verify(heap);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < WORKERS + 3; i++) {
        pthread_join(threads[i], NULL);
    }
    heap->kind->verify(heap);
    g_compact(heap);
    heap->kind->verify(heap);
    for (size_t i = 0; i < CELLS; i++) {
        hm_handle handle = atomic_load(&cells[i].handle);
        cr_assert(handle == 0 || is_filled(hm_deref(heap, handle)));
    }
    heap->kind->destroy(heap);
    core_verify(fixture.core.core, NULL);
    growing_fixture_drop(&fixture);
}

Test(movable_growing, everybody_at_once)
{
    storm(NULL, 2000);
}

Test(movable_growing, everybody_at_once_under_a_limit)
{
    storm(&(struct hm_movable_options){.max_bytes = 24 * MIB}, 1000);
}
