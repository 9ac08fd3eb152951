#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "movable/dump.h"
#include "movable/heap.h"

struct sample {
    size_t chunks;
    size_t chunk_bytes;
    size_t live; /* bytes at the beginning of each chunk */
    enum dump_kind kind;
};

static void walk(struct dump_sink *sink, void *context)
{
    const struct sample *sample = context;
    for (size_t i = 0; i < sample->chunks; i++) {
        dump_chunk(sink, (void *)((i + 1) * sample->chunk_bytes), sample->chunk_bytes);
        dump_piece(sink, &(struct dump_piece){.kind = sample->kind, .bytes = sample->live});
        dump_piece(sink,
                   &(struct dump_piece){.kind = DUMP_FREE, .bytes = sample->chunk_bytes - sample->live});
    }
}

static char *draw(const struct sample *sample, const char *name)
{
    static char text[1 << 20];
    struct hm_heap heap = {.options = {.name = name}};
    struct hm_movable_stats stats = {.live_blocks = 2};
    struct sample copy = *sample;
    struct dump_layout layout = {.heap = &heap,
                                 .kind = "test",
                                 .stats = &stats,
                                 .chunks = sample->chunks,
                                 .chunk_bytes = sample->chunk_bytes,
                                 .walk = walk,
                                 .context = &copy};
    char path[] = "/tmp/dump_svg_XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    cr_assert(dump_svg(&layout, fd));
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    cr_assert(len > 0 && len < (ssize_t)sizeof(text) - 1);
    text[len] = 0;
    close(fd);
    return text;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (text = strstr(text, part); text != NULL; text = strstr(text + 1, part)) {
        n++;
    }
    return n;
}

Test(dump_svg, equal_cells_of_a_row_are_one_rectangle)
{
    /* 128 cells a row, 16 bytes each: two rows, of which half of the first is live. */
    struct sample sample = {.chunks = 1, .chunk_bytes = 4096, .live = 1024, .kind = DUMP_LIVE};
    const char *text = draw(&sample, "a");
    cr_assert_eq(count(text, "<rect"), 3);
    cr_assert_not_null(strstr(text, "class=\"s4\" x=\"8\" y=\"48\" width=\"384\""), "%s", text);
    cr_assert_not_null(strstr(text, "class=\"s0\" x=\"392\" y=\"48\" width=\"384\""));
    cr_assert_not_null(strstr(text, "class=\"s0\" x=\"8\" y=\"58\" width=\"768\""));
}

Test(dump_svg, shades_tell_how_much_is_live)
{
    static const char *const shades[] = {"s0", "s1", "s1", "s2", "s3", "s4"};
    static const size_t live[] = {0, 1, 5, 6, 12, 16};
    for (int i = 0; i < 6; i++) {
        struct sample sample = {.chunks = 1, .chunk_bytes = 16, .live = live[i], .kind = DUMP_LIVE};
        char expected[40];
        snprintf(expected, sizeof(expected), "<rect class=\"%s\" ", shades[i]);
        cr_assert_not_null(strstr(draw(&sample, "a"), expected), "%zu of 16: %s", live[i], expected);
    }
}

Test(dump_svg, one_pinned_byte_colours_its_cell)
{
    struct sample sample = {.chunks = 1, .chunk_bytes = 1 << 30, .live = 1, .kind = DUMP_PINNED};
    cr_assert_eq(count(draw(&sample, "a"), "class=\"s8\""), 1);
}

Test(dump_svg, pictures_of_large_heaps_stay_small)
{
    struct sample sample = {.chunks = 1000, .chunk_bytes = 1 << 20, .live = 600000, .kind = DUMP_LIVE};
    const char *text = draw(&sample, "a");
    cr_assert(strlen(text) < 400000);
    cr_assert(count(text, "<rect") >= 2000);
    cr_assert_not_null(strstr(text, "</svg>\n"));
}

Test(dump_svg, names_cant_break_out)
{
    struct sample sample = {.chunks = 1, .chunk_bytes = 4096, .live = 0};
    const char *text = draw(&sample, "<script>&");
    cr_assert_null(strstr(text, "<script>"));
    cr_assert_not_null(strstr(text, ">?script?? (test)"));
}
