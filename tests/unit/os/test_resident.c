#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "os/os.h"
#include "support/env.h"
#include "support/refuse.h"

#define AREA  ((size_t)64 << 20)
#define SLACK ((size_t)4 << 20) /* the kernel counts pages per CPU and folds them late */

Test(resident, follows_touching_and_purging)
{
    if (test_under("tsan")) {
        cr_skip_test("touching memory makes several times as much shadow resident");
    }
    const struct os *os = os_linux();
    char *area = os->map(os, AREA);
    cr_assert_not_null(area);
    errno = 33;
    size_t before = os_resident();
    memset(area, 1, AREA);
    size_t touched = os_resident();
    os->purge(os, area, AREA);
    size_t after = os_resident();
    cr_assert_eq(errno, 33);
    cr_assert_gt(before, 0);
    cr_assert_geq(touched, before + AREA - SLACK);
    cr_assert_leq(touched, before + AREA + SLACK);
    cr_assert_leq(after, before + SLACK);
}

Test(resident, zero_where_proc_cannot_be_opened)
{
    const int refused[] = {SYS_openat};
    if (!refuse_calls(refused, 1, EACCES)) {
        cr_skip_test("no filter can be installed here");
    }
    errno = 33;
    cr_assert_eq(os_resident(), 0);
    cr_assert_eq(errno, 33);
}
