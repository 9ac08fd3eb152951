/* Criterion assertion: a function, run in a child, ends the process with one line that says something. */
#ifndef HM_TESTS_SUPPORT_ASSERT_PANIC_H
#define HM_TESTS_SUPPORT_ASSERT_PANIC_H

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "support/child.h"

static inline void assert_panic(void (*function)(void *), void *argument, const char *text)
{
    struct child child = child_run(function, argument);
    const char *end = strchr(child.errors, '\n');
    cr_assert_eq(child.signal, SIGABRT, "signal %d, exit %d, for \"%s\": %s", child.signal, child.code, text,
                 child.errors);
    cr_assert_eq(strncmp(child.errors, "hmalloc: ", 9), 0, "%s", child.errors);
    cr_assert(end != NULL && end[1] == 0, "not exactly one line: %s", child.errors);
    cr_assert_not_null(strstr(child.errors, text), "no \"%s\" in: %s", text, child.errors);
}

#endif
