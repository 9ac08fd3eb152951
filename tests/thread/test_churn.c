/* Threads that come and go. */
#include <criterion/criterion.h>
#include <hmalloc/hmalloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "os/os.h"
#include "runtime/process.h"
#include "support/env.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static bool resident_counts(void)
{
    return !test_under("asan") && !test_under("tsan") && !test_under("valgrind");
}

static void *short_life(void *number)
{
    size_t n = (uintptr_t)number;
    void *blocks[20];
    for (size_t i = 0; i < 20; i++) {
        blocks[i] = hmalloc(16 + (n * 31 + i * 97) % 3000);
        memset(blocks[i], 1, 16);
    }
    hfree(hmalloc(100 * KIB));
    for (size_t i = 0; i < 20; i++) {
        hfree(blocks[i]);
    }
    return NULL;
}

static void one_after_another(void *(*life)(void *), size_t count)
{
    for (uintptr_t i = 0; i < count; i++) {
        pthread_t thread;
        void *left;
        cr_assert_eq(pthread_create(&thread, NULL, life, (void *)i), 0);
        pthread_join(thread, &left);
        hfree(left);
    }
}

Test(churn, ten_thousand_threads_one_after_another)
{
    one_after_another(short_life, 100);
    size_t made = process_core.registry.made_count;
    size_t before = os_resident();
    one_after_another(short_life, test_scale(10000));
    size_t after = os_resident();
    cr_assert_eq(process_core.registry.made_count, made, "thread heaps are used again");
    cr_assert(!resident_counts() || after < before + 512 * KIB, "%zu KiB more", (after - before) / 1024);
    hm_verify();
}

/* The block that is left keeps the thread's chunk until the next one takes over. */
static void *leave_one(void *number)
{
    void *block = hmalloc(5000);
    short_life(number);
    return block;
}

Test(churn, threads_that_leave_a_block)
{
    one_after_another(leave_one, 100);
    size_t before = os_resident();
    one_after_another(leave_one, test_scale(5000));
    size_t after = os_resident();
    cr_assert(!resident_counts() || after < before + 512 * KIB, "%zu KiB more", (after - before) / 1024);
    hm_verify();
}

/* Blocks of ended threads, freed long after, by one thread or several at once. */

#define LEAVERS 200
#define LEFT    50

static void *left_behind[LEAVERS][LEFT];

static void *leave_many(void *number)
{
    size_t n = (uintptr_t)number;
    for (size_t i = 0; i < LEFT; i++) {
        left_behind[n][i] = hmalloc(100 + i * 200);
        memset(left_behind[n][i], (int)n, 100);
        hfree(hmalloc(100 + i * 300));
    }
    return NULL;
}

static _Atomic size_t next_leaver;

static void *clear_up(void *unused)
{
    size_t n;
    while ((n = atomic_fetch_add(&next_leaver, 1)) < LEAVERS) {
        for (size_t i = 0; i < LEFT; i++) {
            if (((unsigned char *)left_behind[n][i])[99] != n) {
                abort();
            }
            hfree(left_behind[n][i]);
        }
    }
    return unused;
}

static void leave_all(void)
{
    pthread_t thread[LEAVERS];
    for (uintptr_t i = 0; i < LEAVERS; i++) {
        cr_assert_eq(pthread_create(&thread[i], NULL, leave_many, (void *)i), 0);
    }
    for (int i = 0; i < LEAVERS; i++) {
        pthread_join(thread[i], NULL);
    }
    hm_verify();
}

Test(churn, blocks_of_ended_threads_are_freed_by_several_others)
{
    for (int round = 0; round < 3; round++) {
        pthread_t thread[4];
        atomic_store(&next_leaver, 0);
        leave_all();
        for (int i = 0; i < 4; i++) {
            cr_assert_eq(pthread_create(&thread[i], NULL, clear_up, NULL), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(thread[i], NULL);
        }
        hm_verify();
    }
    hmalloc_trim(0);
    struct pageheap_stats stats;
    pageheap_stats_get(&process_core.pages, &stats);
    cr_assert_leq(stats.live, 256 * KIB, "chunks of ended threads don't stay");
}

Test(churn, memory_of_ended_threads_serves_others)
{
    leave_all();
    for (int n = 0; n < LEAVERS; n++) {
        for (int i = 0; i < LEFT; i += 2) {
            hfree(left_behind[n][i]);
        }
    }
    struct pageheap_stats stats;
    pageheap_stats_get(&process_core.pages, &stats);
    size_t live = stats.live;
    for (int i = 0; i < 2000; i++) {
        hmalloc(500);
    }
    pageheap_stats_get(&process_core.pages, &stats);
    cr_assert_leq(stats.live, live, "what is free between their blocks is used first");
    hm_verify();
}

/* Ending and adopting at once. */
static void *nested_life(void *depth)
{
    void *blocks[30];
    for (size_t i = 0; i < 30; i++) {
        blocks[i] = hmalloc((size_t)64 << i % 8);
    }
    if ((uintptr_t)depth > 0) {
        pthread_t thread[2];
        for (int i = 0; i < 2; i++) {
            if (pthread_create(&thread[i], NULL, nested_life, (void *)((uintptr_t)depth - 1)) != 0) {
                abort();
            }
        }
        for (int i = 0; i < 2; i++) {
            void *left;
            pthread_join(thread[i], &left);
            hfree(left);
        }
    }
    for (size_t i = 1; i < 30; i++) {
        hfree(blocks[i]);
    }
    return blocks[0];
}

Test(churn, threads_of_threads)
{
    for (size_t i = 0; i < test_scale(40); i++) {
        hfree(nested_life((void *)5));
        hm_verify();
    }
}
