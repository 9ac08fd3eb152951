/* Threads that move each other's blocks out of sparse chunks, while the owners allocate and free. */
#include <criterion/criterion.h>
#include <hmalloc/defrag.h>
#include <hmalloc/hmalloc.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "support/env.h"

#define THREADS 4
#define PLACES  20000
#define MOST    2000

/* Each has a lock, for the test's own sake: nobody may free a block that another one asks about. */
static struct place {
    pthread_mutex_t mutex;
    unsigned char *block;
    size_t size;
    unsigned char fill;
} places[PLACES];

struct worker {
    pthread_t thread;
    uint64_t seed;
    size_t steps;
    size_t moved;
};

static size_t below(uint64_t *seed, size_t limit)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(*seed >> 33) % limit;
}

static void check(const struct place *place)
{
    if (place->block[0] != place->fill || memcmp(place->block, place->block + 1, place->size - 1) != 0) {
        abort();
    }
}

static void replace(struct place *place, uint64_t *seed, void *(*alloc)(size_t size))
{
    place->size = 1 + below(seed, MOST);
    place->fill = (unsigned char)below(seed, 256);
    place->block = memset(alloc(place->size), place->fill, place->size);
}

static void drop(struct place *place)
{
    check(place);
    hfree(place->block);
    place->block = NULL;
}

static bool move(struct place *place)
{
    if (!hm_defrag_hint(place->block)) {
        return false;
    }
    unsigned char *copy = hm_alloc_dense(place->size);
    memcpy(copy, place->block, place->size);
    hfree(place->block);
    place->block = copy;
    return true;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (size_t i = 0; i < worker->steps; i++) {
        struct place *place = &places[below(&worker->seed, PLACES)];
        size_t what = below(&worker->seed, 20);
        pthread_mutex_lock(&place->mutex);
        if (place->block == NULL && what < 6) {
            replace(place, &worker->seed, what == 0 ? hm_alloc_dense : hmalloc);
        } else if (place->block != NULL && what < 12) {
            drop(place);
        } else if (place->block != NULL) {
            worker->moved += move(place);
        }
        pthread_mutex_unlock(&place->mutex);
        if (i % 5000 == 0) {
            hmalloc_trim(0);
        }
    }
    return NULL;
}

Test(defrag, blocks_of_each_other)
{
    struct worker workers[THREADS];
    size_t moved = 0;
    for (size_t i = 0; i < PLACES; i++) {
        pthread_mutex_init(&places[i].mutex, NULL);
    }
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){.seed = test_seed(round * THREADS + i), .steps = test_scale(300000)};
            cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            pthread_join(workers[i].thread, NULL);
            moved += workers[i].moved;
        }
        hm_verify();
    }
    cr_assert_gt(moved, test_scale(1000));
    for (size_t i = 0; i < PLACES; i++) {
        if (places[i].block != NULL) {
            drop(&places[i]);
        }
    }
    hmalloc_trim(0);
    hm_verify();
}
