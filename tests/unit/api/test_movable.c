#define _GNU_SOURCE 1

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/threads.h"
#include "unit/api/movable_fixture.h"

static void refused(const struct hm_movable_options *options, bool grows)
{
    errno = 0;
    hm_heap *heap =
        grows ? hm_movable_create(options) : hm_movable_create_in(buffer_memory, BUFFER_BYTES, options);
    cr_assert_null(heap);
    cr_assert_eq(errno, EINVAL);
}

Test(movable, options_that_make_no_sense_are_refused)
{
    refused(&(struct hm_movable_options){.alignment = 32}, true);
    refused(&(struct hm_movable_options){.alignment = 12}, true);
    refused(&(struct hm_movable_options){.alignment = 4}, false);
    refused(&(struct hm_movable_options){.flags = 1u << 31}, true);
    refused(&(struct hm_movable_options){.flags = 1u << 4}, false);
    refused(&(struct hm_movable_options){.max_bytes = 1000}, false);
}

Test(movable, options_are_kept)
{
    struct hm_movable_options options = {.alignment = 8, .flags = HM_MOVABLE_SINGLE_OWNER};
    hm_heap *heap = hm_movable_create_in(buffer_memory, 1024, &options);
    hm_handle a = hm_handle_alloc(heap, 1);
    hm_handle b = hm_handle_alloc(heap, 1);
    cr_assert_eq((char *)hm_pin(heap, b) - (char *)hm_pin(heap, a), 8);
    hm_unpin(heap, a);
    hm_unpin(heap, b);
    movable_end(heap);
}

Test(movable, a_buffer_has_a_least_and_a_largest_size)
{
    errno = 0;
    cr_assert_null(hm_movable_create_in(buffer_memory, 1023, NULL));
    cr_assert_eq(errno, EINVAL);
    errno = 0;
    cr_assert_null(hm_movable_create_in(NULL, 4096, NULL));
    cr_assert_eq(errno, EINVAL);
    errno = 0;
    cr_assert_null(hm_movable_create_in(buffer_memory, ((size_t)1 << 32) + 1, NULL));
    cr_assert_eq(errno, EINVAL);
    hm_heap *heap = hm_movable_create_in(buffer_memory + 1, 1024, NULL);
    cr_assert_not_null(heap);
    cr_assert_neq(hm_handle_alloc(heap, 100), 0);
    movable_end(heap);
    hm_movable_destroy(NULL);
}

/* 7 KiB free in pieces: 4 KiB can be had. */
Test(movable, pieces_become_one)
{
    hm_heap *heap = hm_movable_create_in(buffer_memory, 16384, NULL);
    hm_handle block[13];
    for (int i = 0; i < 13; i++) {
        block[i] = hm_handle_alloc(heap, 1024);
        cr_assert_neq(block[i], 0);
    }
    for (int i = 0; i < 13; i += 2) {
        hm_handle_free(heap, block[i]);
    }
    struct hm_movable_stats stats;
    hm_movable_stats_get(heap, &stats, sizeof stats);
    cr_assert_lt(stats.largest_free, 4096);
    cr_assert_neq(hm_handle_alloc(heap, 4096), 0);
    movable_end(heap);
}

ON_BOTH_KINDS(movable, reset_frees_all_but_not_pinned_blocks)
{
    hm_handle handle[10];
    for (int i = 0; i < 10; i++) {
        handle[i] = hm_handle_alloc(heap, 100000 / (size_t)(i + 1));
    }
    hm_pin(heap, handle[5]);
    errno = 0;
    cr_assert_not(hm_movable_reset(heap));
    cr_assert_eq(errno, EBUSY);
    cr_assert(hm_handle_valid(heap, handle[0]));
    hm_unpin(heap, handle[5]);
    cr_assert(hm_movable_reset(heap));
    for (int i = 0; i < 10; i++) {
        cr_assert_not(hm_handle_valid(heap, handle[i]));
    }
    struct hm_movable_stats stats;
    hm_movable_stats_get(heap, &stats, sizeof stats);
    cr_assert_eq(stats.live_blocks, 0);
    cr_assert_neq(hm_handle_alloc(heap, 100), 0);
}

ON_BOTH_KINDS(movable, the_default_heap_can_be_chosen)
{
    hm_heap *own = hm_movable_default();
    cr_assert_neq(own, heap);
    hm_movable_set_default(heap);
    cr_assert_eq(hm_movable_default(), heap);
    hm_handle handle = hm_handle_alloc(NULL, 10);
    cr_assert(hm_handle_valid(heap, handle));
    hm_movable_set_default(NULL);
    cr_assert_eq(hm_movable_default(), own);
    cr_assert_not(hm_handle_valid(NULL, handle));
    hm_movable_set_default(heap);
}

Test(movable, a_default_heap_that_is_destroyed_is_none)
{
    hm_heap *heap = hm_movable_create_in(buffer_memory, 4096, NULL);
    hm_movable_set_default(heap);
    hm_movable_destroy(heap);
    hm_heap *own = hm_movable_default();
    cr_assert(own != NULL && own != heap);
    hm_handle handle = hm_handle_alloc(own, 10);
    hm_movable_destroy(own);
    cr_assert_not(hm_handle_valid(NULL, handle));
    cr_assert(hm_handle_free(NULL, hm_handle_alloc(NULL, 10)));
}

ON_BOTH_KINDS(movable, statistics_may_be_of_any_version)
{
    struct {
        struct hm_movable_stats known;
        size_t later;
    } stats = {.later = 77};
    hm_handle_alloc(heap, 100);
    errno = 0;
    cr_assert_not(hm_movable_stats_get(heap, &stats.known, 0));
    cr_assert_eq(errno, EINVAL);
    stats.known.live_bytes = 55;
    cr_assert(hm_movable_stats_get(heap, &stats.known, sizeof(size_t)));
    cr_assert_eq(stats.known.live_blocks, 1);
    cr_assert_eq(stats.known.live_bytes, 55);
    cr_assert(hm_movable_stats_get(heap, &stats.known, sizeof stats));
    cr_assert_eq(stats.known.live_bytes, 100);
    cr_assert_eq(stats.known.granule_bytes, 112);
    cr_assert_eq(stats.later, 0);
}

ON_BOTH_KINDS(movable, compaction_tells_what_it_did)
{
    hm_handle handle[64];
    for (int i = 0; i < 64; i++) {
        handle[i] = hm_handle_alloc(heap, 4000);
    }
    for (int i = 0; i < 63; i++) {
        hm_handle_free(heap, handle[i]);
    }
    struct hm_movable_stats before;
    struct hm_movable_stats after;
    hm_movable_stats_get(heap, &before, sizeof before);
    struct hm_compact_result result = compact_all(heap);
    cr_assert(result.done);
    hm_movable_stats_get(heap, &after, sizeof after);
    cr_assert_eq(after.live_blocks, 1);
    cr_assert_leq(after.free_bytes, before.free_bytes);
    cr_assert_gt(after.steps, before.steps);
}

ON_BOTH_KINDS(movable, the_layout_is_written)
{
    char text[4096];
    int ends[2];
    hm_handle_alloc(heap, 100);
    cr_assert_eq(pipe(ends), 0);
    cr_assert(hm_movable_dump(heap, ends[1], HM_DUMP_TEXT));
    ssize_t length = read(ends[0], text, sizeof text);
    cr_assert_gt(length, 20);
    errno = 0;
    cr_assert_not(hm_movable_dump(heap, -1, HM_DUMP_TEXT));
    cr_assert_eq(errno, EBADF);
    errno = 0;
    cr_assert_not(hm_movable_dump(heap, ends[1], (enum hm_dump)3));
    cr_assert_eq(errno, EINVAL);
    close(ends[0]);
    close(ends[1]);
}

ON_BOTH_KINDS(movable, a_compactor_is_started_and_stopped)
{
    struct hm_compactor_options options = {.low_percent = 20, .high_percent = 10};
    errno = 0;
    cr_assert_not(hm_compactor_start(heap, &options));
    cr_assert_eq(errno, EINVAL);
    options = (struct hm_compactor_options){.cpu_percent = 101};
    cr_assert_not(hm_compactor_start(heap, &options));
    cr_assert(hm_compactor_start(heap, NULL));
    errno = 0;
    cr_assert_not(hm_compactor_start(heap, NULL));
    cr_assert_eq(errno, EBUSY);
    hm_compactor_stop(heap);
    hm_compactor_stop(heap);
}

Test(movable, destroying_stops_the_compactor)
{
    hm_heap *heap = hm_movable_create(NULL);
    cr_assert(hm_compactor_start(heap, NULL));
    for (int i = 0; i < 20000 && threads_named("hm-compactor") == 0; i++) {
        usleep(1000);
    }
    cr_assert_eq(threads_named("hm-compactor"), 1);
    hm_movable_destroy(heap);
    /* A thread that was waited for may be listed for a moment. */
    for (int i = 0; i < 20000 && threads_named("hm-compactor") != 0; i++) {
        usleep(1000);
    }
    cr_assert_eq(threads_named("hm-compactor"), 0);
}

Test(movable, a_heap_with_one_owner_has_no_compactor)
{
    struct hm_movable_options options = {.flags = HM_MOVABLE_SINGLE_OWNER};
    hm_heap *heap = hm_movable_create_in(buffer_memory, BUFFER_BYTES, &options);
    errno = 0;
    cr_assert_not(hm_compactor_start(heap, NULL));
    cr_assert_eq(errno, EINVAL);
    movable_end(heap);
}

static bool small_enough(hm_heap *heap, size_t bytes)
{
    struct hm_movable_stats stats;
    for (int i = 0; i < 30000; i++) {
        hm_movable_stats_get(heap, &stats, sizeof stats);
        if (stats.free_bytes <= bytes) {
            return true;
        }
        usleep(1000);
    }
    return false;
}

Test(movable, the_compactor_frees_what_deletions_left, .timeout = 110)
{
    hm_heap *heap = hm_movable_create(NULL);
    size_t count = 20 * test_scale(1000);
    hm_handle *handle = malloc(count * sizeof *handle);
    for (size_t i = 0; i < count; i++) {
        handle[i] = hm_handle_alloc(heap, 1000);
        memset(hm_pin(heap, handle[i]), (int)i, 1000);
        hm_unpin(heap, handle[i]);
    }
    cr_assert(hm_compactor_start(heap, NULL));
    for (size_t i = 0; i < count; i++) {
        if (i % 5 != 0) {
            hm_handle_free(heap, handle[i]);
        }
    }
    cr_assert(small_enough(heap, count * 1000 / 20 + ((size_t)2 << 20)));
    hm_compactor_stop(heap);
    for (size_t i = 0; i < count; i += 5) {
        unsigned char *at = hm_pin(heap, handle[i]);
        cr_assert_eq(at[0], (unsigned char)i);
        cr_assert_eq(at[999], (unsigned char)i);
        hm_unpin(heap, handle[i]);
    }
    free(handle);
    movable_end(heap);
}
