#define _GNU_SOURCE 1

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "os/os.h"
#include "support/child.h"
#include "support/env.h"
#include "support/refuse.h"

#define PAGES     64
#define HUGE_PAGE ((size_t)2 << 20)

static const struct os *os;
static size_t page;

static void setup(void)
{
    os = os_linux();
    page = os->page_size;
}

TestSuite(linux_os, .init = setup);

static bool all_bytes(const char *area, size_t bytes, char value)
{
    for (size_t i = 0; i < bytes; i++) {
        if (area[i] != value) {
            return false;
        }
    }
    return true;
}

/* Lines of /proc/self/maps, and what the line of `addr` allows ("rw-p"; empty if there is none). */
static size_t read_mappings(const void *addr, char access[8])
{
    size_t lines = 0;
    uintptr_t start, end;
    char line[512], found[8];
    FILE *maps = fopen("/proc/self/maps", "r");
    access[0] = 0;
    cr_assert_not_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        lines += strchr(line, '\n') != NULL;
        bool parsed = sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &start, &end, found) == 3;
        if (parsed && start <= (uintptr_t)addr && (uintptr_t)addr < end) {
            strcpy(access, found);
        }
    }
    fclose(maps);
    return lines;
}

static size_t mappings(void)
{
    char access[8];
    return read_mappings(NULL, access);
}

static bool readable(const char *byte)
{
    char access[8];
    read_mappings(byte, access);
    return access[0] == 'r';
}

static void refuse_or_skip(const int *numbers, size_t count, int error)
{
    if (!refuse_calls(numbers, count, error)) {
        cr_skip_test("no filter can be installed here");
    }
}

Test(linux_os, is_one_table_with_the_page_size)
{
    cr_assert_eq(os, os_linux());
    cr_assert_eq(page, (size_t)sysconf(_SC_PAGESIZE));
}

Test(linux_os, maps_zero_memory_that_can_be_written)
{
    char *area = os->map(os, PAGES * page);
    cr_assert_not_null(area);
    cr_assert_eq((uintptr_t)area % page, 0);
    cr_assert(all_bytes(area, PAGES * page, 0));
    memset(area, 1, PAGES * page);
    cr_assert(os->unmap(os, area, PAGES * page));
    cr_assert_not(readable(area));
}

Test(linux_os, unmaps_a_part)
{
    char *area = os->map(os, 3 * page);
    cr_assert(os->unmap(os, area + page, page));
    cr_assert(readable(area));
    cr_assert_not(readable(area + page));
    cr_assert(readable(area + 2 * page));
}

Test(linux_os, reserved_space_is_usable_once_committed)
{
    char *area = os->reserve(os, (size_t)1 << 30);
    cr_assert_not_null(area);
    cr_assert_not(readable(area));
    cr_assert(os->commit(os, area + page, page));
    cr_assert_not(readable(area));
    cr_assert(all_bytes(area + page, page, 0));
    memset(area + page, 1, page);
    cr_assert_not(readable(area + 2 * page));
}

Test(linux_os, remap_keeps_the_contents)
{
    char *area = os->map(os, 2 * page);
    memset(area, 7, 2 * page);
    char *moved = os->remap(os, area, 2 * page, 1024 * page);
    cr_assert_not_null(moved);
    cr_assert(all_bytes(moved, 2 * page, 7));
    cr_assert(all_bytes(moved + 2 * page, 1022 * page, 0));
    moved = os->remap(os, moved, 1024 * page, page);
    cr_assert_not_null(moved);
    cr_assert(all_bytes(moved, page, 7));
    cr_assert_not(readable(moved + page));
}

/* A refused call must leave errno alone: looked at before an assertion can change it. */
#define EXPECT_REFUSED(call)                                                                                 \
    do {                                                                                                     \
        errno = 66;                                                                                          \
        bool refused_ = !(call);                                                                             \
        int errno_ = errno;                                                                                  \
        cr_expect(refused_, "%s", #call);                                                                    \
        cr_expect_eq(errno_, 66, "%s changed errno to %d", #call, errno_);                                   \
    } while (0)

Test(linux_os, impossible_requests_are_refused)
{
    size_t huge = bits_align_down(PTRDIFF_MAX, page);
    char *area = os->map(os, page);
    memset(area, 7, page);
    EXPECT_REFUSED(os->map(os, huge));
    EXPECT_REFUSED(os->reserve(os, huge));
    EXPECT_REFUSED(os->remap(os, area, page, huge));
    EXPECT_REFUSED(os->unmap(os, area + 1, page));
    EXPECT_REFUSED(os->commit(os, area + 1, page));
    EXPECT_REFUSED(os->purge(os, area + 1, page));
    EXPECT_REFUSED(os->huge(os, area + 1, page, OS_HUGE_ALWAYS));
    EXPECT_REFUSED(os->move_break(os, (intptr_t)1 << 60));
    cr_assert(all_bytes(area, page, 7));
}

Test(linux_os, refused_remap_leaves_the_mapping)
{
    const int refused[] = {SYS_mremap};
    char *area = os->map(os, page);
    memset(area, 7, page);
    refuse_or_skip(refused, 1, EPERM);
    EXPECT_REFUSED(os->remap(os, area, page, 2 * page));
    cr_assert(all_bytes(area, page, 7));
}

/* Every second page, so that whatever the kernel can't join again shows as a mapping. */
static void expect_purge_zeroes(char *area)
{
    memset(area, 7, PAGES * page);
    for (size_t i = 0; i < PAGES; i += 2) {
        errno = 66;
        bool purged = os->purge(os, area + i * page, page);
        int after = errno;
        cr_assert(purged);
        cr_assert_eq(after, 66);
    }
    for (size_t i = 0; i < PAGES; i++) {
        cr_assert(all_bytes(area + i * page, page, i % 2 == 0 ? 0 : 7));
    }
    memset(area, 8, PAGES * page);
    cr_assert(all_bytes(area, PAGES * page, 8));
}

Test(linux_os, purged_pages_are_zero)
{
    expect_purge_zeroes(os->map(os, PAGES * page));
}

Test(linux_os, purge_replaces_pages_where_madvise_is_refused)
{
    const int refused[] = {SYS_madvise};
    char *area = os->map(os, PAGES * page);
    memset(area, 7, PAGES * page);
    size_t before = mappings();
    refuse_or_skip(refused, 1, EPERM);
    expect_purge_zeroes(area);
    cr_assert(mappings() <= before || test_under("valgrind"), "the kernel could not join the pages again");
}

Test(linux_os, purge_replaces_pages_of_the_break_where_madvise_is_refused)
{
    const int refused[] = {SYS_madvise};
    intptr_t misfit = (intptr_t)((uintptr_t)os->move_break(os, 0) % page);
    char *area = os->move_break(os, (intptr_t)((PAGES + 1) * page) - misfit);
    cr_assert_not_null(area);
    area += misfit == 0 ? 0 : (intptr_t)page - misfit;
    memset(area, 7, PAGES * page);
    size_t before = mappings();
    refuse_or_skip(refused, 1, ENOSYS);
    expect_purge_zeroes(area);
    cr_assert(mappings() <= before || test_under("valgrind"), "the kernel could not join the pages again");
}

enum { SHUT_AS_EXPECTED, SHUT_NO_FILTER, SHUT_PURGED, SHUT_ERRNO, SHUT_CONTENTS };

/* In a child that ends at once: whatever else needs a mapping, a sanitizer for example, would fail too. */
static void purge_without_madvise_and_mmap(void *argument)
{
    const int refused[] = {SYS_madvise, SYS_mmap};
    char *area = argument;
    if (!refuse_calls(refused, 2, EPERM)) {
        _exit(SHUT_NO_FILTER);
    }
    errno = 66;
    if (os->purge(os, area, page)) {
        _exit(SHUT_PURGED);
    }
    if (errno != 66) {
        _exit(SHUT_ERRNO);
    }
    _exit(all_bytes(area, page, 7) ? SHUT_AS_EXPECTED : SHUT_CONTENTS);
}

Test(linux_os, purge_that_is_refused_altogether_changes_nothing)
{
    if (test_under("valgrind")) {
        cr_skip_test("Valgrind itself maps memory all the time");
    }
    char *area = os->map(os, page);
    memset(area, 7, page);
    struct child child = child_run(purge_without_madvise_and_mmap, area);
    cr_assert(child.exited, "%s", child.errors);
    if (child.code == SHUT_NO_FILTER) {
        cr_skip_test("no filter can be installed here");
    }
    cr_assert_eq(child.code, SHUT_AS_EXPECTED);
}

/* Not mlock(): the sanitizers make it do nothing. */
Test(linux_os, purge_of_locked_pages_changes_nothing)
{
    char *area = os->map(os, page);
    memset(area, 7, page);
    if (syscall(SYS_mlock, area, page) != 0) {
        cr_skip_test("pages can't be locked here");
    }
    EXPECT_REFUSED(os->purge(os, area, page));
    cr_assert(all_bytes(area, page, 7));
}

Test(linux_os, advice_about_huge_pages_keeps_the_contents)
{
    size_t bytes = (size_t)4 << 20;
    char *area = os->map(os, bytes);
    memset(area, 7, page);
    os->huge(os, area, bytes, OS_HUGE_ALWAYS);
    os->huge(os, area, bytes, OS_HUGE_NEVER);
    cr_assert(all_bytes(area, page, 7));
    cr_assert(all_bytes(area + page, bytes - page, 0));
}

static char *map_area(size_t bytes)
{
    char *base = os->map(os, 2 * bytes);
    cr_assert_not_null(base);
    return (char *)bits_align_up((uintptr_t)base, bytes);
}

/* By the kernel, of no more than a huge page. */
static size_t resident_pages(char *area, size_t bytes)
{
    static unsigned char state[512];
    size_t resident = 0;
    cr_assert_leq(bytes / page, sizeof(state));
    cr_assert_eq(syscall(SYS_mincore, area, bytes, state), 0);
    for (size_t i = 0; i < bytes / page; i++) {
        resident += state[i] & 1;
    }
    return resident;
}

Test(linux_os, a_huge_page_is_resident_at_once)
{
    char *area = map_area(HUGE_PAGE);
    size_t lines = mappings();
    errno = 66;
    uint64_t took = os->fill_huge(os, area, HUGE_PAGE);
    cr_assert_eq(errno, 66);
    cr_assert_eq(mappings(), lines, "no mapping is split");
    cr_assert_eq(resident_pages(area, HUGE_PAGE), took > 0 ? HUGE_PAGE / page : 0);
    cr_assert(all_bytes(area, HUGE_PAGE, 0));
    if (took == 0) {
        cr_skip_test("the system has no huge page for us");
    }
    cr_assert(os->purge(os, area, HUGE_PAGE));
    cr_assert_eq(resident_pages(area, HUGE_PAGE), 0);
}

Test(linux_os, a_huge_page_that_is_refused_leaves_nothing_behind)
{
    char *area = map_area(HUGE_PAGE);
    EXPECT_REFUSED(os->fill_huge(os, area, 16 * page));
    cr_assert_eq(resident_pages(area, 16 * page), 0);
    const int refused[] = {SYS_madvise};
    refuse_or_skip(refused, 1, EPERM);
    EXPECT_REFUSED(os->fill_huge(os, area, HUGE_PAGE));
    cr_assert_eq(resident_pages(area, HUGE_PAGE), 0);
}

/* libc knows where the break is: its own sbrk goes on from there. */
Test(linux_os, moves_the_break_in_step_with_libc)
{
    char *start = os->move_break(os, 0);
    char *before = os->move_break(os, (intptr_t)(4 * page));
    char *libc_sees = sbrk(0);
    memset(before, 7, 4 * page);
    char *top = os->move_break(os, -(intptr_t)(4 * page));
    char *end = os->move_break(os, 0);
    cr_assert_not_null(start);
    cr_assert_eq(before, start);
    cr_assert_eq(libc_sees, start + 4 * page);
    cr_assert_eq(top, start + 4 * page);
    cr_assert_eq(end, start);
}

Test(linux_os, clock_moves_forward)
{
    uint64_t start = os->now_ms(os);
    cr_assert_gt(start, 0);
    usleep(100000);
    uint64_t passed = os->now_ms(os) - start;
    cr_assert_geq(passed, 80);
    cr_assert_lt(passed, 60000);
}

static void *move_beside(void *delta)
{
    return os_linux_beside()->move_break(os_linux_beside(), *(intptr_t *)delta);
}

Test(linux_os, beside_another_allocator_the_break_is_left_alone_once_there_are_threads)
{
    intptr_t delta = 0;
    pthread_t thread;
    void *moved;
    if (os_single_threaded()) {
        cr_assert_not_null(move_beside(&delta));
    }
    cr_assert_eq(pthread_create(&thread, NULL, move_beside, &delta), 0);
    cr_assert_eq(pthread_join(thread, &moved), 0);
    cr_assert_null(moved);
    cr_assert_not_null(os_linux()->move_break(os_linux(), 0));
}
