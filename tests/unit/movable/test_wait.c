#include <criterion/criterion.h>
#include <errno.h>
#include <time.h>

#include "movable/wait.h"

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

Test(wait, begins_fast_and_ends_asleep, .timeout = 60)
{
    struct wait wait = {0};
    uint64_t fastest = UINT64_MAX;
    uint64_t start;
    /* One of them isn't interrupted. */
    for (int i = 0; i < 20; i++) {
        start = clock_ns(CLOCK_MONOTONIC);
        wait_step(&wait);
        uint64_t passed = clock_ns(CLOCK_MONOTONIC) - start;
        fastest = passed < fastest ? passed : fastest;
    }
    cr_assert_lt(fastest, 1000000u);
    for (int i = 0; i < 200; i++) {
        wait_step(&wait);
    }
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    start = clock_ns(CLOCK_MONOTONIC);
    errno = 33;
    for (int i = 0; i < 100; i++) {
        wait_step(&wait);
    }
    cr_assert_eq(errno, 33);
    uint64_t passed = clock_ns(CLOCK_MONOTONIC) - start;
    cr_assert_geq(passed, 100u * 1000000u, "a step sleeps 1 ms in the end");
    cr_assert_lt(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu, passed / 2);
}
