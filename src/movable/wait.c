#define _GNU_SOURCE 1

#include "movable/wait.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/pause.h"

#define SPINS      32u
#define YIELDS     32u
#define SLEEP_NS   20000
#define SLEEPS_LOG 6u /* 20 us doubled this often is the longest sleep */
#define NS_MAX     1000000

/* A raw call: libc's is a point where the thread may be cancelled. A filter that refuses it makes this a yield. */
static void sleep_ns(long ns)
{
    struct timespec time = {.tv_nsec = ns < NS_MAX ? ns : NS_MAX};
    if (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, NULL) == -1 && errno != EINTR) {
        sched_yield();
    }
}

void wait_step(struct wait *wait)
{
    int saved = errno;
    uint32_t step = wait->steps;
    if (step < SPINS) {
        cpu_pause();
    } else if (step < SPINS + YIELDS) {
        sched_yield();
    } else {
        sleep_ns((long)SLEEP_NS << (step - SPINS - YIELDS));
    }
    if (step < SPINS + YIELDS + SLEEPS_LOG) {
        wait->steps++;
    }
    errno = saved;
}
