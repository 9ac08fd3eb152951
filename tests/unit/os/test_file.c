#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "os/os.h"
#include "support/refuse.h"

Test(file, reads_the_beginning)
{
    char buf[64];
    memset(buf, 'x', sizeof(buf));
    errno = 33;
    size_t got = os_read("/proc/self/comm", buf, sizeof(buf));
    cr_assert_eq(errno, 33);
    cr_assert(got > 1 && got < sizeof(buf));
    cr_assert_eq(buf[got - 1], '\n');
    cr_assert_eq(buf[got], 'x');
    memset(buf, 'x', sizeof(buf));
    cr_assert_eq(os_read("/proc/self/comm", buf, 1), 1);
    cr_assert_eq(buf[1], 'x');
}

Test(file, nothing_where_there_is_none)
{
    char buf[8];
    errno = 33;
    cr_assert_eq(os_read("/proc/self/no-such-file", buf, sizeof(buf)), 0);
    cr_assert_eq(os_read("/proc/self", buf, sizeof(buf)), 0, "a folder can be opened, not read");
    cr_assert_eq(errno, 33);
}

Test(file, nothing_where_files_cannot_be_opened)
{
    char buf[8];
    const int refused[] = {SYS_openat};
    if (!refuse_calls(refused, 1, EACCES)) {
        cr_skip_test("no filter can be installed here");
    }
    errno = 33;
    cr_assert_eq(os_read("/proc/self/comm", buf, sizeof(buf)), 0);
    cr_assert_eq(errno, 33);
}
