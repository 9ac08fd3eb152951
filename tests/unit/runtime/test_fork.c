#define _GNU_SOURCE 1

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/single_threaded.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hmalloc/hmalloc.h"
#include "runtime/process.h"
#include "support/env.h"

#define THREADS      3
#define CHILD_BLOCKS 200
#define SECONDS      20

static atomic_bool stop;
static void *_Atomic shared;

static void *churn(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop)) {
        void *block = hmalloc(700);
        hfree(atomic_exchange(&shared, block));
        hfree(hmalloc(100000));
        fflush(NULL);
    }
    return NULL;
}

static void child_work(void)
{
    void *blocks[CHILD_BLOCKS];
    alarm(SECONDS);
    hfree(atomic_exchange(&shared, NULL));
    for (size_t i = 0; i < CHILD_BLOCKS; i++) {
        blocks[i] = hmalloc(i * 37);
    }
    for (size_t i = 0; i < CHILD_BLOCKS; i++) {
        hfree(blocks[i]);
    }
    fflush(NULL);
    hm_verify();
    _exit(process_core.registry.live_count == 1 ? 0 : 1);
}

/* Forks and waits; false when the child hung, crashed or complained. */
static bool child_ends_well(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        child_work();
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Test(fork, a_child_of_a_threaded_process_owns_all_heaps, .timeout = 100)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, churn, NULL);
    }
    bool well = true;
    for (size_t i = test_scale(200); i > 0 && well; i--) {
        well = child_ends_well();
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert(well);
    hfree(atomic_load(&shared));
    hm_verify();
}

Test(fork, a_thread_without_a_heap_may_fork, .timeout = 100)
{
    pthread_t thread;
    pthread_create(&thread, NULL, churn, NULL);
    cr_assert_null(process_current());
    bool well = child_ends_well();
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    cr_assert(well);
}

static bool ended_well(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool fork_with_a_lock_held(void)
{
    lock_acquire(&process_core.registry.lock);
    pid_t pid = fork();
    if (pid == 0) {
        bool held = lock_held(&process_core.registry.lock);
        lock_release(&process_core.registry.lock);
        hfree(hmalloc(100000));
        _exit(!held);
    }
    lock_release(&process_core.registry.lock);
    return ended_well(pid);
}

/* A signal handler that forks may have interrupted an allocation of its own thread, the only one. In a child, as Criterion
 * has threads here. */
Test(fork, without_other_threads_no_lock_is_taken, .timeout = 100)
{
    hfree(hmalloc(1));
    pid_t pid = fork();
    if (pid == 0) {
        __libc_single_threaded = 1;
        alarm(SECONDS);
        _exit(!fork_with_a_lock_held());
    }
    cr_assert(ended_well(pid));
}
