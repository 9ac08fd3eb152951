#define _GNU_SOURCE 1

#include "runtime/compactor.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "page/meta.h"
#include "support/env.h"
#include "support/fake_os.h"
#include "support/threads.h"

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS     UINT64_C(1000000)

/* A heap that is nothing but figures. */
static struct {
    struct hm_heap heap;
    _Atomic size_t free_bytes;
    _Atomic size_t held_bytes;
    _Atomic size_t steps;
    _Atomic size_t looks;
    size_t gain;      /* bytes that a step moves and frees */
    uint64_t work_ns; /* CPU time of a step */
    size_t waiting;
    _Atomic size_t stirred_bytes;
    _Atomic unsigned worth;
    _Atomic bool slots;
    _Atomic bool signals_blocked;
    char thread_name[16];
    struct hm_budget budget;
} fake;

static struct fake_os os;
static struct meta meta;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

static void burn(uint64_t nanoseconds)
{
    uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + nanoseconds;
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end) {
    }
}

static struct hm_compact_result fake_compact(struct hm_heap *heap, struct hm_budget budget, bool slots)
{
    (void)heap;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    fake.signals_blocked = sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGUSR1) == 1;
    prctl(PR_GET_NAME, fake.thread_name);
    fake.budget = budget;
    fake.slots = slots;
    burn(fake.work_ns);
    size_t gain = fake.gain < fake.free_bytes ? fake.gain : fake.free_bytes;
    fake.steps++;
    fake.free_bytes -= gain;
    return (struct hm_compact_result){
        .moved_bytes = gain, .released_bytes = gain, .waiting_bytes = fake.waiting, .done = gain == 0};
}

static void fake_stats(struct hm_heap *heap, struct hm_movable_stats *stats)
{
    (void)heap;
    fake.looks++;
    stats->free_bytes = fake.free_bytes;
    stats->held_bytes = fake.held_bytes;
}

static const struct movable_kind fake_kind = {.compact = fake_compact, .stats = fake_stats};

static void fake_look(struct hm_heap *heap, struct movable_view *view)
{
    (void)heap;
    fake.looks++;
    view->free_bytes = fake.free_bytes;
    view->held_bytes = fake.held_bytes;
    view->stirred_bytes = fake.stirred_bytes;
}

static struct hm_compact_result fake_tend(struct hm_heap *heap, struct hm_budget budget, unsigned worth)
{
    fake.worth = worth;
    return fake_compact(heap, budget, false);
}

static const struct movable_kind fake_growing_kind = {.tend = fake_tend, .look = fake_look};

static const struct hm_compactor_options options = {.low_percent = 3,
                                                    .high_percent = 10,
                                                    .cpu_percent = 100,
                                                    .step = {.bytes = 65536, .nanoseconds = 100000},
                                                    .idle_ms = 1};

static void set_up(void)
{
    fake_os_init(&os, 0, 0);
    meta_init(&meta, &os.os);
    compactor_init(&meta);
    memset((void *)&fake, 0, sizeof fake);
    fake.heap.kind = &fake_kind;
}

static void tear_down(void)
{
    compactor_stop(&fake.heap);
    fake_os_destroy(&os);
}

TestSuite(compactor, .init = set_up, .fini = tear_down, .timeout = 60);

static void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

static bool comes_true(bool (*condition)(void))
{
    for (int i = 0; i < 25000 && !condition(); i++) {
        sleep_ms(1);
    }
    return condition();
}

static bool at_low_mark(void)
{
    return fake.free_bytes <= 30000;
}

static bool looked_often(void)
{
    return fake.looks > 40;
}

static bool looked_once(void)
{
    return fake.looks > 0;
}

static bool stepped(void)
{
    return fake.steps > 0;
}

static bool stepped_often(void)
{
    return fake.steps > 1000;
}

Test(compactor, works_from_above_the_high_mark_to_the_low_one)
{
    fake.held_bytes = 1000000;
    fake.free_bytes = 110000;
    fake.gain = 7000;
    cr_assert_eq(compactor_start(&fake.heap, &options), COMPACTOR_OK);
    cr_assert(comes_true(at_low_mark));
    size_t steps = fake.steps;
    cr_assert_eq(steps, 12);
    fake.looks = 0;
    cr_assert(comes_true(looked_often));
    cr_assert_eq(fake.steps, steps);
}

static bool only_what_pays(void)
{
    fake.stirred_bytes += 100000;
    return fake.worth == 50;
}

static bool thorough(void)
{
    return fake.worth == 0 && fake.steps > 0;
}

Test(compactor, while_the_program_stirs_the_heap_only_what_pays_is_done)
{
    fake.heap.kind = &fake_growing_kind;
    fake.held_bytes = 1000000;
    fake.free_bytes = 500000;
    compactor_start(&fake.heap, &options);
    cr_assert(comes_true(only_what_pays));
    fake.steps = 0;
    cr_assert(comes_true(thorough));
}

Test(compactor, a_heap_that_is_let_be_is_compacted_down_to_the_low_mark)
{
    struct compactor_marks marks = {.low_percent = 3, .high_percent = 10};
    cr_assert_not(compactor_wants(&marks, 90000, 1000000));
    compactor_stirred(&marks, true, true);
    cr_assert_not(compactor_wants(&marks, 90000, 1000000));
    compactor_stirred(&marks, false, false);
    cr_assert_not(compactor_wants(&marks, 90000, 1000000));
    compactor_stirred(&marks, true, true);
    compactor_give_up(&marks, 90000);
    compactor_stirred(&marks, false, true);
    cr_assert(compactor_wants(&marks, 90000, 1000000));
    cr_assert(compactor_wants(&marks, 31000, 1000000));
    cr_assert_not(compactor_wants(&marks, 29000, 1000000));
}

Test(compactor, below_the_high_mark_it_only_looks)
{
    fake.held_bytes = 1000000;
    fake.free_bytes = 90000;
    fake.gain = 7000;
    compactor_start(&fake.heap, &options);
    cr_assert(comes_true(looked_often));
    cr_assert_eq(fake.steps, 0);
}

Test(compactor, the_thread_has_a_name_and_no_signals_and_gets_the_budget)
{
    sigset_t before;
    sigset_t after;
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    fake.held_bytes = 1000;
    fake.free_bytes = 900;
    compactor_start(&fake.heap, &options);
    cr_assert(comes_true(stepped));
    compactor_stop(&fake.heap);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    cr_assert_eq(memcmp(&before, &after, sizeof before), 0);
    cr_assert(fake.signals_blocked);
    cr_assert_str_eq(fake.thread_name, "hm-compactor");
    cr_assert_eq(fake.budget.bytes, 65536);
    cr_assert_eq(fake.budget.nanoseconds, 100000);
    cr_assert_not(fake.slots);
}

Test(compactor, blocks_with_slots_move_only_if_slots_are_read_under_pins)
{
    fake.heap.options.flags = HM_MOVABLE_SLOTS_PINNED;
    fake.held_bytes = 1000;
    fake.free_bytes = 900;
    compactor_start(&fake.heap, &options);
    cr_assert(comes_true(stepped));
    compactor_stop(&fake.heap);
    cr_assert(fake.slots);
}

Test(compactor, a_heap_has_one_and_can_have_another_after_it)
{
    cr_assert_eq(compactor_start(&fake.heap, &options), COMPACTOR_OK);
    cr_assert_eq(compactor_start(&fake.heap, &options), COMPACTOR_RUNNING);
    compactor_stop(&fake.heap);
    compactor_stop(&fake.heap);
    size_t used = meta.used;
    for (size_t i = test_scale(100) + 1; i > 0; i--) {
        cr_assert_eq(compactor_start(&fake.heap, &options), COMPACTOR_OK);
        compactor_stop(&fake.heap);
    }
    cr_assert_eq(meta.used, used);
}

Test(compactor, stopping_does_not_wait_for_the_end_of_a_sleep)
{
    struct hm_compactor_options sleepy = options;
    sleepy.idle_ms = 100000;
    compactor_start(&fake.heap, &sleepy);
    cr_assert(comes_true(looked_once));
    sleep_ms(20);
    uint64_t before = clock_ns(CLOCK_MONOTONIC);
    compactor_stop(&fake.heap);
    cr_assert_lt(clock_ns(CLOCK_MONOTONIC) - before, 20 * SECOND_NS);
}

Test(compactor, no_memory_for_its_state)
{
    fake_os_refuse_kind(&os, FAKE_MAP, true);
    fake_os_refuse_kind(&os, FAKE_RESERVE, true);
    cr_assert_eq(compactor_start(&fake.heap, &options), COMPACTOR_NO_THREAD);
    cr_assert_null(fake.heap.compactor);
}

Test(compactor, a_child_forgets_it_and_can_have_its_own)
{
    fake.heap.compactor = NULL;
    compactor_start(&fake.heap, &options);
    cr_assert(threads_asleep("hm-compactor", 1));
    pid_t pid = test_under("tsan") ? -1 : fork();
    if (pid == 0) {
        alarm(20);
        compactor_forget(&fake.heap);
        compactor_stop(&fake.heap);
        fake.held_bytes = 1000;
        fake.free_bytes = 900;
        bool well = compactor_start(&fake.heap, &options) == COMPACTOR_OK && comes_true(stepped);
        compactor_stop(&fake.heap);
        _exit(!well);
    }
    int status = 0;
    cr_assert(pid == -1 || (waitpid(pid, &status, 0) == pid && status == 0));
}

Test(compactor, keeps_to_its_share_of_cpu_time)
{
    struct hm_compactor_options quarter = options;
    quarter.cpu_percent = 25;
    fake.held_bytes = (size_t)1 << 40;
    fake.free_bytes = (size_t)1 << 39;
    fake.gain = 1;
    fake.work_ns = 100000;
    uint64_t before = clock_ns(CLOCK_MONOTONIC);
    compactor_start(&fake.heap, &quarter);
    cr_assert(comes_true(stepped_often));
    compactor_stop(&fake.heap);
    uint64_t passed = clock_ns(CLOCK_MONOTONIC) - before;
    /* 1000 steps of 100 us at 25 %: 400 ms, more where the machine is busy. */
    cr_assert_leq(fake.steps * fake.work_ns, passed / 4 + passed / 40);
}

Test(compactor, sleeps_add_up_to_the_shares)
{
    struct compactor_pace pace = {.cpu_percent = 25};
    uint64_t now = 10 * MS_NS;
    cr_assert_eq(compactor_account(&pace, now, MS_NS, 0), 3 * MS_NS);
    /* Slept for too short: the debt is still there. */
    now += 2 * MS_NS;
    cr_assert_eq(compactor_account(&pace, now, MS_NS, 0), 5 * MS_NS);
    /* Long ago: it starts anew. */
    now += 100 * MS_NS;
    cr_assert_eq(compactor_account(&pace, now, MS_NS, 0), 3 * MS_NS);
}

Test(compactor, short_sleeps_are_put_together)
{
    struct compactor_pace pace = {.cpu_percent = 50};
    uint64_t now = MS_NS;
    cr_assert_eq(compactor_account(&pace, now, 150000, 0), 0);
    now += 150000;
    cr_assert_eq(compactor_account(&pace, now, 150000, 0), 300000);
}

Test(compactor, bytes_have_their_rate)
{
    struct compactor_pace pace = {.cpu_percent = 100, .bytes_per_second = 1000000};
    cr_assert_eq(compactor_account(&pace, SECOND_NS, 0, 1000), MS_NS);
    cr_assert_eq(compactor_account(&pace, SECOND_NS + MS_NS, 0, 2000), 2 * MS_NS);
    cr_assert_gt(compactor_account(&pace, 2 * SECOND_NS, 0, (size_t)1 << 55), 1000 * SECOND_NS);
}

Test(compactor, gives_up_where_nothing_helps_until_something_changes)
{
    struct compactor_marks marks = {.low_percent = 3, .high_percent = 10};
    cr_assert(compactor_wants(&marks, 500000, 1000000));
    compactor_give_up(&marks, 500000);
    cr_assert_not(compactor_wants(&marks, 500000, 1000000));
    cr_assert(compactor_wants(&marks, 600000, 1000000));
    compactor_give_up(&marks, 600000);
    int looks = 0;
    while (!compactor_wants(&marks, 600000, 1000000)) {
        looks++;
    }
    cr_assert_eq(looks, 16);
}

Test(compactor, while_it_works_it_looks_seldom)
{
    fake.held_bytes = (size_t)1 << 40;
    fake.free_bytes = (size_t)1 << 39;
    fake.gain = 1;
    uint64_t before = clock_ns(CLOCK_MONOTONIC);
    compactor_start(&fake.heap, &options);
    cr_assert(comes_true(stepped_often));
    compactor_stop(&fake.heap);
    cr_assert_leq(fake.looks, (clock_ns(CLOCK_MONOTONIC) - before) / (20 * MS_NS) + 2);
}

Test(compactor, waits_longer_each_time_that_nothing_helps)
{
    struct compactor_marks marks = {.low_percent = 3, .high_percent = 10};
    int looks;
    for (int expected = 16; expected <= 1024; expected *= 2) {
        cr_assert(compactor_wants(&marks, 500000, 1000000));
        compactor_give_up(&marks, 500000);
        for (looks = 0; !compactor_wants(&marks, 500000, 1000000); looks++) {
        }
        cr_assert_eq(looks, expected);
    }
    /* The low mark is reached: all begins anew. */
    cr_assert_gt(marks.tries, 0);
    cr_assert_not(compactor_wants(&marks, 20000, 1000000));
    cr_assert_eq(marks.tries, 0);
}

Test(compactor, who_moves_the_heap_round_and_round_gives_up)
{
    struct compactor_marks marks = {.low_percent = 3, .high_percent = 10};
    cr_assert(compactor_wants(&marks, 500000, 1000000));
    compactor_count(&marks, 1500000, 400000, 1000000);
    cr_assert(compactor_wants(&marks, 400000, 1000000));
    compactor_count(&marks, 500002, 400000, 1000000);
    cr_assert_not(compactor_wants(&marks, 400000, 1000000));
}

Test(compactor, a_hopeless_heap_costs_few_steps)
{
    fake.held_bytes = 1000000;
    fake.free_bytes = 500000;
    compactor_start(&fake.heap, &options);
    cr_assert(comes_true(looked_often));
    compactor_stop(&fake.heap);
    cr_assert_leq(fake.steps, fake.looks / 8 + 2);
}

Test(compactor, what_waits_for_readers_is_looked_after)
{
    fake.held_bytes = 1000000;
    fake.free_bytes = 500000;
    fake.waiting = 4096;
    compactor_start(&fake.heap, &options);
    cr_assert(comes_true(looked_often));
    compactor_stop(&fake.heap);
    cr_assert_geq(fake.steps, 40);
}

Test(compactor, a_busy_process_is_left_most_of_its_cpu_time)
{
    cr_assert_eq(compactor_share(24, false, 10, 15000, 100000), 24);
    cr_assert_eq(compactor_share(24, true, 10, 15000, 100000), 3);
    cr_assert_eq(compactor_share(24, true, 10, 41000, 100000), 24);
    cr_assert_eq(compactor_share(2, true, 10, 15000, 100000), 1);
}
