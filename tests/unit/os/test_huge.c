#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "os/os.h"
#include "support/refuse.h"

#define SETTING "/sys/kernel/mm/transparent_hugepage/enabled"

/* By libc, as a second opinion. */
static bool setting_is(const char *word)
{
    char line[128] = "";
    FILE *file = fopen(SETTING, "r");
    if (file != NULL) {
        cr_assert_not_null(fgets(line, sizeof(line), file));
        fclose(file);
    }
    return strstr(line, word) != NULL;
}

Test(huge_setting, allowed_unless_it_is_never_or_missing)
{
    bool expected = setting_is("always") && !setting_is("[never]");
    errno = 33;
    cr_assert_eq(os_huge_allowed(), expected);
    cr_assert_eq(errno, 33);
}

Test(huge_setting, not_allowed_where_it_cannot_be_read)
{
    const int refused[] = {SYS_openat};
    if (!refuse_calls(refused, 1, EACCES)) {
        cr_skip_test("no filter can be installed here");
    }
    cr_assert_not(os_huge_allowed());
}
