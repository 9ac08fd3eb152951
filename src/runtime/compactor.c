#define _GNU_SOURCE 1

#include "runtime/compactor.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"

#define SECOND_NS      UINT64_C(1000000000)
#define STACK_BYTES    ((size_t)256 << 10) /* on_move runs on it; pages are touched only if used */
#define SLEEP_MIN_NS   UINT64_C(200000)    /* shorter sleeps cost more than they spread */
#define HOPELESS_LOOKS 16u
#define TRIES_MAX      7u
#define LOOK_NS        UINT64_C(20000000) /* between two looks while it works */
#define EMPTY_STEPS    64u
#define BUSY_PERCENT   60u /* of all CPUs */
#define BUSY_MARKS     4u
#define BUSY_SHARE     8u
#define STIR_SECONDS   16u /* a program that goes through its heap in so much time stirs it, */
#define STIR_SHARE     16u /* leaves work behind when that was this part of it, */
#define CALM_NS        UINT64_C(100000000) /* and lets it be when it didn't for so long */
#define WORTH          50u /* percent of garbage that pays for emptying a chunk of a heap that is stirred */
#define BYTES_MAX      ((size_t)1 << 33) /* of one step, for the sums */

enum { STARTING, RUNNING, FAILED };

struct compactor {
    struct hm_heap *heap;
    struct hm_compactor_options options;
    pthread_t thread;
    pid_t process; /* in which the thread runs */
    _Atomic uint32_t state;
    _Atomic uint32_t stop; /* a futex */
};

static struct meta_pool pool;

void compactor_init(struct meta *meta)
{
    meta_pool_init(&pool, meta, bits_align_up(sizeof(struct compactor), HM_CACHE_LINE));
}

/* Accounts */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t compactor_account(struct compactor_pace *pace, uint64_t now, uint64_t cpu, size_t bytes)
{
    uint64_t began = now > cpu ? now - cpu : 0;
    pace->cpu_due = later(pace->cpu_due, began) + cpu * 100 / pace->cpu_percent;
    if (pace->bytes_per_second != 0) {
        uint64_t moved = bytes < BYTES_MAX ? bytes : BYTES_MAX;
        pace->bytes_due = later(pace->bytes_due, began) + moved * SECOND_NS / pace->bytes_per_second;
    }
    uint64_t due = later(pace->cpu_due, pace->bytes_due);
    return due > now + SLEEP_MIN_NS ? due - now : 0;
}

/* free / held > percent / 100, for sizes of any machine. */
static bool above(size_t free_bytes, size_t held_bytes, unsigned percent)
{
    return free_bytes / 100 * 100 > held_bytes / 100 * percent;
}

unsigned compactor_share(unsigned cpu_percent, bool busy, unsigned high_percent, size_t free_bytes,
                         size_t held_bytes)
{
    if (!busy || above(free_bytes, held_bytes, BUSY_MARKS * high_percent)) {
        return cpu_percent;
    }
    return cpu_percent < BUSY_SHARE ? 1 : cpu_percent / BUSY_SHARE;
}

void compactor_stirred(struct compactor_marks *marks, bool stirred, bool much)
{
    if (marks->stirred == stirred) {
        return;
    }
    *marks = (struct compactor_marks){.low_percent = marks->low_percent,
                                      .high_percent = marks->high_percent,
                                      .stirred = stirred,
                                      .working = marks->working || (!stirred && much)};
}

bool compactor_wants(struct compactor_marks *marks, size_t free_bytes, size_t held_bytes)
{
    if (marks->working) {
        marks->working = above(free_bytes, held_bytes, marks->low_percent);
        marks->tries = marks->working ? marks->tries : 0;
        return marks->working;
    }
    bool more = free_bytes > marks->hopeless + marks->hopeless / 16;
    if (marks->hopeless != 0 && !more && marks->looks++ < HOPELESS_LOOKS << (marks->tries - 1)) {
        return false;
    }
    marks->tries = more ? 0 : marks->tries;
    marks->hopeless = 0;
    marks->moved = 0;
    marks->working = above(free_bytes, held_bytes, marks->high_percent);
    return marks->working;
}

void compactor_give_up(struct compactor_marks *marks, size_t free_bytes)
{
    marks->working = false;
    marks->hopeless = free_bytes;
    marks->looks = 0;
    marks->tries += marks->tries < TRIES_MAX;
}

void compactor_count(struct compactor_marks *marks, size_t moved, size_t free_bytes, size_t held_bytes)
{
    marks->moved += moved;
    if (marks->moved / 2 > held_bytes) {
        compactor_give_up(marks, free_bytes);
    }
}

/* Thread */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time = {0, 0};
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

/* Until then, or until it is to stop. Where a filter refuses futexes, the stop waits for the end of the sleep. */
static void sleep_ns(struct compactor *compactor, uint64_t nanoseconds)
{
    struct timespec time = {.tv_sec = (time_t)(nanoseconds / SECOND_NS),
                            .tv_nsec = (long)(nanoseconds % SECOND_NS)};
    long result = syscall(SYS_futex, &compactor->stop, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);
    if (result == -1 && errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT) {
        syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, NULL);
    }
}

static bool stopping(struct compactor *compactor)
{
    return atomic_load_explicit(&compactor->stop, memory_order_acquire) != 0;
}

/* What the thread knows of its heap: looked up once in a while, because a look costs as much as a step, and carried on between. */
struct view {
    uint64_t looked; /* the time of the last look */
    size_t free_bytes;
    size_t held_bytes;
    size_t total;     /* bytes stirred so far, */
    size_t settled;   /* and what they were when the heap had come to rest after much of it */
    uint64_t stirred; /* when the heap was stirred last */
    unsigned empty;   /* steps in a row that moved and released nothing: they may walk over what is dead */
    size_t moved;     /* in this pass: the next one may win something if this one did */
    uint64_t since;   /* when the process's CPU time was read last, */
    uint64_t cpu;     /* and what it was, without this thread's */
    bool busy;        /* the process used most of all CPUs between the last two looks */
};

static unsigned cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* Once in a while: reading it visits all threads. */
static void look_around(struct view *view, uint64_t now)
{
    uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - clock_ns(CLOCK_THREAD_CPUTIME_ID);
    view->busy = (cpu - view->cpu) * 100 > (now - view->since) * BUSY_PERCENT * cpus();
    view->since = now;
    view->cpu = cpu;
}

/* Whether what was allocated and freed in so much time is much: what is moved meanwhile may be dead soon, and holes filled. */
static bool is_stirred(size_t from, const struct movable_view *now, uint64_t nanoseconds)
{
    size_t bytes = now->stirred_bytes - from;
    return bytes < SIZE_MAX / 2 &&
           bytes / (nanoseconds / 1000000 + 1) > now->held_bytes / STIR_SECONDS / 1000;
}

static void look(struct hm_heap *heap, struct view *view)
{
    struct movable_view now = {0};
    if (heap->kind->look != NULL) {
        heap->kind->look(heap, &now);
    } else {
        struct hm_movable_stats stats;
        heap->kind->stats(heap, &stats);
        now.free_bytes = stats.free_bytes;
        now.held_bytes = stats.held_bytes;
    }
    uint64_t time = os_now_ns();
    view->free_bytes = now.free_bytes;
    view->held_bytes = now.held_bytes;
    if (time - view->since >= LOOK_NS) {
        view->stirred = is_stirred(view->total, &now, time - view->since) ? time : view->stirred;
        view->total = now.stirred_bytes;
        look_around(view, time);
    }
    view->looked = time;
}

/* After a look. */
static void note_stirring(struct compactor_marks *marks, struct view *view)
{
    bool stirred = view->stirred != 0 && view->looked - view->stirred < CALM_NS;
    bool much = view->total - view->settled > view->held_bytes / STIR_SHARE;
    compactor_stirred(marks, stirred, much);
    view->settled = !stirred && much ? view->total : view->settled;
}

static size_t less(size_t from, size_t bytes)
{
    return bytes < from ? from - bytes : 0;
}

static struct hm_compact_result compact(struct hm_heap *heap, struct hm_budget budget, unsigned worth)
{
    if (heap->kind->tend != NULL) {
        return heap->kind->tend(heap, budget, worth);
    }
    return heap->kind->compact(heap, budget, (heap->options.flags & HM_MOVABLE_SLOTS_PINNED) != 0);
}

/* One step; returns how long to sleep after it. */
static uint64_t step(struct compactor *compactor, struct compactor_marks *marks, struct compactor_pace *pace,
                     struct view *view)
{
    struct hm_heap *heap = compactor->heap;
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    struct hm_compact_result result = compact(heap, compactor->options.step, marks->stirred ? WORTH : 0);
    cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    uint64_t now = os_now_ns();
    const struct hm_compactor_options *options = &compactor->options;
    pace->cpu_percent = compactor_share(options->cpu_percent, view->busy, options->high_percent,
                                        view->free_bytes, view->held_bytes);
    uint64_t rest = compactor_account(pace, now, cpu, result.moved_bytes);
    bool won = result.moved_bytes > 0 || result.released_bytes > 0;
    view->moved += result.moved_bytes;
    view->empty = won ? 0 : view->empty + 1;
    bool on = won || (result.done ? view->moved > 0 : result.waiting_bytes == 0 && view->empty < EMPTY_STEPS);
    if (marks->stirred) {
        on = on && !result.done;
    } else if (result.done && result.waiting_bytes == 0 && view->moved == 0) {
        compactor_give_up(marks, view->free_bytes);
    } else {
        compactor_count(marks, result.moved_bytes, view->free_bytes, view->held_bytes);
    }
    /* A guess, as empty chunks were not counted as free: to stop takes a look. */
    view->free_bytes = less(view->free_bytes, result.released_bytes);
    view->held_bytes = less(view->held_bytes, result.released_bytes);
    view->moved = result.done ? 0 : view->moved;
    bool stale = result.done || now - view->looked >= LOOK_NS ||
                 !above(view->free_bytes, view->held_bytes, options->low_percent);
    view->looked = stale ? 0 : view->looked;
    return on ? rest : later(rest, compactor->options.idle_ms * (SECOND_NS / 1000));
}

static void *run(void *argument)
{
    struct compactor *compactor = argument;
    const struct hm_compactor_options *options = &compactor->options;
    struct compactor_marks marks = {.low_percent = options->low_percent,
                                    .high_percent = options->high_percent};
    struct compactor_pace pace = {.cpu_percent = options->cpu_percent,
                                  .bytes_per_second = options->bytes_per_second};
    struct view view = {0};
    prctl(PR_SET_NAME, "hm-compactor");
    while (!stopping(compactor)) {
        uint64_t rest = options->idle_ms * (SECOND_NS / 1000);
        if (!marks.working || view.looked == 0) {
            look(compactor->heap, &view);
            note_stirring(&marks, &view);
        }
        if (compactor_wants(&marks, view.free_bytes, view.held_bytes)) {
            rest = step(compactor, &marks, &pace, &view);
        }
        if (rest > 0) {
            sleep_ns(compactor, rest);
        }
    }
    return NULL;
}

/* Signals are the program's business; a small stack may be too small where the program has much thread-local data. */
static bool start_thread(struct compactor *compactor)
{
    sigset_t all;
    sigset_t before;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = false;
    if (pthread_attr_init(&attributes) == 0) {
        started = pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
                  pthread_create(&compactor->thread, &attributes, run, compactor) == 0;
        pthread_attr_destroy(&attributes);
    }
    started = started || pthread_create(&compactor->thread, NULL, run, compactor) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static bool replace(struct hm_heap *heap, struct compactor *expected, struct compactor *by)
{
    void *old = expected;
    return __atomic_compare_exchange_n(&heap->compactor, &old, by, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* A forked child has none of its parent's threads. compactor_forget() wasn't called for heaps that fork doesn't know of. */
static bool inherited(const struct compactor *compactor)
{
    return compactor->process != getpid();
}

static void forget_inherited(struct hm_heap *heap)
{
    struct compactor *compactor = __atomic_load_n(&heap->compactor, __ATOMIC_ACQUIRE);
    if (compactor != NULL && inherited(compactor) && replace(heap, compactor, NULL)) {
        meta_pool_put(&pool, compactor);
    }
}

enum compactor_result compactor_start(struct hm_heap *heap, const struct hm_compactor_options *options)
{
    struct compactor *compactor = meta_pool_get(&pool);
    if (compactor == NULL) {
        return COMPACTOR_NO_THREAD;
    }
    *compactor = (struct compactor){.heap = heap, .options = *options, .process = getpid()};
    forget_inherited(heap);
    if (!replace(heap, NULL, compactor)) {
        meta_pool_put(&pool, compactor);
        return COMPACTOR_RUNNING;
    }
    int saved = errno;
    bool started = start_thread(compactor);
    errno = saved;
    if (started) {
        atomic_store_explicit(&compactor->state, RUNNING, memory_order_release);
        return COMPACTOR_OK;
    }
    if (replace(heap, compactor, NULL)) {
        meta_pool_put(&pool, compactor);
    } else {
        atomic_store_explicit(&compactor->state, FAILED, memory_order_release);
    }
    return COMPACTOR_NO_THREAD;
}

void compactor_stop(struct hm_heap *heap)
{
    int saved = errno;
    struct compactor *compactor = __atomic_exchange_n(&heap->compactor, NULL, __ATOMIC_ACQ_REL);
    if (compactor == NULL) {
        return;
    }
    if (inherited(compactor)) {
        meta_pool_put(&pool, compactor);
        return;
    }
    while (atomic_load_explicit(&compactor->state, memory_order_acquire) == STARTING) {
        sched_yield();
    }
    if (atomic_load_explicit(&compactor->state, memory_order_relaxed) == RUNNING) {
        atomic_store_explicit(&compactor->stop, 1, memory_order_release);
        syscall(SYS_futex, &compactor->stop, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        pthread_join(compactor->thread, NULL);
    }
    meta_pool_put(&pool, compactor);
    errno = saved;
}

void compactor_forget(struct hm_heap *heap)
{
    struct compactor *compactor = __atomic_exchange_n(&heap->compactor, NULL, __ATOMIC_ACQ_REL);
    if (compactor != NULL) {
        meta_pool_put(&pool, compactor);
    }
}
