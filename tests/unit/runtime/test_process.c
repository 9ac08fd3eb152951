#define _GNU_SOURCE 1

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hmalloc/hmalloc.h"
#include "runtime/process.h"
#include "support/child.h"
#include "support/env.h"

#define THREADS 8
#define SECONDS 20

/* What process_choose() answers, and whether it calls the allocator, which it must not. */
static const struct process_other *choice;
static bool choose_allocates;

const struct process_other *process_choose(void)
{
    if (choose_allocates) {
        hfree(hmalloc(1));
    }
    return choice;
}

/* As if the library had just been mapped. For children: what the first initialisation holds is lost. */
static void forget(void)
{
    memset((void *)&process_core, 0, sizeof(process_core));
    process_heap = &process_none;
    process_other = NULL;
    atomic_store(&process_state, PROCESS_NEW);
}

Test(process, is_ready_from_the_first_call_on)
{
    cr_assert_eq(atomic_load(&process_state), PROCESS_NEW);
    cr_assert_null(process_core.os);
    process_ready();
    cr_assert_eq(atomic_load(&process_state), PROCESS_READY);
    cr_assert_not_null(process_core.os);
    cr_assert_null(process_current());
}

Test(process, a_thread_keeps_its_heap)
{
    process_ready();
    errno = 66;
    struct theap *heap = process_attach();
    process_done();
    cr_assert_not_null(heap);
    cr_assert_eq(process_attach(), heap);
    cr_assert_eq(process_current(), heap);
    cr_assert_eq(errno, 66, "errno was changed");
}

Test(process, nobody_writes_to_the_all_zero_heap)
{
    static const struct theap zero;
    hfree(hmalloc(100));
    hfree(NULL);
    cr_assert_eq(memcmp(&process_none, &zero, sizeof(zero)), 0);
}

static pthread_barrier_t barrier;

static void *first_call(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    errno = 66;
    void *block = hmalloc(100);
    if (block == NULL || errno != 66 || process_current() == NULL) {
        abort();
    }
    return block;
}

static void call_first_together(void *unused)
{
    (void)unused;
    alarm(SECONDS);
    pthread_t threads[THREADS];
    void *blocks[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    forget();
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, first_call, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &blocks[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        hfree(blocks[i]);
    }
    hm_verify();
}

/* Of the test that calls it, with threads: a race shows only now and then. */
static void run_often_in_children(void (*body)(void *))
{
    if (test_under("tsan")) {
        cr_skip("ThreadSanitizer allows no threads in forked children");
    }
    for (size_t round = test_scale(50); round > 0; round--) {
        struct child child = child_run(body, NULL);
        cr_assert(child.exited && child.code == 0, "%s", child.errors);
    }
}

Test(process, several_threads_may_come_first)
{
    run_often_in_children(call_first_together);
}

/* Nobody would finish in the child what another thread was in the middle of. */
static void fork_among_first_calls(void *unused)
{
    (void)unused;
    alarm(SECONDS);
    pthread_t threads[THREADS];
    int status = -1;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    forget();
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, first_call, NULL);
    }
    pthread_barrier_wait(&barrier);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(SECONDS);
        hfree(hmalloc(100));
        hm_verify();
        _exit(0);
    }
    bool well = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    if (!well) {
        abort();
    }
}

Test(process, a_fork_may_meet_first_calls)
{
    run_often_in_children(fork_among_first_calls);
}

static void call_inside_first(void *unused)
{
    (void)unused;
    alarm(SECONDS);
    choose_allocates = true;
    forget();
    hfree(hmalloc(1));
}

Test(process, a_call_from_inside_the_first_is_named)
{
    struct child child = child_run(call_inside_first, NULL);
    cr_assert_eq(child.signal, SIGABRT);
    cr_assert_not_null(strstr(child.errors, "called while it initialises itself"), "%s", child.errors);
}

static void set_conf_and_start(void *conf)
{
    setenv("HMALLOC_CONF", conf, 1);
    forget();
    process_ready();
    if (process_core.options.pages.decay_ms != 123) {
        abort();
    }
}

Test(process, options_come_from_the_environment)
{
    char conf[] = "decay:123,typo:1";
    struct child child = child_run(set_conf_and_start, conf);
    cr_assert(child.exited && child.code == 0);
    cr_assert_str_eq(child.errors, "hmalloc: warning: HMALLOC_CONF: unknown key \"typo\"\n");
}

static char stock[4096] __attribute__((aligned(64)));
static size_t stock_used;
static int frees;

static void *other_malloc(size_t size)
{
    void *block = stock + stock_used;
    stock_used += (size + 63) / 64 * 64;
    return block;
}

static void other_free(void *block)
{
    (void)block;
    frees++;
}

static void *other_calloc(size_t count, size_t size)
{
    return other_malloc(count * size);
}

static void *other_realloc(void *block, size_t size)
{
    return memcpy(other_malloc(size), block, 1);
}

static void *other_memalign(size_t alignment, size_t size)
{
    (void)alignment;
    return other_malloc(size);
}

static size_t other_usable(const void *block)
{
    (void)block;
    return 4711;
}

static int other_trim(size_t keep)
{
    return (int)keep;
}

static bool of_other(const void *block)
{
    return (const char *)block >= stock && (const char *)block < stock + sizeof(stock);
}

static void use_other(void *unused)
{
    static const struct process_other other = {other_malloc,   other_free,   other_calloc, other_realloc,
                                               other_memalign, other_usable, other_trim};
    (void)unused;
    choice = &other;
    forget();
    char *block = hmalloc(10);
    bool right = of_other(block) && of_other(hcalloc(2, 3)) && of_other(haligned_alloc(64, 1)) &&
                 of_other(hrealloc(block, 20)) && hmalloc_usable_size(block) == 4711 && hmalloc_trim(5) == 5;
    hfree(block);
    hfree(block);
    hm_instrument(true);
    hm_verify();
    if (!right || frees != 2 || process_current() != NULL || process_core.os != NULL) {
        abort();
    }
}

Test(process, another_allocator_may_serve_everything)
{
    struct child child = child_run(use_other, NULL);
    cr_assert(child.exited && child.code == 0, "%s", child.errors);
}
