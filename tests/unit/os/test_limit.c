#include <criterion/criterion.h>
#include <errno.h>
#include <sys/resource.h>

#include "os/os.h"
#include "support/env.h"

Test(limit, is_that_of_the_process)
{
    if (test_under("tsan") || test_under("asan") || test_under("valgrind")) {
        cr_skip_test("address space can't be limited here");
    }
    struct rlimit old;
    cr_assert_eq(getrlimit(RLIMIT_AS, &old), 0);
    cr_assert_eq(os_address_limit(), old.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)old.rlim_cur);
    struct rlimit limit = {.rlim_cur = (rlim_t)3 << 32, .rlim_max = old.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    errno = 33;
    cr_assert_eq(os_address_limit(), (size_t)3 << 32);
    cr_assert_eq(errno, 33);
}
