/* Storms of frees by other threads than the one that allocated. */
#include <criterion/criterion.h>
#include <hmalloc/hmalloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"
#include "support/env.h"

#define MIB         ((size_t)1 << 20)
#define THREADS     4
#define QUEUE_SLOTS 1024

/* Many producers, many consumers; a slot holds a block or NULL, and each index is used by one thread at a time. */
struct queue {
    _Atomic size_t head;
    _Atomic size_t tail;
    _Atomic(void *) slot[QUEUE_SLOTS];
};

static struct queue queues[THREADS];
static size_t rounds;

static void queue_push(struct queue *queue, void *block)
{
    _Atomic(void *) *slot = &queue->slot[atomic_fetch_add(&queue->head, 1) % QUEUE_SLOTS];
    void *none = NULL;
    while (!atomic_compare_exchange_weak(slot, &none, block)) {
        none = NULL;
        sched_yield();
    }
}

static void *queue_pop(struct queue *queue)
{
    _Atomic(void *) *slot = &queue->slot[atomic_fetch_add(&queue->tail, 1) % QUEUE_SLOTS];
    void *block;
    while ((block = atomic_exchange(slot, NULL)) == NULL) {
        sched_yield();
    }
    return block;
}

static uint64_t next_random(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *random >> 33;
}

/* The first bytes of a block say what it is, so that one that was handed out twice shows. */
struct label {
    void *self;
    size_t bytes;
};

static void *labelled(size_t bytes)
{
    struct label *label = hmalloc(bytes);
    label->self = label;
    label->bytes = bytes;
    return label;
}

static void free_labelled(void *block)
{
    struct label *label = block;
    if (label->self != label || hmalloc_usable_size(block) < label->bytes) {
        abort();
    }
    label->self = NULL;
    hfree(block);
}

static size_t size_choice; /* 0: of all sizes */

static size_t any_size(uint64_t *random)
{
    if (size_choice != 0) {
        return size_choice;
    }
    size_t pick = next_random(random) % 100;
    return 16 + next_random(random) % (pick < 80 ? 500 : pick < 98 ? 16000 : 400000);
}

static void *produce(void *queue)
{
    uint64_t random = (uintptr_t)queue;
    for (size_t i = 0; i < rounds; i++) {
        queue_push(queue, labelled(any_size(&random)));
    }
    return NULL;
}

static void *consume(void *queue)
{
    for (size_t i = 0; i < rounds; i++) {
        free_labelled(queue_pop(queue));
    }
    return NULL;
}

static void run(unsigned threads, void *(*function)(void *), void *(*other)(void *))
{
    pthread_t thread[2 * THREADS];
    for (unsigned i = 0; i < threads; i++) {
        cr_assert_eq(pthread_create(&thread[2 * i], NULL, function, &queues[i]), 0);
        cr_assert_eq(pthread_create(&thread[2 * i + 1], NULL, other, &queues[i]), 0);
    }
    for (unsigned i = 0; i < 2 * threads; i++) {
        pthread_join(thread[i], NULL);
    }
    hm_verify();
}

Test(storm, producer_and_consumer_of_each_size)
{
    static const size_t sizes[] = {16, 48, 300, 624, 1000, 4096, 16384, 65536};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_choice = sizes[i];
        rounds = test_scale(sizes[i] > 10000 ? 40000 : 400000);
        run(1, produce, consume);
    }
}

Test(storm, several_pairs_of_all_sizes)
{
    size_choice = 0;
    rounds = test_scale(300000);
    run(THREADS, produce, consume);
}

/* Everybody allocates, passes on to everybody, and frees what comes. */
static void *all_to_all(void *queue)
{
    uint64_t random = (uintptr_t)queue;
    struct queue *mine = queue;
    for (size_t i = 0; i < rounds; i++) {
        struct queue *to = &queues[next_random(&random) % THREADS];
        void *block = labelled(any_size(&random));
        void *none = NULL;
        if (!atomic_compare_exchange_strong(&to->slot[next_random(&random) % QUEUE_SLOTS], &none, block)) {
            free_labelled(block);
        }
        block = atomic_exchange(&mine->slot[next_random(&random) % QUEUE_SLOTS], NULL);
        if (block != NULL) {
            free_labelled(block);
        }
        if (i % 4096 == 0) {
            hm_verify();
        }
    }
    return NULL;
}

Test(storm, all_to_all)
{
    size_choice = 0;
    rounds = test_scale(1000000);
    run(THREADS / 2, all_to_all, all_to_all);
    for (int q = 0; q < THREADS; q++) {
        for (int s = 0; s < QUEUE_SLOTS; s++) {
            void *block = atomic_load(&queues[q].slot[s]);
            if (block != NULL) {
                free_labelled(block);
            }
        }
    }
    hm_verify();
}

/* The last blocks of a chunk are freed by several threads at once, while its owner allocates and frees there too. */
#define GROUP 24

static _Atomic(void *) group[THREADS][GROUP];
static _Atomic bool over;

static void *free_groups(void *queue)
{
    unsigned lane = (unsigned)((struct queue *)queue - queues);
    while (!atomic_load(&over)) {
        for (int i = 0; i < GROUP; i++) {
            void *block = atomic_exchange(&group[lane][i], NULL);
            if (block != NULL) {
                free_labelled(block);
            }
        }
    }
    return NULL;
}

Test(storm, the_last_blocks_of_chunks)
{
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&thread[i], NULL, free_groups, &queues[i]), 0);
    }
    for (size_t round = 0; round < test_scale(200000); round++) {
        size_t bytes = round % 2 == 0 ? 8000 : 16000;
        void *mine = labelled(bytes);
        for (int i = 0; i < GROUP; i++) {
            void *block = labelled(bytes);
            void *none = NULL;
            if (!atomic_compare_exchange_strong(&group[i % THREADS][i], &none, block)) {
                free_labelled(block);
            }
        }
        free_labelled(mine);
        if (round % 64 == 0) {
            hmalloc_trim(0);
        }
        if (round % 1024 == 0) {
            hm_verify();
        }
    }
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        for (int j = 0; j < GROUP; j++) {
            void *block = atomic_load(&group[i][j]);
            if (block != NULL) {
                free_labelled(block);
            }
        }
    }
    hm_verify();
}

/* A thread that only frees, while the one that allocated sleeps. */

#define CONSUMED_BYTES  300
#define CONSUMED_BLOCKS (256 * MIB / CONSUMED_BYTES)

static void **consumed;
static size_t consumed_count;

static void *free_consumed(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < consumed_count; i++) {
        hfree(consumed[i]);
    }
    struct timespec pause = {1, 200000000};
    nanosleep(&pause, NULL);
    hfree(hmalloc(10));
    return NULL;
}

Test(storm, a_thread_that_only_frees)
{
    pthread_t thread;
    size_t before = os_resident();
    consumed_count = test_scale(CONSUMED_BLOCKS);
    consumed = calloc(consumed_count, sizeof(*consumed));
    for (size_t i = 0; i < consumed_count; i++) {
        consumed[i] = hmalloc(CONSUMED_BYTES);
        memset(consumed[i], 1, CONSUMED_BYTES);
    }
    cr_assert_eq(pthread_create(&thread, NULL, free_consumed, NULL), 0);
    pthread_join(thread, NULL);
    free(consumed);
    size_t after = os_resident();
    cr_assert(test_under("asan") || test_under("tsan") || test_under("valgrind") || after < before + 8 * MIB,
              "%zu KiB more", (after - before) / 1024);
    hm_verify();
}
