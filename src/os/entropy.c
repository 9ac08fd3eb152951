#define _GNU_SOURCE 1

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

/* The finaliser of splitmix64: every input bit changes half of the output bits. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* libc derives its stack guard from AT_RANDOM, so all 128 bits go in: 64 bits of output don't lead back to
 * them. */
static uint64_t random_fallback(void)
{
    static _Atomic uint64_t calls;
    uint64_t seed[2] = {0, 0};
    const void *at_random = (const void *)getauxval(AT_RANDOM);
    if (at_random != NULL) {
        memcpy(seed, at_random, sizeof(seed));
    }
    uint64_t x = mix(seed[0] + atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed));
    x = mix(x ^ seed[1] ^ nanoseconds(CLOCK_MONOTONIC));
    x = mix(x + nanoseconds(CLOCK_REALTIME) + (uint64_t)getpid());
    return mix(x ^ (uintptr_t)&seed ^ (uint64_t)(uintptr_t)&calls << 20);
}

/* Not getrandom(): that is a cancellation point. GRND_NONBLOCK, since early in the boot the pool may not be
 * ready. */
uint64_t os_random(void)
{
    int saved = errno;
    uint64_t value;
    if (syscall(SYS_getrandom, &value, sizeof(value), GRND_NONBLOCK) != (long)sizeof(value)) {
        value = random_fallback();
    }
    errno = saved;
    return value;
}
