#define _GNU_SOURCE 1

#include "base/writer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES 900

static void write_lines(struct writer *writer)
{
    for (int i = 0; i < LINES; i++) {
        writer_format(writer, "line %03d\n", i);
    }
}

Test(writer, what_exceeds_the_buffer_is_written_whole)
{
    char expected[16];
    char got[16];
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct writer writer;
    writer_init(&writer, ends[1]);
    write_lines(&writer);
    cr_assert(writer_finish(&writer));
    close(ends[1]);
    for (int i = 0; i < LINES; i++) {
        struct text text;
        text_init(&text, expected, sizeof(expected));
        text_format(&text, "line %03d\n", i);
        cr_assert_eq(read(ends[0], got, text.len), (ssize_t)text.len);
        cr_assert_eq(memcmp(got, expected, text.len), 0);
    }
    cr_assert_eq(read(ends[0], got, 1), 0);
}

Test(writer, strings_may_be_longer_than_the_buffer)
{
    static char string[3 * WRITER_BYTES];
    static char got[4 * WRITER_BYTES];
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct writer writer;
    writer_init(&writer, ends[1]);
    for (size_t i = 0; i < sizeof(string) - 1; i++) {
        string[i] = (char)('a' + i % 23);
    }
    writer_format(&writer, "<");
    writer_put(&writer, string);
    writer_put(&writer, "");
    writer_format(&writer, ">");
    cr_assert(writer_finish(&writer));
    cr_assert_eq(read(ends[0], got, sizeof(got)), (ssize_t)sizeof(string) + 1);
    cr_assert(got[0] == '<' && memcmp(got + 1, string, sizeof(string) - 1) == 0 &&
              got[sizeof(string)] == '>');
}

Test(writer, nothing_is_written_before_it_must_be)
{
    char got[4];
    int ends[2];
    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    struct writer writer;
    writer_init(&writer, ends[1]);
    writer_format(&writer, "abc");
    cr_assert_eq(read(ends[0], got, 3), -1);
    cr_assert(writer_finish(&writer));
    cr_assert_eq(read(ends[0], got, 3), 3);
}

Test(writer, a_failing_write_is_the_last_one)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    cr_assert_eq(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    struct writer writer;
    writer_init(&writer, ends[1]);
    write_lines(&writer);
    cr_assert(writer.failed);
    char got[4096];
    ssize_t len = read(ends[0], got, sizeof(got));
    cr_assert_gt(len, 3000);
    cr_assert_eq(memcmp(got, "line 000\n", 9), 0);
    errno = 0;
    writer_format(&writer, "more\n");
    cr_assert_not(writer_finish(&writer));
    cr_assert_eq(errno, 0, "no further system call is made");
    cr_assert_eq(read(ends[0], got, sizeof(got)), -1);
}

Test(writer, the_error_is_that_of_the_write)
{
    struct writer writer;
    writer_init(&writer, open("/dev/full", O_WRONLY));
    writer_format(&writer, "abc");
    cr_assert_not(writer_finish(&writer));
    cr_assert_eq(errno, ENOSPC);
    writer_init(&writer, -1);
    writer_format(&writer, "abc");
    cr_assert_not(writer_finish(&writer));
    cr_assert_eq(errno, EBADF);
}

Test(writer, everything_is_written_in_order)
{
    int fds[2];
    char text[40000];
    cr_assert_eq(pipe(fds), 0);
    cr_assert(fcntl(fds[1], F_SETPIPE_SZ, 1 << 17) > 0);
    struct writer out;
    writer_init(&out, fds[1]);
    for (int i = 0; i < 5000; i++) {
        writer_format(&out, "%05d\n", i);
    }
    cr_assert(writer_finish(&out));
    cr_assert_eq(read(fds[0], text, sizeof(text)), 30000);
    for (int i = 0; i < 5000; i++) {
        cr_assert_eq(atoi(text + 6 * i), i);
    }
}

Test(writer, after_a_failure_nothing_is_written)
{
    struct writer out;
    writer_init(&out, -1);
    for (int i = 0; i < 1000; i++) {
        writer_format(&out, "%05d\n", i);
    }
    cr_assert(out.failed);
    errno = 0;
    cr_assert_not(writer_finish(&out));
    cr_assert_eq(errno, 0, "no second attempt");
}

Test(writer, the_reason_is_left_in_errno)
{
    struct writer out;
    writer_init(&out, -1);
    writer_format(&out, "x");
    cr_assert_not(writer_finish(&out));
    cr_assert_eq(errno, EBADF);
}
