#define _GNU_SOURCE 1

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hmalloc/hmalloc.h"
#include "runtime/process.h"
#include "runtime/report.h"
#include "support/child.h"

static char text[65536];

static const char *read_back(int fd)
{
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = 0;
    return text;
}

static bool starts_with(const char *string, const char *start)
{
    return strncmp(string, start, strlen(start)) == 0;
}

Test(report, the_path_names_the_process)
{
    char path[32];
    cr_assert(report_path("/tmp/a.%p.%p", 42, path, sizeof(path)));
    cr_assert_str_eq(path, "/tmp/a.42.42");
    cr_assert(report_path("100%%p%q%", 42, path, sizeof(path)));
    cr_assert_str_eq(path, "100%p%q%");
    cr_assert_not(report_path("a path that is far too long for %p", 42, path, sizeof(path)));
}

Test(report, is_written_in_both_formats)
{
    int fd = memfd_create("report", 0);
    hfree(hmalloc(100));
    cr_assert(report_write(fd, false));
    cr_assert(starts_with(read_back(fd), "hmalloc "));
    cr_assert_not_null(strstr(text, "\nmode: active\n"));
    cr_assert_eq(ftruncate(fd, 0), 0);
    lseek(fd, 0, SEEK_SET);
    cr_assert(report_write(fd, true));
    cr_assert_eq(read_back(fd)[0], '{');
    close(fd);
}

Test(report, a_passive_process_says_so)
{
    static const struct process_other other;
    int fd = memfd_create("report", 0);
    process_other = &other;
    cr_assert(report_write(fd, false));
    cr_assert(starts_with(read_back(fd), "hmalloc 0."));
    cr_assert_not_null(strstr(text, "\nmode: passive\n"));
    cr_assert_not_null(strstr(text, "\nblocks served: 0\n"));
    cr_assert(report_write(-1, false) == false && errno == EBADF);
    process_other = NULL;
    close(fd);
}

/* How a child ends that was told to report there. */
static struct child end_with(void (*end)(void *), enum stats_format stats, const char *path)
{
    process_ready();
    process_options.stats = stats;
    strcpy(process_options.stats_file, path);
    struct child child = child_run(end, NULL);
    process_options.stats = STATS_NONE;
    return child;
}

static void end_normally(void *unused)
{
    (void)unused;
    hfree(hmalloc(100));
    exit(0);
}

static void end_without_handlers(void *unused)
{
    (void)unused;
    _exit(0);
}

Test(report, comes_at_exit)
{
    struct child child = end_with(end_normally, STATS_TEXT, "");
    cr_assert(starts_with(child.errors, "hmalloc "), "%s", child.errors);
    child = end_with(end_normally, STATS_JSON, "");
    cr_assert_eq(child.errors[0], '{');
    child = end_with(end_normally, STATS_NONE, "");
    cr_assert_str_empty(child.errors);
    child = end_with(end_without_handlers, STATS_TEXT, "");
    cr_assert_str_empty(child.errors);
}

Test(report, processes_follow_one_another_in_a_file)
{
    char path[] = "/tmp/hm_report_XXXXXX";
    int fd = mkstemp(path);
    end_with(end_normally, STATS_TEXT, path);
    size_t once = strlen(read_back(fd));
    struct child child = end_with(end_normally, STATS_TEXT, path);
    cr_assert_str_empty(child.errors);
    cr_assert(starts_with(read_back(fd), "hmalloc "));
    cr_assert(starts_with(text + once, "hmalloc "), "the second report is appended");
    close(fd);
    unlink(path);
}

Test(report, a_file_that_cannot_be_opened_is_named)
{
    struct child child = end_with(end_normally, STATS_TEXT, "/nowhere/at/all.%p");
    cr_assert(starts_with(child.errors, "hmalloc: warning: no statistics: /nowhere/at/all."), "%s",
              child.errors);
    cr_assert_not_null(strstr(child.errors, "can't be opened (errno 2)"));
}
