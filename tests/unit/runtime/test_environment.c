#define _GNU_SOURCE 1

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/environment.h"

static char buf[64];

Test(environment, finds_whole_names_only)
{
    setenv("HM_TEST_A", "one=1", 1);
    setenv("HM_TEST_AB", "", 1);
    cr_assert_str_eq(environment_get("HM_TEST_A", buf, sizeof(buf)), "one=1");
    cr_assert_str_eq(environment_get("HM_TEST_AB", buf, sizeof(buf)), "");
    cr_assert_null(environment_get("HM_TEST_", buf, sizeof(buf)));
    cr_assert_null(environment_get("HM_TEST_ABC", buf, sizeof(buf)));
}

Test(environment, before_libc_knows_it_the_kernel_is_asked)
{
    char **kept = environ;
    const char *path = getenv("PATH");
    char long_buf[65536];
    environ = NULL;
    environment_give(NULL);
    const char *found = environment_get("PATH", long_buf, sizeof(long_buf));
    const char *missing = environment_get("HM_TEST_NOT_THERE", buf, sizeof(buf));
    environ = kept;
    cr_assert_not_null(path);
    cr_assert_not_null(found);
    cr_assert_str_eq(found, path);
    cr_assert_null(missing);
}

Test(environment, constructors_bring_it_before_libc_knows_it)
{
    static char name[] = "HM_TEST_GIVEN=by the linker";
    char *variables[] = {name, NULL};
    char **kept = environ;
    environ = NULL;
    environment_give(variables);
    const char *found = environment_get("HM_TEST_GIVEN", buf, sizeof(buf));
    environ = kept;
    const char *libcs = environment_get("HM_TEST_GIVEN", buf, sizeof(buf));
    environment_give(NULL);
    cr_assert_str_eq(found, "by the linker");
    cr_assert_null(libcs, "libc's own comes first");
}

/* A file like /proc/self/environ, long enough to need several reads. */
static void write_file(char *path)
{
    FILE *file = fdopen(mkstemp(path), "w");
    for (int i = 0; i < 200; i++) {
        fprintf(file, "FILLER_%d=some text%c", i, 0);
    }
    fprintf(file, "NAMED=wrong%cNAME=right value%c=odd%cNAM=short%cLAST=unterminated", 0, 0, 0, 0);
    fclose(file);
}

Test(environment, reads_files_of_variables)
{
    char path[] = "/tmp/hm_environment_XXXXXX";
    char small[6];
    write_file(path);
    errno = 66;
    cr_assert(environment_read(path, "NAME", buf, sizeof(buf)));
    cr_assert_str_eq(buf, "right value");
    cr_assert(environment_read(path, "NAM", buf, sizeof(buf)));
    cr_assert_str_eq(buf, "short");
    cr_assert(environment_read(path, "LAST", buf, sizeof(buf)));
    cr_assert_str_eq(buf, "unterminated");
    cr_assert(environment_read(path, "FILLER_199", buf, sizeof(buf)));
    cr_assert(environment_read(path, "NAME", small, sizeof(small)));
    cr_assert_str_eq(small, "right");
    cr_assert_not(environment_read(path, "FILLER", buf, sizeof(buf)));
    cr_assert_not(environment_read("/nowhere/at/all", "NAME", buf, sizeof(buf)));
    cr_assert_eq(errno, 66, "errno was changed");
    unlink(path);
}

Test(environment, an_ordinary_program_may_trust_it)
{
    cr_assert_not(environment_untrusted());
}
