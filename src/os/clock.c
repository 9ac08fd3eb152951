#define _GNU_SOURCE 1

#include <errno.h>
#include <time.h>

#include "os/os.h"

uint64_t os_now_ns(void)
{
    int saved = errno;
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    errno = saved;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
