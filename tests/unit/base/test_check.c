#define _GNU_SOURCE 1

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "support/child.h"

static void do_panic(void *argument)
{
    panic("double free of %p (block of %zu bytes)", argument, (size_t)48);
}

static void do_panic_long(void *argument)
{
    panic("%s", (const char *)argument);
}

static void do_warn(void *argument)
{
    (void)argument;
    errno = 42;
    warn("unknown key '%s'", "colour");
    _exit(errno);
}

/* The write fails with EBADF, which must not show. */
static void do_warn_closed(void *argument)
{
    (void)argument;
    close(STDERR_FILENO);
    errno = 42;
    warn("nobody reads this");
    _exit(errno);
}

static void do_checks_that_hold(void *argument)
{
    (void)argument;
    HM_CHECK(true, "holds");
    HM_ASSERT(true, "holds");
}

static void do_check(void *argument)
{
    HM_CHECK(argument == NULL, "argument is NULL");
}

static void do_assert(void *argument)
{
    HM_ASSERT(argument == NULL, "argument is NULL");
}

/* A packet pipe keeps the writes apart: one read returns what one write wrote. */
static void do_count_writes(void *argument)
{
    int *ends = argument;
    dup2(ends[1], STDERR_FILENO);
    warn("%s and %d", "text", 1);
}

Test(check, panic_writes_one_line_and_aborts)
{
    struct child child = child_run(do_panic, (void *)0x1000);
    cr_assert_str_eq(child.errors, "hmalloc: double free of 0x1000 (block of 48 bytes)\n");
    cr_assert_eq(child.signal, SIGABRT);
}

Test(check, long_message_is_cut_but_stays_a_line)
{
    static char longer[2000];
    memset(longer, 'x', sizeof(longer) - 1);
    struct child child = child_run(do_panic_long, longer);
    size_t len = strlen(child.errors);
    cr_assert_gt(len, 400);
    cr_assert_lt(len, sizeof(longer));
    cr_assert_eq(child.errors[len - 1], '\n');
    cr_assert_eq(child.errors[len - 2], 'x');
    cr_assert_eq(child.signal, SIGABRT);
}

Test(check, warn_writes_one_line_and_returns_with_errno_kept)
{
    struct child child = child_run(do_warn, NULL);
    cr_assert_str_eq(child.errors, "hmalloc: warning: unknown key 'colour'\n");
    cr_assert(child.exited);
    cr_assert_eq(child.code, 42);
}

Test(check, warn_keeps_errno_when_stderr_is_closed)
{
    struct child child = child_run(do_warn_closed, NULL);
    cr_assert(child.exited);
    cr_assert_eq(child.code, 42);
}

Test(check, message_is_one_write)
{
    char line[256];
    int ends[2];
    cr_assert_eq(pipe2(ends, O_DIRECT | O_NONBLOCK), 0);
    struct child child = child_run(do_count_writes, ends);
    cr_assert(child.exited);
    ssize_t got = read(ends[0], line, sizeof(line));
    cr_assert_gt(got, 0);
    cr_assert_eq(line[got - 1], '\n');
    cr_assert_eq(read(ends[0], line, sizeof(line)), -1);
}

Test(check, true_conditions_pass)
{
    struct child child = child_run(do_checks_that_hold, NULL);
    cr_assert(child.exited);
    cr_assert_str_empty(child.errors);
}

Test(check, failed_check_names_the_invariant_and_the_place)
{
    char expected[256];
    struct child child = child_run(do_check, &child);
    snprintf(expected, sizeof(expected), "hmalloc: broken invariant: argument is NULL (%s:", __FILE__);
    cr_assert(strncmp(child.errors, expected, strlen(expected)) == 0, "%s", child.errors);
    cr_assert_eq(child.signal, SIGABRT);
}

Test(check, assertions_exist_in_debug_builds_only)
{
    struct child child = child_run(do_assert, &child);
    cr_assert_eq(child.signal, HM_DEBUG ? SIGABRT : 0);
}
