#define _GNU_SOURCE 1

#include <hmalloc/stats.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hmalloc/hmalloc.h"
#include "runtime/process.h"

#define BLOCKS 100

Test(api_stats, blocks_are_seen)
{
    struct hm_stats before;
    struct hm_stats after;
    void *block[BLOCKS];
    size_t live = 0;
    cr_assert(hm_stats_get(&before, sizeof(before)));
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = hmalloc(i * i * i);
        live += hmalloc_usable_size(block[i]);
    }
    cr_assert(hm_stats_get(&after, sizeof(after)));
    cr_assert_eq(after.live - before.live, live);
    cr_assert_eq(after.live_blocks - before.live_blocks, BLOCKS);
    cr_assert_gt(after.served, before.served);
    cr_assert_eq(after.threads, 1);
    cr_assert_gt(after.metadata, 0);
    for (size_t i = 0; i < BLOCKS; i++) {
        hfree(block[i]);
    }
    cr_assert(hm_stats_get(&after, sizeof(after)));
    cr_assert_eq(after.live, before.live);
}

Test(api_stats, a_shorter_struct_is_filled_as_far_as_it_goes)
{
    struct hm_stats stats;
    hfree(hmalloc(100));
    memset(&stats, 0xee, sizeof(stats));
    cr_assert(hm_stats_get(&stats, offsetof(struct hm_stats, mapped)));
    cr_assert_gt(stats.cached, 0);
    cr_assert_lt(stats.clean, (size_t)1 << 40);
    cr_assert_eq(stats.mapped >> 56, 0xee);
    cr_assert_eq(stats.served >> 56, 0xee);
}

Test(api_stats, a_longer_struct_ends_in_zeroes)
{
    struct {
        struct hm_stats stats;
        size_t later[4];
    } longer;
    hfree(hmalloc(100));
    memset(&longer, 0xee, sizeof(longer));
    cr_assert(hm_stats_get(&longer.stats, sizeof(longer)));
    cr_assert_gt(longer.stats.served, 0);
    cr_assert_lt(longer.stats.served, (size_t)1 << 40);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(longer.later[i], 0);
    }
}

static size_t written(bool json, char *buf, size_t cap)
{
    int fd = memfd_create("report", 0);
    cr_assert(hm_stats_write(fd, json));
    ssize_t len = pread(fd, buf, cap, 0);
    cr_assert_gt(len, 0);
    close(fd);
    return (size_t)len;
}

Test(api_stats, reports_are_written_as_text_and_as_json)
{
    char buf[64];
    hfree(hmalloc(100));
    written(false, buf, sizeof(buf));
    cr_assert_eq(strncmp(buf, "hmalloc ", 8), 0);
    cr_assert_not_null(memmem(buf, sizeof(buf), "\nmode: active\n", 14));
    written(true, buf, sizeof(buf));
    cr_assert_eq(strncmp(buf, "{\"version\":\"", 12), 0);
    cr_assert_not_null(memmem(buf, sizeof(buf), "\"mode\":\"active\"", 15));
    errno = 0;
    cr_assert_not(hm_stats_write(-1, false));
    cr_assert_eq(errno, EBADF);
}

Test(api_stats, a_passive_library_has_only_zeroes)
{
    static const struct process_other other;
    char buf[64];
    struct hm_stats zero;
    struct hm_stats stats;
    memset(&zero, 0, sizeof(zero));
    hfree(hmalloc(100));
    process_other = &other;
    memset(&stats, 0xee, sizeof(stats));
    bool got = hm_stats_get(&stats, sizeof(stats));
    size_t len = written(false, buf, sizeof(buf));
    process_other = NULL;
    cr_assert(got);
    cr_assert_eq(memcmp(&stats, &zero, sizeof(stats)), 0);
    cr_assert_not_null(memmem(buf, len, "\nmode: passive\n", 15));
}
