#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "movable/buffer_report.h"
#include "support/assert_panic.h"
#include "support/buffer_fixture.h"

Test(buffer_report, figures_are_exact)
{
    struct hm_heap *heap = fixture_heap(8192, NULL);
    char *slot = NULL;
    hm_handle first = fixture_alloc(heap, 100, 1);
    hm_handle second = fixture_alloc(heap, 200, 1);
    fixture_slot(heap, &slot, 300, 1);
    fixture_pin(heap, second);
    fixture_free(heap, first);
    struct hm_movable_stats stats = fixture_stats(heap);
    size_t control = (size_t)(buffer_of(heap)->base - fixture_memory);
    cr_assert_eq(stats.live_blocks, 2);
    cr_assert_eq(stats.live_bytes, 500);
    cr_assert_eq(stats.granule_bytes, 208 + 304);
    cr_assert_eq(stats.metadata_bytes, control + 3 * 24);
    cr_assert_eq(stats.held_bytes, 8192);
    cr_assert_eq(stats.free_bytes, 112);
    cr_assert_eq(stats.largest_free, 8192 - control - 72 - 112 - 208 - 304);
    cr_assert_eq(stats.pinned_blocks, 1);
    cr_assert_eq(stats.slots, 1);
    fixture_unpin(heap, second);
    fixture_compact(heap);
    stats = fixture_stats(heap);
    cr_assert_eq(stats.moved_blocks, 2);
    cr_assert_eq(stats.moved_bytes, 500);
    cr_assert_eq(stats.released_bytes, 112);
    cr_assert_eq(stats.steps, 1);
    cr_assert(stats.longest_step_ns > 0);
}

static char *dumped(struct hm_heap *heap, enum hm_dump format)
{
    static char text[1 << 16];
    char name[] = "/tmp/buffer_dump_XXXXXX";
    int fd = mkstemp(name);
    cr_assert(fd >= 0);
    unlink(name);
    cr_assert_eq(heap->kind->dump(heap, fd, format), MOVABLE_OK);
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    cr_assert(len > 0 && len < (ssize_t)sizeof(text) - 1);
    text[len] = 0;
    close(fd);
    return text;
}

Test(buffer_report, the_text_names_every_block)
{
    struct hm_movable_options options = {.name = "cells"};
    struct hm_heap *heap = fixture_heap(4096, &options);
    buffer_of(heap)->warned = true;
    char *slot = NULL;
    char *lost = NULL;
    char line[200];
    fixture_alloc(heap, 100, 1);
    fixture_free(heap, fixture_alloc(heap, 40, 1));
    hm_handle pinned = fixture_alloc(heap, 100, 1);
    fixture_pin(heap, pinned);
    fixture_slot(heap, &slot, 33, 2);
    fixture_slot(heap, &lost, 17, 2);
    lost = NULL;
    const char *text = dumped(heap, HM_DUMP_TEXT);
    cr_assert_eq(strncmp(text, "movable heap cells (in a buffer)\n", 33), 0, "%s", text);
    cr_assert_not_null(strstr(text, "live        4 blocks, 250 bytes"));
    cr_assert_not_null(strstr(text, " lost "));
    cr_assert_not_null(strstr(text, " meta "));
    cr_assert_not_null(strstr(text, " free "));
    snprintf(line, sizeof(line), "  handle 0x%016zx  pins 1\n", (size_t)pinned);
    cr_assert_not_null(strstr(text, line), "%s", text);
    snprintf(line, sizeof(line), "  0x%zx live           48  size 33  slot 0x%zx\n", (size_t)slot,
             (size_t)&slot);
    cr_assert_not_null(strstr(text, line), "%s", text);
}

Test(buffer_report, the_bytes_are_shown)
{
    struct hm_heap *heap = fixture_heap(1024, NULL);
    fixture_alloc(heap, 48, 0xa5);
    const char *text = dumped(heap, HM_DUMP_HEX);
    cr_assert_eq(strncmp(text, "00000000  a5a5a5a5a5a5a5a5 ", 27), 0, "%s", text);
    cr_assert_not_null(strstr(text, "\n00000020  a5a5a5a5a5a5a5a5 a5a5a5a5a5a5a5a5 "));
}

Test(buffer_report, the_picture_is_whole)
{
    struct hm_heap *heap = fixture_heap(1 << 15, NULL);
    for (int i = 0; i < 20; i++) {
        fixture_alloc(heap, 1000, 1);
        fixture_free(heap, fixture_alloc(heap, 1500, 1));
    }
    const char *text = dumped(heap, HM_DUMP_SVG);
    cr_assert_eq(strncmp(text, "<svg ", 5), 0);
    cr_assert_not_null(strstr(text, "</svg>\n"));
    cr_assert_not_null(strstr(text, "class=\"s4\""));
    cr_assert_not_null(strstr(text, "class=\"s0\""));
}

Test(buffer_report, a_dump_that_cant_be_written_fails)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    cr_assert_eq(heap->kind->dump(heap, -1, HM_DUMP_TEXT), MOVABLE_FAILED);
    cr_assert_eq(errno, EBADF);
    cr_assert_eq(heap->kind->dump(heap, -1, HM_DUMP_SVG), MOVABLE_FAILED);
    cr_assert_eq(heap->kind->dump(heap, -1, HM_DUMP_HEX), MOVABLE_FAILED);
}

static void verify_broken(void *broken)
{
    struct hm_heap *heap = fixture_heap(4096, NULL);
    struct buffer *b = buffer_of(heap);
    for (int i = 0; i < 3; i++) {
        fixture_alloc(heap, 100, 1);
    }
    fixture_free(heap, fixture_alloc(heap, 100, 1));
    heap->kind->verify(heap);
    switch (*(int *)broken) {
    case 0:
        b->granules -= 16;
        break;
    case 1:
        b->live++;
        break;
    case 2:
        b->top = b->room;
        break;
    case 3:
        buffer_descriptor(b, 2)->bytes = 120;
        break;
    case 4:
        b->spare = 0;
        break;
    case 5:
        entry_set_address(&buffer_descriptor(b, 2)->entry, (uintptr_t)b->base + 8);
        break;
    default:
        b->tail = 2;
        break;
    }
    heap->kind->verify(heap);
}

Test(buffer_report, the_verifier_finds_what_is_broken)
{
    static const char *const texts[] = {
        "granules = sum of strides",      "live blocks = blocks in the list",
        "granules <= top <= room",        "blocks are aligned and don't overlap",
        "live + spare + retired = count", "blocks are aligned and don't overlap",
        "the last block ends at the top",
    };
    for (int i = 0; i < 7; i++) {
        assert_panic(verify_broken, &i, texts[i]);
    }
}
