#define _GNU_SOURCE 1

#include "observe/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hmalloc/hmalloc.h"
#include "unit/observe/json.h"
#include "unit/observe/observe_fixture.h"

#define REPORT_BYTES ((size_t)128 << 10)

/* The whole report, in a buffer to be freed. */
static char *report_of(struct fixture *fixture, bool json)
{
    int fd = memfd_create("report", 0);
    cr_assert(observe_write(fixture->core, fd, json));
    char *report = calloc(1, REPORT_BYTES);
    ssize_t len = pread(fd, report, REPORT_BYTES - 1, 0);
    cr_assert(len > 0 && (size_t)len < REPORT_BYTES - 1);
    close(fd);
    return report;
}

/* Some of everything: chunks of two heaps, cached, large, own, kept, dirty. */
static void use(struct fixture *fixture)
{
    struct theap *other = core_attach(fixture->core);
    for (size_t bytes = 16; bytes <= 16 * KIB; bytes += 500) {
        fixture_alloc(fixture, fixture->heap, bytes);
        fixture_free(fixture, fixture->heap, fixture_alloc(fixture, other, bytes));
    }
    fixture_alloc(fixture, fixture->heap, 100 * KIB);
    fixture_alloc(fixture, fixture->heap, 900 * KIB);
    fixture_alloc(fixture, fixture->heap, 5 * MIB);
    fixture_free(fixture, fixture->heap, fixture_alloc(fixture, fixture->heap, 700 * KIB));
    fixture_free(fixture, fixture->heap, fixture_alloc(fixture, fixture->heap, 64 * KIB));
    core_detach(fixture->core, other);
}

Test(observe_report, the_text_begins_with_version_mode_process_and_blocks)
{
    struct fixture *fixture = fixture_make();
    use(fixture);
    struct observation seen;
    fixture_observe(fixture, &seen);
    char *report = report_of(fixture, false);
    char expected[200];
    snprintf(expected, sizeof(expected),
             "hmalloc %d.%d.%d statistics\nmode: active\nprocess: %d\nblocks served: %zu ", HM_VERSION_MAJOR,
             HM_VERSION_MINOR, HM_VERSION_PATCH, (int)getpid(), seen.stats.served);
    cr_assert_eq(strncmp(report, expected, strlen(expected)), 0, "%s", report);
    cr_assert_gt(seen.stats.served, 0);
    free(report);
    fixture_drop(fixture);
}

static void check_line(const char *report, const char *name, size_t value, const char *text)
{
    char expected[200];
    snprintf(expected, sizeof(expected), "\n  %-18s %16zu  %s\n", name, value, text);
    cr_assert_not_null(strstr(report, expected), "no line%s", expected);
}

Test(observe_report, the_text_has_every_figure)
{
    struct fixture *fixture = fixture_make();
    use(fixture);
    struct observation seen;
    char *report = report_of(fixture, false);
    fixture_observe(fixture, &seen);
    size_t resident = 0;
    const char *line = strstr(report, "\n  resident ");
    cr_assert_eq(sscanf(line, " resident %zu", &resident), 1);
    seen.stats.resident = resident;
#define CHECK_LINE(name, text) check_line(report, #name, seen.stats.name, text);
    HM_STATS(CHECK_LINE)
#undef CHECK_LINE
#define CHECK_LINE(name, text) check_line(report, #name, seen.pages.name, text);
    PAGEHEAP_STATS(CHECK_LINE)
#undef CHECK_LINE
#define CHECK_LINE(name, text) check_line(report, #name, seen.all.counted.name, text);
    THEAP_STATS(CHECK_LINE)
#undef CHECK_LINE
    free(report);
    fixture_drop(fixture);
}

static size_t count_lines_from(const char *report, const char *head)
{
    const char *at = strstr(report, head);
    cr_assert_not_null(at, "no section %s", head);
    size_t lines = 0;
    for (at = strchr(at + 1, '\n') + 1; *at == ' '; at = strchr(at, '\n') + 1) {
        lines++;
    }
    return lines - 1; /* the table's head */
}

Test(observe_report, the_tables_have_a_row_for_each_class_in_use_and_each_heap)
{
    struct fixture *fixture = fixture_make();
    use(fixture);
    struct observation seen;
    fixture_observe(fixture, &seen);
    char *report = report_of(fixture, false);
    size_t classes = 0;
    for (unsigned i = 0; i < OBSERVE_CLASSES; i++) {
        classes += seen.class[i].live_blocks + seen.class[i].cached_blocks > 0;
    }
    cr_assert_gt(classes, 20);
    cr_assert_eq(count_lines_from(report, "\nclasses in use"), classes);
    cr_assert_eq(count_lines_from(report, "\nthread heaps\n"), seen.heaps);
    free(report);
    fixture_drop(fixture);
}

Test(observe_report, sizes_are_readable)
{
    struct fixture *fixture = fixture_make();
    fixture_alloc(fixture, fixture->heap, 5 * MIB);
    char *report = report_of(fixture, false);
    char expected[200];
    snprintf(expected, sizeof(expected), "\n  %-34s %16zu %12s %4zu %%\n", "mappings of one block", 5 * MIB,
             "5.0 MiB", (size_t)100);
    cr_assert_not_null(strstr(report, expected), "%s", report);
    free(report);
    fixture_drop(fixture);
}

Test(observe_report, the_json_is_one_valid_object_with_every_figure)
{
    struct fixture *fixture = fixture_make();
    use(fixture);
    struct observation seen;
    char *report = report_of(fixture, true);
    fixture_observe(fixture, &seen);
    cr_assert(json_whole(report), "%s", report);
    cr_assert_eq(json_number_at(report, "pid"), (uint64_t)getpid());
    cr_assert_eq(strncmp(json_member(report, "mode"), "\"active\"", 8), 0);
    const char *stats = json_member(report, "stats");
    seen.stats.resident = json_number_at(stats, "resident");
#define CHECK_NUMBER(name, text) cr_assert_eq(json_number_at(stats, #name), seen.stats.name, #name);
    HM_STATS(CHECK_NUMBER)
#undef CHECK_NUMBER
    const char *pages = json_member(report, "pages");
#define CHECK_NUMBER(name, text) cr_assert_eq(json_number_at(pages, #name), seen.pages.name, #name);
    PAGEHEAP_STATS(CHECK_NUMBER)
#undef CHECK_NUMBER
    const char *heaps = json_member(report, "heaps");
#define CHECK_NUMBER(name, text) cr_assert_eq(json_number_at(heaps, #name), seen.all.counted.name, #name);
    THEAP_STATS(CHECK_NUMBER)
#undef CHECK_NUMBER
    free(report);
    fixture_drop(fixture);
}

Test(observe_report, the_json_tables_add_up_to_the_sums)
{
    struct fixture *fixture = fixture_make();
    use(fixture);
    char *report = report_of(fixture, true);
    const char *stats = json_member(report, "stats");
    uint64_t live = 0;
    const char *at = json_member(report, "classes");
    while (*at != ']') {
        live += json_number_at(at + 1, "live");
        at = json_skip(at + 1);
    }
    cr_assert_eq(live, json_number_at(stats, "live"));
    uint64_t chunks = 0;
    at = json_member(report, "thread_heaps");
    while (*at != ']') {
        chunks += json_number_at(at + 1, "chunks");
        at = json_skip(at + 1);
    }
    cr_assert_eq(chunks, json_number_at(stats, "chunks"));
    free(report);
    fixture_drop(fixture);
}

Test(observe_report, of_an_unused_core_is_valid_too)
{
    struct fixture *fixture = fixture_make();
    char *json = report_of(fixture, true);
    char *text = report_of(fixture, false);
    cr_assert(json_whole(json), "%s", json);
    cr_assert_not_null(strstr(text, "\nblocks served: 0 "));
    free(json);
    free(text);
    fixture_drop(fixture);
}

Test(observe_report, writing_allocates_nothing)
{
    struct fixture *fixture = fixture_make();
    use(fixture);
    struct observation before;
    struct observation after;
    fixture_observe(fixture, &before);
    size_t calls = fixture->base.fake.all_calls;
    free(report_of(fixture, false));
    free(report_of(fixture, true));
    cr_assert_eq(fixture->base.fake.all_calls, calls, "the OS table isn't called");
    fixture_observe(fixture, &after);
    before.stats.resident = after.stats.resident;
    cr_assert_eq(memcmp(&before.stats, &after.stats, sizeof(before.stats)), 0);
    fixture_drop(fixture);
}

Test(observe_report, a_failing_write_is_told_with_its_error)
{
    struct fixture *fixture = fixture_make();
    int full = open("/dev/full", O_WRONLY);
    for (int json = 0; json < 2; json++) {
        errno = 0;
        cr_assert_not(observe_write(fixture->core, full, json));
        cr_assert_eq(errno, ENOSPC);
        cr_assert_not(observe_write(fixture->core, -1, json));
        cr_assert_eq(errno, EBADF);
    }
    close(full);
    fixture_drop(fixture);
}
