#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "movable/dump.h"
#include "movable/heap.h"

static void walk(struct dump_sink *sink, void *context)
{
    (void)context;
    static const struct dump_piece pieces[] = {
        {.kind = DUMP_META, .bytes = 16},
        {.kind = DUMP_LIVE, .bytes = 32, .size = 30, .handle = 0x1200000003, .name = "job"},
        {.kind = DUMP_DEAD, .bytes = 64},
        {.kind = DUMP_FREE, .bytes = 0},
        {.kind = DUMP_PINNED, .bytes = 16, .size = 1, .pins = 3},
    };
    dump_chunk(sink, (void *)0x10000, 128);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        dump_piece(sink, &pieces[i]);
    }
    dump_chunk(sink, (void *)0x20000, 0x30);
    dump_piece(sink, &(struct dump_piece){.kind = DUMP_FREE, .bytes = 0x30});
}

Test(dump, lines_have_addresses_kinds_and_names)
{
    struct hm_heap heap = {.options = {.name = "jobs"}};
    struct hm_movable_stats stats = {.live_blocks = 2};
    struct hm_pin_info pin = {.handle = 5, .name = "reader", .age_ns = 7000000, .kept_bytes = 4096};
    struct dump_layout layout = {.heap = &heap,
                                 .kind = "test",
                                 .stats = &stats,
                                 .pins = &pin,
                                 .pin_count = 1,
                                 .chunks = 2,
                                 .chunk_bytes = 128,
                                 .walk = walk};
    int fds[2];
    char text[4096];
    cr_assert_eq(pipe(fds), 0);
    cr_assert(dump_text(&layout, fds[1]));
    ssize_t len = read(fds[0], text, sizeof(text) - 1);
    text[len] = 0;
    const char *tail =
        strstr(text, "pin         reader: handle 0x0000000000000005, 7 ms, keeps 4096 bytes\n");
    cr_assert_not_null(tail, "%s", text);
    cr_assert_str_eq(strchr(tail, '\n') + 1,
                     "chunk 0x10000, 128 bytes\n"
                     "  0x10000 meta           16\n"
                     "  0x10010 live           32  size 30  handle 0x0000001200000003  job\n"
                     "  0x10030 dead           64\n"
                     "  0x10070 pinned         16  size 1  pins 3\n"
                     "chunk 0x20000, 48 bytes\n"
                     "  0x20000 free           48\n");
}

static void walk_nothing(struct dump_sink *sink, void *context)
{
    (void)sink, (void)context;
}

Test(dump, names_may_be_of_any_length)
{
    static char name[2001];
    static char text[16384];
    memset(name, 'n', 2000);
    struct hm_heap heap = {.options = {.name = name}};
    struct hm_movable_stats stats = {0};
    struct hm_pin_info pin = {.name = name};
    struct dump_layout layout = {
        .heap = &heap, .kind = "test", .stats = &stats, .pins = &pin, .pin_count = 1, .walk = walk_nothing};
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    cr_assert(dump_text(&layout, fds[1]));
    close(fds[1]);
    size_t len = 0;
    ssize_t more;
    while ((more = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)more;
    }
    cr_assert_not_null(strstr(text, "nnn (test)\n"));
    cr_assert_not_null(strstr(text, "nnn: handle 0x0000000000000000, 0 ms, keeps 0 bytes\n"));
    cr_assert_eq(strspn(strstr(text, "heap n") + 5, "n"), 2000);
    cr_assert_eq(strspn(strstr(text, "pin ") + 12, "n"), 2000);
}

Test(dump, hexadecimal_lines_end_with_the_memory)
{
    int fds[2];
    char text[4096];
    cr_assert_eq(pipe(fds), 0);
    cr_assert(dump_hex("0123456789abcdef0123456789abcdef#!", 34, fds[1]));
    ssize_t len = read(fds[0], text, sizeof(text) - 1);
    text[len] = 0;
    cr_assert_str_eq(text, "00000000  3031323334353637 3839616263646566 3031323334353637 3839616263646566\n"
                           "00000020  2321\n");
}
