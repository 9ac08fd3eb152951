/* child_allocs: allocation in children of fork, vfork, _Fork and clone, in threads of children, and between
 * signals. */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 3, SHARED = 1000, LIMIT_SECONDS = 20 };

static void *shared[SHARED];
static atomic_bool stop;
static atomic_ulong ticks;

static void check(int truth, const char *what)
{
    if (!truth) {
        dprintf(STDOUT_FILENO, "failed: %s\n", what);
        _exit(1);
    }
}

static void await(pid_t child, const char *what)
{
    int status = 0;
    check(child > 0, what);
    while (waitpid(child, &status, 0) < 0)
        ;
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0, what);
}

static int work(unsigned seed)
{
    char *blocks[200];
    for (size_t i = 0; i < 200; i++) {
        size_t size = (seed + i * i) % 4000 + 1;
        blocks[i] = malloc(size);
        if (blocks[i] == NULL)
            return 0;
        memset(blocks[i], (int)i, size);
    }
    for (size_t i = 0; i < 200; i++) {
        blocks[i] = realloc(blocks[i], i * 100 + 1);
        if (blocks[i] == NULL || blocks[i][0] != (char)i)
            return 0;
        free(blocks[i]);
    }
    return 1;
}

static void *churn(void *argument)
{
    for (unsigned seed = 0; !atomic_load(&stop); seed++)
        check(work(seed), "work in a thread");
    return argument;
}

static void *work_once(void *argument)
{
    check(work(7), "work in a thread of a child");
    return argument;
}

/* A child may free what any thread of its parent allocated, and start threads. */
static void work_in_child(int first)
{
    pthread_t thread;
    alarm(LIMIT_SECONDS);
    for (int i = first; i < SHARED; i += 2)
        free(shared[i]);
    check(work(1), "work in a child");
    check(pthread_create(&thread, NULL, work_once, NULL) == 0 && pthread_join(thread, NULL) == 0,
          "thread in a child");
}

static void work_and_fork(void)
{
    work_in_child(0);
    pid_t grandchild = fork();
    if (grandchild == 0) {
        work_in_child(1);
        _exit(0);
    }
    await(grandchild, "grandchild");
    _exit(0);
}

static void use_forks(void)
{
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0)
            work_and_fork();
        await(child, "fork");
    }
}

/* A vfork child runs in its parent's memory, on its thread; only exec and _exit are allowed by the letter. */
static void use_vfork(void)
{
    for (int i = 0; i < 50; i++) {
        pid_t child = vfork();
        if (child == 0) {
            free(malloc(100));
            _exit(0);
        }
        await(child, "vfork");
        char *const arguments[] = {(char[]){"true"}, NULL};
        check(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0, "posix_spawnp");
        await(child, "posix_spawnp");
    }
}

/* No handler runs in these; without other threads in the parent the heap is whole in the child. */
static void use_raw_children(void)
{
    for (unsigned i = 0; i < 50; i++) {
        void *old = malloc(i * 50);
        pid_t child = i % 2 ? _Fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            alarm(LIMIT_SECONDS);
            free(old);
            _exit(work(i) ? 0 : 1);
        }
        await(child, i % 2 ? "_Fork" : "clone");
        free(old);
        check(work(i), "work after a raw child");
    }
}

static void count_tick(int number)
{
    (void)number;
    atomic_fetch_add(&ticks, 1);
}

/* No SA_RESTART: system calls of the allocator get interrupted. */
static void start_ticks(void)
{
    struct sigaction action = {.sa_handler = count_tick};
    struct itimerval often = {{0, 500}, {0, 500}};
    check(sigaction(SIGPROF, &action, NULL) == 0 && setitimer(ITIMER_PROF, &often, NULL) == 0, "timer");
}

int main(void)
{
    pthread_t threads[THREADS];
    start_ticks();
    use_raw_children();
    for (size_t i = 0; i < SHARED; i++)
        shared[i] = malloc(i * 11 % 2500);
    for (int i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, churn, NULL) == 0, "pthread_create");
    use_forks();
    use_vfork();
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SHARED; i++)
        free(shared[i]);
    check(ticks > 0, "signals arrived");
    puts("ok");
    return 0;
}
