#include "page/huge.h"

#include "base/bits.h"
#include "support/page_suite.h"

#define CHUNK (64 * KIB)
#define QUICK 100000
#define SLOW  5000000

static struct span chunk[512];
static size_t chunks;

static void prepare(void)
{
    setup();
    memset(chunk, 0, sizeof(chunk));
    chunks = 0;
    f->fake.fill_ns = QUICK;
}

TestSuite(huge, .init = prepare, .fini = teardown);

static size_t asked(void)
{
    return f->fake.calls[FAKE_FILL_HUGE];
}

static struct span *take_chunk(void)
{
    struct span *span = &chunk[chunks++];
    cr_assert_lt(chunks, 512);
    fixture_alloc(f, span, CHUNK, CHUNK);
    return span;
}

/* Takes chunks until huge pages were asked for once more; the chunk for which they were. */
static struct span *ask_once_more(void)
{
    size_t before = asked();
    struct span *span = NULL;
    while (asked() == before) {
        span = take_chunk();
    }
    cr_assert_eq(asked(), before + 1);
    return span;
}

static void hold(size_t bytes)
{
    fixture_alloc(f, &a, bytes, PAGE);
}

Test(huge, an_area_is_filled_for_its_first_chunk_and_serves_the_next)
{
    hold(32 * MIB);
    struct span *first = ask_once_more();
    struct range area = f->fake.last_fill;
    cr_assert_eq(area.end - area.start, HUGE_AREA);
    cr_assert_eq(area.start % HUGE_AREA, 0);
    cr_assert(area.start <= first->addr && span_end(first) <= area.end);
    cr_assert(first->zero, "the chunk itself is as new as ever");
    cr_assert_eq(fixture_stats(f).huge, HUGE_AREA);
    cr_assert_eq(fixture_stats(f).dirty, HUGE_AREA - CHUNK);
    size_t reused = fixture_stats(f).reused_dirty;
    for (size_t i = 1; i < HUGE_AREA / CHUNK; i++) {
        const struct span *next = take_chunk();
        cr_assert(area.start <= next->addr && span_end(next) <= area.end);
    }
    cr_assert_eq(fixture_stats(f).reused_dirty, reused + HUGE_AREA - CHUNK);
    cr_assert_eq(asked(), 1);
    cr_assert_eq(fixture_stats(f).dirty, 0);
}

Test(huge, every_area_of_a_growing_heap_is_filled)
{
    hold(32 * MIB);
    ask_once_more();
    size_t areas = 7;
    for (size_t i = 0; i < areas * HUGE_AREA / CHUNK; i++) {
        take_chunk();
    }
    cr_assert_eq(asked(), areas + 1, "steps of growth end where areas do");
    cr_assert_eq(f->heap.source.break_end % HUGE_AREA, 0);
}

Test(huge, memory_of_mappings_is_filled_too)
{
    struct pageheap_options options = fixture_options;
    options.use_break = false;
    pageheap_options_set(&f->heap, &options);
    hold(32 * MIB);
    cr_assert_eq(ask_once_more()->source, SOURCE_MAP);
}

Test(huge, a_smaller_heap_is_left_alone)
{
    hold(16 * MIB);
    for (int i = 0; i < 200; i++) {
        take_chunk();
    }
    cr_assert_eq(asked(), 0);
}

Test(huge, the_options_leave_nothing_to_decide)
{
    hold(32 * MIB);
    struct pageheap_options options = fixture_options;
    options.huge_never = true;
    pageheap_options_set(&f->heap, &options);
    for (int i = 0; i < 100; i++) {
        take_chunk();
    }
    options.huge_never = false;
    options.huge_always = true;
    pageheap_options_set(&f->heap, &options);
    for (int i = 0; i < 100; i++) {
        take_chunk();
    }
    cr_assert_eq(asked(), 0);
}

Test(huge, long_spans_are_left_to_their_users)
{
    hold(32 * MIB);
    for (int i = 0; i < 60; i++) {
        fixture_alloc(f, &chunk[i], 256 * KIB + PAGE, PAGE);
    }
    cr_assert_eq(asked(), 0);
}

/* What is dirty or in use in an area is resident already, or was purged for a reason. */
Test(huge, only_areas_that_are_otherwise_clean_are_filled)
{
    hold(32 * MIB);
    f->fake.fill_ns = 0;
    ask_once_more();
    uintptr_t area = f->fake.last_fill.start;
    f->fake.fill_ns = QUICK;
    f->fake.now_ms += 1000;
    while (span_end(&chunk[chunks - 1]) < area + HUGE_AREA) {
        take_chunk();
        cr_assert_eq(asked(), 1, "one chunk of it is in use");
    }
}

Test(huge, what_was_not_filled_stays_clean)
{
    hold(32 * MIB);
    f->fake.fill_ns = 0;
    size_t clean = 0;
    while (asked() == 0) {
        clean = fixture_stats(f).clean;
        take_chunk();
    }
    struct pageheap_stats stats = fixture_stats(f);
    cr_assert(clean < 2 * CHUNK || stats.clean == clean - CHUNK);
    cr_assert_eq(stats.dirty, 0);
    cr_assert_eq(stats.huge, 0);
    cr_assert_eq(stats.huge_pauses, 1);
    cr_assert(take_chunk()->zero);
}

/* Whether huge pages are asked for where two areas at least are new. All is as before then. */
static bool asks(void)
{
    size_t before = asked();
    for (size_t i = 0; i < 3 * HUGE_AREA / CHUNK && asked() == before; i++) {
        take_chunk();
    }
    while (chunks > 0) {
        pageheap_free(&f->heap, &chunk[--chunks]);
    }
    pageheap_trim(&f->heap, 0);
    return asked() > before;
}

static bool asks_only_after(uint64_t ms)
{
    f->fake.now_ms += ms - 1;
    bool early = asks();
    f->fake.now_ms += 1;
    return !early && asks();
}

Test(huge, each_refusal_is_followed_by_a_longer_pause)
{
    hold(32 * MIB);
    f->fake.fill_ns = 0;
    cr_assert(asks());
    for (uint64_t pause = 256; pause <= 65536; pause *= 2) {
        cr_assert(asks_only_after(pause));
    }
    cr_assert(asks_only_after(65536), "but not for ever");
}

Test(huge, a_slow_area_is_used_but_followed_by_a_pause)
{
    hold(32 * MIB);
    f->fake.fill_ns = SLOW;
    ask_once_more();
    cr_assert_eq(fixture_stats(f).huge, HUGE_AREA);
    cr_assert_eq(fixture_stats(f).dirty, HUGE_AREA - CHUNK);
    cr_assert_eq(fixture_stats(f).huge_pauses, 1);
    cr_assert(asks_only_after(256));
}

Test(huge, quick_areas_make_the_next_pause_shorter)
{
    hold(32 * MIB);
    f->fake.fill_ns = 0;
    cr_assert(asks() && asks_only_after(256) && asks_only_after(512) && asks_only_after(1024));
    f->fake.fill_ns = QUICK;
    cr_assert(asks_only_after(2048));
    cr_assert(asks(), "at once");
    f->fake.fill_ns = 0;
    cr_assert(asks());
    cr_assert(asks_only_after(1024), "2048 was halved twice, then doubled");
}

/* 8 MiB of free pieces that serve no chunk. */
static void make_dirty_pieces(void)
{
    static struct span piece[512];
    for (size_t i = 0; i < 512; i++) {
        fixture_alloc(f, &piece[i], 32 * KIB, PAGE);
    }
    for (size_t i = 0; i < 512; i += 2) {
        pageheap_free(&f->heap, &piece[i]);
    }
}

Test(huge, room_for_an_area_is_made_among_what_is_free)
{
    hold(64 * MIB);
    f->fake.fill_ns = 0;
    make_dirty_pieces();
    f->fake.now_ms += 100000;
    size_t before = fixture_stats(f).dirty;
    cr_assert_eq(before, 8 * MIB);
    f->fake.fill_ns = QUICK;
    ask_once_more();
    cr_assert_leq(fixture_stats(f).dirty, before,
                  "not more is resident than if the chunk's pages alone were");
}

Test(huge, filling_what_was_just_given_back_is_regretted)
{
    hold(48 * MIB);
    fixture_alloc(f, &b, 16 * MIB, PAGE);
    pageheap_free(&f->heap, &b);
    cr_assert_gt(fixture_stats(f).purged, 8 * MIB);
    size_t before = 0;
    while (asked() == 0) {
        before = fixture_stats(f).hold;
        take_chunk();
    }
    cr_assert_eq(fixture_stats(f).hold, before + HUGE_AREA);
}
