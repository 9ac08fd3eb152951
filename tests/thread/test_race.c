/* Two threads free the same block at the same moment. That is a bug in the program, and it is a race: the process may end with a
 * diagnosis at once, or later when the damage shows in the allocator's books, but never by a wild access of ours, and never by
 * handing memory out twice unnoticed. */
#include <criterion/criterion.h>
#include <hmalloc/hmalloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "support/child.h"
#include "support/env.h"

struct pair {
    _Atomic(void *) block;
    _Atomic int waiting;
    size_t bytes;
    bool owner_frees; /* one of the two is the thread that allocated */
};

static struct pair pair;

static void meet(void)
{
    atomic_fetch_add(&pair.waiting, 1);
    while (atomic_load(&pair.waiting) < 2) {
        sched_yield();
    }
}

static void *free_at_once(void *unused)
{
    meet();
    hfree(atomic_load(&pair.block));
    return unused;
}

static void race(void *argument)
{
    pthread_t thread[2];
    pair = *(const struct pair *)argument;
    hmalloc(pair.bytes);
    atomic_store(&pair.block, hmalloc(pair.bytes));
    pthread_create(&thread[0], NULL, free_at_once, NULL);
    if (pair.owner_frees) {
        free_at_once(NULL);
    } else {
        pthread_create(&thread[1], NULL, free_at_once, NULL);
        pthread_join(thread[1], NULL);
    }
    pthread_join(thread[0], NULL);
    /* Nobody was stopped: now the block must not come twice. */
    void *blocks[100];
    for (int i = 0; i < 100; i++) {
        blocks[i] = hmalloc(pair.bytes);
        for (int j = 0; j < i; j++) {
            if (blocks[i] == blocks[j]) {
                _exit(9);
            }
        }
    }
    for (int i = 0; i < 100; i++) {
        hfree(blocks[i]);
    }
    hmalloc_trim(0);
    hm_verify();
}

static void races(size_t bytes, bool owner_frees)
{
    size_t unnoticed = 0;
    size_t rounds = test_scale(150);
    for (size_t i = 0; i < rounds; i++) {
        struct pair one = {.bytes = bytes, .owner_frees = owner_frees};
        struct child child = child_run(race, &one);
        bool diagnosed = child.signal == SIGABRT && strncmp(child.errors, "hmalloc: ", 9) == 0;
        bool harmless = child.exited && child.code == 0;
        cr_assert(diagnosed || harmless, "%zu bytes: signal %d, exit %d: %s", bytes, child.signal, child.code,
                  child.errors);
        unnoticed += harmless;
    }
    cr_log_info("%zu bytes, %s: %zu of %zu unnoticed", bytes, owner_frees ? "owner" : "others", unnoticed,
                rounds);
    cr_assert(owner_frees || unnoticed == 0, "%zu of %zu unnoticed", unnoticed, rounds);
}

/* ThreadSanitizer has no threads in the children of a threaded process, and would be right to complain. */
static void skip_under_tsan(void)
{
    if (test_under("tsan")) {
        cr_skip_test("no threads in children");
    }
}

TestSuite(race, .init = skip_under_tsan);

Test(race, two_others)
{
    races(100, false);
    races(5000, false);
    races(100000, false);
    races(5000000, false);
}

Test(race, the_owner_and_another)
{
    races(100, true);
    races(5000, true);
    races(100000, true);
}
