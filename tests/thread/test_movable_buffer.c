/* One heap in a buffer under threads that pin, read, resize and free blocks while others make room and compact. Each shared
 * block begins with words that say which one it is: whoever reads or pins it must see them whole. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "movable/buffer.h"
#include "support/env.h"

#define SHARED 8
#define WORDS  8u
#define BYTES  (64u << 10)
#define NUMBER 7

static _Alignas(64) char memory[BYTES];
static struct hm_heap *heap;
static hm_handle shared[SHARED];
static _Atomic bool stop;
static _Atomic size_t pins, reads, resizes, requests, moves;

static uint32_t draw(uint64_t *random, uint32_t n)
{
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*random >> 33) % n;
}

static void check(const uint64_t *word, unsigned i)
{
    for (unsigned k = 0; k < WORDS; k++) {
        cr_assert_eq(word[k], i * 1000 + k, "block %u, word %u: %zu", i, k, (size_t)word[k]);
    }
}

static void *run_pinner(void *seed)
{
    uint64_t random = (uintptr_t)seed;
    while (!atomic_load(&stop)) {
        unsigned i = draw(&random, SHARED);
        struct mentry *entry = heap_entry(heap, shared[i]);
        cr_assert_eq(entry_pin(entry, shared[i]), ENTRY_OK);
        uint64_t *word = (uint64_t *)entry_address(entry);
        check(word, i);
        check(word, i);
        cr_assert_eq((uint64_t *)entry_address(entry), word);
        cr_assert_eq(entry_unpin(entry, shared[i]), ENTRY_OK);
        atomic_fetch_add(&pins, 1);
    }
    return NULL;
}

static void *run_reader(void *seed)
{
    uint64_t random = (uintptr_t)seed;
    while (!atomic_load(&stop)) {
        heap->kind->read_enter(heap);
        for (unsigned n = draw(&random, 5); n > 0; n--) {
            unsigned i = draw(&random, SHARED);
            const uint64_t *word = hm_deref(heap, shared[i]);
            check(word, i);
            atomic_fetch_add(&reads, 1);
        }
        heap->kind->read_leave(heap);
        if (draw(&random, 4) == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void *run_resizer(void *seed)
{
    uint64_t random = (uintptr_t)seed;
    while (!atomic_load(&stop)) {
        unsigned i = draw(&random, SHARED);
        enum movable_result result =
            heap->kind->resize(heap, shared[i], WORDS * sizeof(uint64_t) + draw(&random, 6000));
        cr_assert(result == MOVABLE_OK || result == MOVABLE_BUSY || result == MOVABLE_NO_MEMORY);
        atomic_fetch_add(&resizes, result == MOVABLE_OK);
    }
    return NULL;
}

static void *run_requester(void *seed)
{
    uint64_t random = (uintptr_t)seed;
    hm_handle own[10] = {0};
    char *slot = NULL;
    bool held = false;
    while (!atomic_load(&stop)) {
        unsigned i = draw(&random, 10);
        hm_handle handle;
        if (own[i] != 0) {
            cr_assert_eq(heap->kind->free(heap, own[i]), MOVABLE_OK);
            own[i] = 0;
        } else if (heap->kind->alloc(heap, draw(&random, 5000), draw(&random, 2) == 0, &handle) ==
                   MOVABLE_OK) {
            own[i] = handle;
            atomic_fetch_add(&requests, 1);
        }
        if (!held) {
            held = heap->kind->slot_alloc(heap, &slot, draw(&random, 500)) == MOVABLE_OK;
        } else {
            cr_assert_eq(heap->kind->slot_find(heap, &slot, &handle), MOVABLE_OK);
            cr_assert_eq(heap->kind->free(heap, handle), MOVABLE_OK);
            held = false;
        }
    }
    return NULL;
}

static void *run_compactor(void *seed)
{
    uint64_t random = (uintptr_t)seed;
    while (!atomic_load(&stop)) {
        struct hm_budget budget = {draw(&random, 10000), 0};
        atomic_fetch_add(&moves, heap->kind->compact(heap, budget, true).moved_blocks);
        heap->kind->verify(heap);
    }
    return NULL;
}

/* The machine may be busy with something else for long. */
static bool all_came(void)
{
    return atomic_load(&pins) > 0 && atomic_load(&reads) > 0 && atomic_load(&resizes) > 0 &&
           atomic_load(&requests) > 0 && atomic_load(&moves) > 0;
}

Test(movable_buffer, threads_see_whole_blocks)
{
    static void *(*const run[])(void *) = {run_pinner,    run_reader,    run_resizer,
                                           run_requester, run_requester, run_compactor};
    pthread_t thread[6];
    heap = buffer_create(memory, sizeof(memory), NUMBER, NULL);
    for (unsigned i = 0; i < SHARED; i++) {
        cr_assert_eq(heap->kind->alloc(heap, WORDS * sizeof(uint64_t), false, &shared[i]), MOVABLE_OK);
        uint64_t *word = hm_deref(heap, shared[i]);
        for (unsigned k = 0; k < WORDS; k++) {
            word[k] = i * 1000 + k;
        }
    }
    for (uintptr_t i = 0; i < 6; i++) {
        cr_assert_eq(pthread_create(&thread[i], NULL, run[i], (void *)(test_seed(i) + 1)), 0);
    }
    for (size_t ms = 0; ms < test_scale(2000) || !all_came(); ms += 10) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 6; i++) {
        pthread_join(thread[i], NULL);
    }
    heap->kind->verify(heap);
}
