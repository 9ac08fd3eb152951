#define _GNU_SOURCE 1

#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "hmalloc/hmalloc.h"
#include "runtime/process.h"
#include "support/child.h"
#include "support/env.h"

#define MANY_KEYS 64

static void *run(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    void *result;
    cr_assert_eq(pthread_create(&thread, NULL, function, argument), 0);
    cr_assert_eq(pthread_join(thread, &result), 0);
    return result;
}

static size_t live_heaps(void)
{
    lock_acquire(&process_core.registry.lock);
    size_t live = process_core.registry.live_count;
    lock_release(&process_core.registry.lock);
    return live;
}

static void *allocate(void *unused)
{
    (void)unused;
    hfree(hmalloc(50));
    return hmalloc(100);
}

Test(threads, an_ended_thread_leaves_no_live_heap)
{
    size_t before = live_heaps();
    void *block = run(allocate, NULL);
    cr_assert_eq(live_heaps(), before);
    hfree(block);
    hm_verify();
}

Test(threads, heaps_are_used_again)
{
    hfree(hmalloc(50));
    hfree(run(allocate, NULL));
    size_t made = process_core.registry.made_count;
    for (size_t i = test_scale(500); i > 0; i--) {
        hfree(run(allocate, NULL));
    }
    cr_assert_eq(process_core.registry.made_count, made);
    hm_verify();
}

static void *only_free(void *block)
{
    hfree(block);
    return process_current();
}

Test(threads, freeing_needs_no_heap)
{
    size_t before = live_heaps();
    cr_assert_null(run(only_free, hmalloc(100)));
    cr_assert_null(run(only_free, hmalloc(100000)));
    cr_assert_eq(live_heaps(), before + 1);
}

static pthread_key_t key;
/* Atomic, because ThreadSanitizer takes a thread for ended before its last destructors. */
static atomic_int rounds;
static atomic_int calls_a_round;

static void busy_destructor(void *value)
{
    (void)value;
    for (int i = 0; i < calls_a_round; i++) {
        void *block = hmalloc(3000);
        hfree(block);
    }
    if (++rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(key, &key);
    }
}

static void *end_busily(void *allocate_before)
{
    if (allocate_before != NULL) {
        hfree(hmalloc(10));
    }
    pthread_setspecific(key, &key);
    return NULL;
}

/* Heaps still live after a thread whose destructors allocate so often in each of the rounds. */
static size_t left_by_destructors(int calls, void *allocate_before)
{
    size_t before = live_heaps();
    rounds = 0;
    calls_a_round = calls;
    run(end_busily, allocate_before);
    cr_assert_eq(rounds, PTHREAD_DESTRUCTOR_ITERATIONS);
    hm_verify();
    return live_heaps() - before;
}

Test(threads, destructors_may_allocate_in_every_round)
{
    pthread_key_create(&key, busy_destructor);
    cr_assert_eq(left_by_destructors(1, &key), 0);
    cr_assert_eq(left_by_destructors(1000, &key), 0);
    cr_assert_eq(left_by_destructors(1, NULL), 0);
}

static atomic_bool lasting;

static void watching_destructor(void *value)
{
    (void)value;
    hfree(hmalloc(3000));
    bool first = process_current() == NULL;
    void *blocks[200];
    for (int i = 0; i < 200; i++) {
        blocks[i] = hmalloc(3000);
    }
    lasting = first && process_current() != NULL;
    for (int i = 0; i < 200; i++) {
        hfree(blocks[i]);
    }
}

/* The library's key is older, so its destructor has run when this one does. */
Test(threads, after_the_end_heaps_are_short_lived_until_many_calls_come)
{
    process_ready();
    size_t before = live_heaps();
    pthread_key_create(&key, watching_destructor);
    run(end_busily, &key);
    cr_assert(lasting);
    cr_assert_eq(live_heaps(), before);
}

static void start_with_late_key(void *unused)
{
    (void)unused;
    pthread_key_t keys[MANY_KEYS];
    for (int i = 0; i < MANY_KEYS; i++) {
        pthread_key_create(&keys[i], NULL);
    }
    memset((void *)&process_core, 0, sizeof(process_core));
    atomic_store(&process_state, PROCESS_NEW);
    process_heap = &process_none;
    hfree(run(allocate, NULL));
    if (live_heaps() != 0) {
        abort();
    }
}

Test(threads, a_key_that_needs_memory_works)
{
    if (test_under("tsan")) {
        cr_skip("ThreadSanitizer allows no threads in forked children");
    }
    struct child child = child_run(start_with_late_key, NULL);
    cr_assert(child.exited && child.code == 0, "%s", child.errors);
}

static void start_without_key(void *unused)
{
    (void)unused;
    pthread_key_t none;
    while (pthread_key_create(&none, NULL) == 0) {
    }
    memset((void *)&process_core, 0, sizeof(process_core));
    atomic_store(&process_state, PROCESS_NEW);
    process_heap = &process_none;
    hfree(run(allocate, NULL));
    if (live_heaps() != 0) {
        abort();
    }
}

Test(threads, without_a_key_heaps_are_short_lived)
{
    if (test_under("tsan")) {
        cr_skip("ThreadSanitizer allows no threads in forked children");
    }
    struct child child = child_run(start_without_key, NULL);
    cr_assert(child.exited && child.code == 0, "%s", child.errors);
    cr_assert_not_null(strstr(child.errors, "no thread-specific key is left"));
}
