#include <criterion/criterion.h>
#include <errno.h>
#include <time.h>

#include "os/os.h"

Test(clock, counts_nanoseconds_and_keeps_errno)
{
    struct timespec pause = {.tv_nsec = 3000000};
    errno = 33;
    uint64_t before = os_now_ns();
    while (nanosleep(&pause, &pause) != 0) {
    }
    uint64_t after = os_now_ns();
    cr_assert_geq(after - before, 3000000);
    cr_assert_lt(after - before, UINT64_C(600000000000));
    cr_assert_eq(errno, 33);
}
