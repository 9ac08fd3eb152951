#define _GNU_SOURCE 1
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "movable/dump_out.h"

Test(dump_out, everything_is_written_in_order)
{
    int fds[2];
    char text[40000];
    cr_assert_eq(pipe(fds), 0);
    cr_assert(fcntl(fds[1], F_SETPIPE_SZ, 1 << 17) > 0);
    struct dump_out out;
    dump_out_init(&out, fds[1]);
    for (int i = 0; i < 5000; i++) {
        dump_out_format(&out, "%05d\n", i);
    }
    cr_assert(dump_out_finish(&out));
    cr_assert_eq(read(fds[0], text, sizeof(text)), 30000);
    for (int i = 0; i < 5000; i++) {
        cr_assert_eq(atoi(text + 6 * i), i);
    }
}

Test(dump_out, after_a_failure_nothing_is_written)
{
    struct dump_out out;
    dump_out_init(&out, -1);
    for (int i = 0; i < 1000; i++) {
        dump_out_format(&out, "%05d\n", i);
    }
    cr_assert(out.failed);
    errno = 0;
    cr_assert_not(dump_out_finish(&out));
    cr_assert_eq(errno, 0, "no second attempt");
}

Test(dump_out, the_reason_is_left_in_errno)
{
    struct dump_out out;
    dump_out_init(&out, -1);
    dump_out_format(&out, "x");
    cr_assert_not(dump_out_finish(&out));
    cr_assert_eq(errno, EBADF);
}
