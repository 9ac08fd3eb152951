#define _GNU_SOURCE 1

#include <sys/mman.h>
#include <unistd.h>

#include "support/growing_fixture.h"

static struct growing_fixture fixture;
static struct hm_heap *heap;
static char text[256 * 1024];

static void setup(void)
{
    static const struct hm_movable_options options = {.name = "plan"};
    growing_fixture_init(&fixture, 2);
    heap = growing_fixture_heap(&fixture, &options);
}

static void teardown(void)
{
    growing_fixture_end(&fixture, heap);
}

TestSuite(growing_dump, .init = setup, .fini = teardown);

static enum movable_result written(enum hm_dump format)
{
    int fd = memfd_create("dump", 0);
    enum movable_result result = heap->kind->dump(heap, fd, format);
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = 0;
    close(fd);
    return result;
}

Test(growing_dump, the_text_has_a_line_for_each_chunk)
{
    hm_handle small[100];
    for (int i = 0; i < 100; i++) {
        small[i] = g_alloc(heap, 1000);
    }
    hm_handle large = g_alloc(heap, MIB);
    cr_assert_eq(g_free(heap, small[10]), MOVABLE_OK);
    g_pin(heap, small[20]);
    void *address;
    cr_assert_eq(heap->kind->pin_tagged(heap, small[30], "writer", &address), MOVABLE_OK);
    cr_assert_eq(written(HM_DUMP_TEXT), MOVABLE_OK);
    cr_assert_not_null(strstr(text, "movable heap plan (grows)\n"), "%s", text);
    cr_assert_not_null(strstr(text, "live        100 blocks"), "%s", text);
    cr_assert_not_null(strstr(text, ": 99 blocks, free 948776, live 97776, pinned 2016, meta 8\n"), "%s",
                       text);
    cr_assert_not_null(strstr(text, "1048576 bytes: 1 blocks, live 1048576\n"), "%s", text);
    cr_assert_not_null(strstr(text, "writer: handle"), "%s", text);
    g_unpin(heap, small[20]);
    heap->kind->unpin_tagged(heap, small[30], "writer");
    cr_assert_eq(g_free(heap, large), MOVABLE_OK);
}

Test(growing_dump, memory_that_a_read_section_may_look_at_is_not_free)
{
    hm_handle a = g_alloc(heap, 1000);
    g_alloc(heap, 1000);
    heap->kind->read_enter(heap);
    cr_assert_eq(g_free(heap, a), MOVABLE_OK);
    cr_assert_eq(written(HM_DUMP_TEXT), MOVABLE_OK);
    cr_assert_not_null(strstr(text, "dead 1008"), "%s", text);
    heap->kind->read_leave(heap);
    cr_assert_eq(written(HM_DUMP_TEXT), MOVABLE_OK);
    cr_assert_null(strstr(text, "dead"), "%s", text);
}

Test(growing_dump, the_picture_shows_live_and_pinned_cells)
{
    for (int i = 0; i < 3000; i++) {
        hm_handle handle = g_alloc(heap, 1000);
        if (i == 1500) {
            g_pin(heap, handle);
        }
    }
    cr_assert_eq(written(HM_DUMP_SVG), MOVABLE_OK);
    cr_assert_not_null(strstr(text, "<svg"));
    cr_assert_not_null(strstr(text, "class=\"s4\""));
    cr_assert_not_null(strstr(text, "class=\"s8\""));
    cr_assert_not_null(strstr(text, "</svg>\n"));
}

Test(growing_dump, bytes_are_not_shown)
{
    cr_assert_eq(written(HM_DUMP_HEX), MOVABLE_UNSUPPORTED);
    cr_assert_eq(heap->kind->dump(heap, -1, HM_DUMP_TEXT), MOVABLE_FAILED);
}
