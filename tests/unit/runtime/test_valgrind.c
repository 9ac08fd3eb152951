#include "runtime/valgrind.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(valgrind);

Test(valgrind, tools_that_replace_malloc_have_a_library)
{
    cr_assert(valgrind_in("/usr/libexec/valgrind/vgpreload_core-amd64-linux.so:"
                          "/usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so"));
    cr_assert(valgrind_in("vgpreload_dhat-amd64-linux.so /a.so"));
    cr_assert_not(valgrind_in("/usr/libexec/valgrind/vgpreload_core-amd64-linux.so"));
    cr_assert_not(valgrind_in("/a/vgpreload.so:vgpreload_core"));
    cr_assert_not(valgrind_in(""));
}

Test(valgrind, is_found_by_what_is_preloaded)
{
    setenv("LD_PRELOAD", "/a.so:/b/vgpreload_memcheck-amd64-linux.so", 1);
    cr_assert(valgrind_replaces_malloc());
    setenv("LD_PRELOAD", "/a.so", 1);
    cr_assert_not(valgrind_replaces_malloc());
    unsetenv("LD_PRELOAD");
    cr_assert_not(valgrind_replaces_malloc());
}
