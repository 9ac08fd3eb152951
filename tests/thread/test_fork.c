/* Forks while other threads allocate: the child allocates, frees what every thread had, and verifies. */
#include <criterion/criterion.h>
#include <hmalloc/hmalloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/env.h"
#include "support/threads.h"

#define THREADS 3
#define SLOTS   64

static _Atomic bool over;
static atomic_int running;
static _Atomic(void *) shared[THREADS][SLOTS];

static void *allocate_for_ever(void *number)
{
    size_t n = (uintptr_t)number;
    uint64_t random = n;
    void *mine[40] = {NULL};
    atomic_fetch_add(&running, 1);
    while (!atomic_load(&over)) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t pick = random >> 33;
        size_t bytes = 16 + pick % (pick % 50 == 0 ? 300000 : pick % 5 == 0 ? 16000 : 300);
        hfree(mine[pick % 40]);
        mine[pick % 40] = hmalloc(bytes);
        memset(mine[pick % 40], 1, 16);
        hfree(atomic_exchange(&shared[pick % THREADS][pick / 64 % SLOTS], hmalloc(bytes)));
    }
    for (int i = 0; i < 40; i++) {
        hfree(mine[i]);
    }
    return NULL;
}

/* Only what no thread can have taken at the moment of the fork: the slots. */
static void child(void)
{
    void *blocks[100];
    hm_verify();
    for (size_t i = 0; i < 100; i++) {
        blocks[i] = hmalloc(16 + i * i * 10);
        memset(blocks[i], 2, 16 + i * i * 10);
    }
    for (int t = 0; t < THREADS; t++) {
        for (int s = 0; s < SLOTS; s++) {
            hfree(atomic_load(&shared[t][s]));
        }
    }
    hm_verify();
    for (int i = 0; i < 100; i++) {
        hfree(blocks[i]);
    }
    hmalloc_trim(0);
    hm_verify();
    _exit(0);
}

static void *child_thread(void *unused)
{
    for (size_t i = 0; i < 200; i++) {
        hfree(hmalloc(i * 50));
    }
    return unused;
}

/* The child has threads of its own, and forks again. */
static void threaded_child(void)
{
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&thread[i], NULL, child_thread, NULL) != 0) {
            _exit(3);
        }
    }
    pid_t pid = fork();
    if (pid == 0) {
        hfree(hmalloc(1000));
        child();
    }
    int status = 0;
    waitpid(pid, &status, 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
    }
    hm_verify();
    _exit(status == 0 ? 0 : 4);
}

static void storm(void (*in_child)(void), size_t forks)
{
    pthread_t thread[THREADS];
    atomic_store(&over, false);
    atomic_store(&running, 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&thread[i], NULL, allocate_for_ever, (void *)i), 0);
    }
    threads_run(&running, THREADS);
    for (size_t i = 0; i < forks; i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(20);
            in_child();
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0, "fork %zu: status %x", i, (unsigned)status);
        hfree(hmalloc(i));
    }
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    hm_verify();
}

Test(fork, the_child_uses_everything)
{
    storm(child, test_scale(250));
}

/* ThreadSanitizer doesn't support threads in the child of a threaded process. */
Test(fork, the_child_has_threads_and_forks)
{
    if (!test_under("tsan")) {
        storm(threaded_child, test_scale(100));
    }
}

static void *fork_here(void *unused)
{
    for (size_t i = 0; i < test_scale(100); i++) {
        int status;
        void *block = hmalloc(1000);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(20);
            hfree(block);
            hfree(hmalloc(50));
            hm_verify();
            _exit(0);
        }
        if (waitpid(pid, &status, 0) != pid || status != 0) {
            abort();
        }
        hfree(block);
    }
    return unused;
}

Test(fork, several_threads_fork_at_once)
{
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&thread[i], NULL, fork_here, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    hm_verify();
}
