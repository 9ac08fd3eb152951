#define _GNU_SOURCE 1

#include "runtime/process.h"

#include <errno.h>
#include <sched.h>

#include "base/bits.h"
#include "base/check.h"
#include "runtime/environment.h"
#include "runtime/fork.h"
#include "runtime/report.h"
#include "runtime/threads.h"
#include "runtime/valgrind.h"

#define CONF_BYTES 1024

/* Common, so that the linker places it behind all other variables: these and the members that it begins with then share
 * pages. */
struct core process_core __attribute__((common));
static const struct theap none; /* so in memory that nobody can write to */
extern struct theap process_none __attribute__((alias("none")));
HM_TLS struct theap *process_heap = &process_none;
HM_TLS struct thread_exit process_exit;
struct options process_options;
const struct process_other *process_other;
_Atomic uint32_t process_state;

/* The thread that initialises, named by the address of a variable that each thread has its own of. */
static _Atomic(void *) starter;

static void read_options(void)
{
    char buf[CONF_BYTES];
    options_default(&process_options);
    const char *conf = environment_untrusted() ? NULL : environment_get("HMALLOC_CONF", buf, sizeof(buf));
    if (conf != NULL) {
        options_parse(&process_options, conf, NULL);
    }
}

/* Most of the core is never touched: a huge page would make it resident. From where variables lie that come before it, so
 * that the kernel needn't part a mapping. */
static void refuse_huge_pages(const struct os *os)
{
    uintptr_t start = bits_align_down((uintptr_t)&process_options, os->page_size);
    uintptr_t end = bits_align_up((uintptr_t)(&process_core + 1), os->page_size);
    if (start < end && end - start <= 2 * sizeof(process_core)) {
        os->huge(os, (void *)start, end - start, OS_HUGE_NEVER);
    }
}

static void start_core(const struct os *os)
{
    process_options.core.tracked = valgrind_replaces_malloc();
    core_init(&process_core, os, &process_options.core);
    core_use_own(&process_core);
    refuse_huge_pages(os);
    threads_init();
}

/* Only what can't reach the allocator again, in this thread or in another that this one would wait for. */
static void start_alone(void)
{
    read_options();
    if (process_choose != NULL) {
        process_other = process_choose();
    }
    if (process_other == NULL) {
        /* Without the preload layer, libc's malloc goes on beside this. */
        start_core(process_choose != NULL ? os_linux() : os_linux_beside());
    }
}

/* A call from inside start_alone() has no heap to be served from: someone put a function of their own in the
 * place of a system call's wrapper, and it allocates. */
static void wait_for_starter(void)
{
    while (atomic_load_explicit(&process_state, memory_order_acquire) != PROCESS_READY) {
        if (atomic_load_explicit(&starter, memory_order_relaxed) == (void *)&process_heap) {
            panic("called while it initialises itself: a function that replaces a system call's allocates");
        }
        sched_yield();
    }
}

/* Registering fork handlers may allocate, and may wait for a lock that another thread holds while it
 * allocates: both must be served meanwhile. */
void process_start(void)
{
    int saved = errno;
    uint32_t expected = PROCESS_NEW;
    if (!atomic_compare_exchange_strong_explicit(&process_state, &expected, PROCESS_STARTING,
                                                 memory_order_acquire, memory_order_acquire)) {
        wait_for_starter();
        errno = saved;
        return;
    }
    atomic_store_explicit(&starter, (void *)&process_heap, memory_order_relaxed);
    start_alone();
    atomic_store_explicit(&starter, NULL, memory_order_relaxed);
    atomic_store_explicit(&process_state, PROCESS_READY, memory_order_release);
    if (process_other == NULL) {
        fork_init();
    }
    errno = saved;
}

struct core *process_core_for_heaps(void)
{
    if (process_other != NULL) {
        start_core(os_linux_beside());
        fork_init();
    }
    return &process_core;
}

/* What can't be left to the first call: fork handlers that are registered before ours run while ours hold the locks; and a
 * program may change its environment. All else waits, as many a small program never allocates: glibc does so when it makes
 * the first thread, so that no two threads come first, and a fork among threads starts what isn't (fork.c). */
#ifdef __GLIBC__
__attribute__((constructor)) static void at_load(int argc, char **argv, char **variables)
{
    (void)argc;
    (void)argv;
    environment_give(variables);
    fork_init();
    if (environment_get("HMALLOC_CONF", NULL, 0) != NULL ||
        (process_choose_early != NULL && process_choose_early())) {
        process_ready();
    }
}
#else
__attribute__((constructor)) static void at_load(void)
{
    process_ready();
}
#endif

/* Here, because a program that links the archive gets only those of its files that something refers to; and asks here, so as not
 * to touch the code of reports for nothing. */
__attribute__((destructor)) static void at_unload(void)
{
    if (process_options.stats != STATS_NONE) {
        report_at_exit();
    }
}
