#include "chunk/scan.h"
#include "chunk_fixture.h"

TestSuite(scan, .init = fixture_setup, .fini = fixture_teardown);

static struct scan scan;

static void mark(unsigned window, unsigned value)
{
    chunk->map[window] = (uint8_t)value;
}

/* Every value at some window, and many windows with none. */
static void mark_all_sorts(void)
{
    for (unsigned w = 0; w < CHUNK_WINDOWS; w++) {
        mark(w, w % 5 < 2 ? w * 7 % 256 : 0);
    }
}

Test(scan, it_sees_each_mark)
{
    mark_all_sorts();
    scan_map(&scan, chunk);
    for (unsigned w = 0; w < CHUNK_WINDOWS; w++) {
        bool dead = chunk->map[w] == CODE_DEAD;
        cr_assert_eq(scan.dead[w / 64] >> w % 64 & 1, dead, "window %u", w);
        cr_assert_eq(scan.others[w / 64] >> w % 64 & 1, !dead && chunk->map[w] != 0, "window %u", w);
    }
}

Test(scan, the_marks_around_are_found_from_everywhere)
{
    static const unsigned windows[] = {0, 1, 7, 8, 62, 63, 64, 65, 511, 1024, 2046, 2047};
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        memset(chunk->map, 0, sizeof(chunk->map));
        mark(windows[i], i % 2 == 0 ? 1 : CODE_DEAD);
        scan_map(&scan, chunk);
        const uint64_t *bits = i % 2 == 0 ? scan.others : scan.dead;
        for (unsigned from = 0; from < CHUNK_WINDOWS; from++) {
            unsigned next = from <= windows[i] ? windows[i] : CHUNK_WINDOWS;
            unsigned previous = from > windows[i] ? windows[i] : CHUNK_WINDOWS;
            cr_assert_eq(scan_next(bits, from), next, "mark at %u, from %u", windows[i], from);
            cr_assert_eq(scan_previous(bits, from), previous, "mark at %u, from %u", windows[i], from);
        }
        cr_assert_eq(scan_next(bits, CHUNK_WINDOWS), CHUNK_WINDOWS);
    }
}

Test(scan, what_is_forgotten_is_not_found)
{
    mark_all_sorts();
    scan_map(&scan, chunk);
    for (unsigned w = 0; w < CHUNK_WINDOWS; w++) {
        scan_forget(scan.others, w);
        cr_assert_eq(scan_previous(scan.others, w), CHUNK_WINDOWS);
    }
    cr_assert_eq(scan_next(scan.others, 0), CHUNK_WINDOWS);
    cr_assert_lt(scan_next(scan.dead, 0), CHUNK_WINDOWS);
}
