#define _GNU_SOURCE 1

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/lock.h"
#include "support/child.h"
#include "support/env.h"
#include "support/refuse.h"

#define THREADS 4
#define ROUNDS  50000

struct shared {
    struct lock lock;
    unsigned long count; /* guarded by lock */
    bool refuse_futex;
    _Atomic bool filtered;
    _Atomic int errno_changes;
};

/* Without a fence between load and store, as only mutual exclusion makes right. */
static void *count_up(void *argument)
{
    struct shared *shared = argument;
    if (shared->refuse_futex) {
        const int refused[] = {SYS_futex};
        atomic_store(&shared->filtered, refuse_calls(refused, 1, EPERM));
    }
    for (int i = 0; i < ROUNDS; i++) {
        errno = 99;
        lock_acquire(&shared->lock);
        int after_acquire = errno;
        unsigned long before = shared->count;
        if (i % 1000 == 0) {
            usleep(50);
        }
        shared->count = before + 1;
        errno = 99;
        lock_release(&shared->lock);
        if (after_acquire != 99 || errno != 99) {
            atomic_fetch_add(&shared->errno_changes, 1);
        }
    }
    return NULL;
}

static void start_and_check(struct shared *shared, void *(*start)(void *))
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, start, shared), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(shared->count, (unsigned long)THREADS * ROUNDS);
    cr_assert_eq(atomic_load(&shared->errno_changes), 0);
    cr_assert_not(lock_held(&shared->lock));
}

Test(lock, excludes, .timeout = 60)
{
    static struct shared shared;
    lock_init(&shared.lock, LOCK_RANK_PAGEHEAP);
    start_and_check(&shared, count_up);
}

Test(lock, excludes_where_futex_is_refused, .timeout = 60)
{
    static struct shared shared = {.refuse_futex = true};
    if (test_under("valgrind")) {
        cr_skip_test("Valgrind needs futex itself");
    }
    start_and_check(&shared, count_up);
    if (!atomic_load(&shared.filtered)) {
        cr_skip_test("no filter can be installed here");
    }
}

static void *count_up_inline(void *argument)
{
    struct shared *shared = argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (!lock_enter(&shared->lock)) {
            lock_acquire(&shared->lock);
        }
        unsigned long before = shared->count;
        if (i % 1000 == 0) {
            usleep(50);
        }
        shared->count = before + 1;
        if (!lock_leave(&shared->lock)) {
            lock_wake(&shared->lock);
        }
    }
    return NULL;
}

/* A wake-up that is lost leaves a thread asleep. */
Test(lock, inline_halves_exclude_and_wake, .timeout = 60)
{
    static struct shared shared;
    lock_init(&shared.lock, LOCK_RANK_PAGEHEAP);
    start_and_check(&shared, count_up_inline);
}

Test(lock, zero_initialised_is_free)
{
    static struct lock lock;
    cr_assert_not(lock_held(&lock));
    lock_acquire(&lock);
    cr_assert(lock_held(&lock));
    lock_release(&lock);
    cr_assert_not(lock_held(&lock));
}

static void *try_once(void *argument)
{
    return lock_try(argument) ? argument : NULL;
}

static bool other_thread_can_take(struct lock *lock)
{
    pthread_t thread;
    void *result;
    cr_assert_eq(pthread_create(&thread, NULL, try_once, lock), 0);
    pthread_join(thread, &result);
    return result != NULL;
}

Test(lock, try_takes_a_free_lock_only)
{
    struct lock lock;
    lock_init(&lock, LOCK_RANK_META);
    cr_assert(lock_try(&lock));
    cr_assert(lock_held(&lock));
    cr_assert_not(lock_try(&lock));
    cr_assert_not(other_thread_can_take(&lock));
    lock_release(&lock);
    cr_assert(other_thread_can_take(&lock));
}

struct sleeper {
    struct lock lock;
    _Atomic bool waits;
    _Atomic bool got;
};

static void *wait_for_lock(void *argument)
{
    struct sleeper *sleeper = argument;
    atomic_store(&sleeper->waits, true);
    lock_acquire(&sleeper->lock);
    atomic_store(&sleeper->got, true);
    lock_release(&sleeper->lock);
    return NULL;
}

Test(lock, release_wakes_a_sleeper, .timeout = 30)
{
    static struct sleeper sleeper;
    pthread_t thread;
    lock_init(&sleeper.lock, LOCK_RANK_THEAP);
    lock_acquire(&sleeper.lock);
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_lock, &sleeper), 0);
    while (atomic_load(&sleeper.lock.word) != 2) {
        usleep(1000);
    }
    usleep(20000);
    cr_assert_not(atomic_load(&sleeper.got));
    lock_release(&sleeper.lock);
    pthread_join(thread, NULL);
    cr_assert(atomic_load(&sleeper.got));
}

static struct lock low, low_too, middle, high;

static void init_ranks(void)
{
    lock_init(&low, LOCK_RANK_THEAP);
    lock_init(&low_too, LOCK_RANK_THEAP);
    lock_init(&middle, LOCK_RANK_PAGEHEAP);
    lock_init(&high, LOCK_RANK_META);
}

/* What a thread heap's holder leaves to its child: locks held by itself and by a thread that doesn't exist
 * there. */
static void reset_and_take_all(void *argument)
{
    (void)argument;
    lock_reset(&middle);
    lock_reset(&high);
    if (lock_held(&middle) || lock_held(&high)) {
        _exit(1);
    }
    lock_acquire(&low);
    lock_acquire(&middle);
    lock_acquire(&high);
    lock_release(&high);
    lock_release(&middle);
    lock_release(&low);
}

Test(lock, reset_frees_locks_of_a_forked_child, .timeout = 30)
{
    init_ranks();
    cr_assert(other_thread_can_take(&high));
    lock_acquire(&middle);
    struct child child = child_run(reset_and_take_all, NULL);
    cr_assert(child.exited, "%s", child.errors);
    cr_assert_eq(child.code, 0);
    cr_assert(lock_held(&middle));
    lock_release(&middle);
}

Test(lock, reset_of_a_free_lock_does_nothing)
{
    init_ranks();
    lock_acquire(&low);
    lock_reset(&low_too);
    cr_assert(lock_held(&low));
    lock_release(&low);
}

static void take_in_order(void *argument)
{
    (void)argument;
    lock_acquire(&low);
    lock_acquire(&middle);
    lock_acquire(&high);
    lock_release(&middle);
    lock_release(&high);
    lock_release(&low);
    lock_acquire(&low);
    lock_release(&low);
}

/* As fork does: heap by heap, all locks of each. */
static void take_heap_by_heap(void *argument)
{
    struct lock list, lock[2][LOCK_RANK_MOVABLE_PINS + 1];
    (void)argument;
    lock_init(&list, LOCK_RANK_MOVABLE_LIST);
    lock_acquire(&list);
    for (int heap = 0; heap < 2; heap++) {
        for (enum lock_rank rank = LOCK_RANK_MOVABLE_COMPACT; rank <= LOCK_RANK_MOVABLE_PINS; rank++) {
            lock_init(&lock[heap][rank], rank);
            lock_acquire(&lock[heap][rank]);
        }
    }
    lock_acquire(&low);
    for (int heap = 0; heap < 2; heap++) {
        for (enum lock_rank rank = LOCK_RANK_MOVABLE_COMPACT; rank <= LOCK_RANK_MOVABLE_PINS; rank++) {
            lock_release(&lock[heap][rank]);
        }
    }
    lock_release(&low);
    lock_release(&list);
}

static void take_two_lanes(void *argument)
{
    struct lock lane[2];
    (void)argument;
    lock_init(&lane[0], LOCK_RANK_MOVABLE_LANE);
    lock_init(&lane[1], LOCK_RANK_MOVABLE_LANE);
    lock_acquire(&lane[0]);
    lock_acquire(&lane[1]);
}

static void take_lane_under_page_heap(void *argument)
{
    struct lock list, lane;
    (void)argument;
    lock_init(&list, LOCK_RANK_MOVABLE_LIST);
    lock_init(&lane, LOCK_RANK_MOVABLE_LANE);
    lock_acquire(&list);
    lock_acquire(&middle);
    lock_acquire(&lane);
}

static void take_lower(void *argument)
{
    (void)argument;
    lock_acquire(&high);
    lock_acquire(&middle);
}

static void take_equal(void *argument)
{
    (void)argument;
    lock_acquire(&low);
    lock_acquire(&low_too);
}

static void take_equal_under_registry(void *argument)
{
    struct lock registry;
    (void)argument;
    lock_init(&registry, LOCK_RANK_REGISTRY);
    lock_acquire(&registry);
    lock_acquire(&low);
    lock_acquire(&low_too);
    lock_release(&low);
    lock_release(&low_too);
    lock_release(&registry);
}

static void take_lower_after_try(void *argument)
{
    (void)argument;
    if (lock_try(&high)) {
        lock_acquire(&middle);
    }
}

static void release_free(void *argument)
{
    (void)argument;
    lock_release(&high);
}

static void expect_in_debug(void (*function)(void *), const char *message)
{
    init_ranks();
    struct child child = child_run(function, NULL);
    cr_expect_eq(child.signal, HM_DEBUG ? SIGABRT : 0);
    cr_expect(!HM_DEBUG || strstr(child.errors, message) != NULL, "%s", child.errors);
}

static void expect_order_panic(void (*function)(void *), enum lock_rank taken, enum lock_rank held)
{
    char message[128];
    snprintf(message, sizeof(message), "lock of rank %d taken while holding one of rank %d", (int)taken,
             (int)held);
    expect_in_debug(function, message);
}

Test(lock, order_by_rank_passes)
{
    init_ranks();
    struct child child = child_run(take_in_order, NULL);
    cr_assert(child.exited, "%s", child.errors);
    child = child_run(take_equal_under_registry, NULL);
    cr_assert(child.exited, "%s", child.errors);
    child = child_run(take_heap_by_heap, NULL);
    cr_assert(child.exited, "%s", child.errors);
}

Test(lock, broken_order_panics_in_debug_builds)
{
    expect_order_panic(take_lower, LOCK_RANK_PAGEHEAP, LOCK_RANK_META);
    expect_order_panic(take_equal, LOCK_RANK_THEAP, LOCK_RANK_THEAP);
    expect_order_panic(take_lower_after_try, LOCK_RANK_PAGEHEAP, LOCK_RANK_META);
    expect_order_panic(take_two_lanes, LOCK_RANK_MOVABLE_LANE, LOCK_RANK_MOVABLE_LANE);
    expect_order_panic(take_lane_under_page_heap, LOCK_RANK_MOVABLE_LANE, LOCK_RANK_PAGEHEAP);
}

Test(lock, releasing_a_free_lock_panics_in_debug_builds)
{
    expect_in_debug(release_free, "a lock that is released is held");
}
