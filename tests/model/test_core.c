/* Random traces over a core of their own, driven by one thread that plays several: each call goes to a random one of
 * three thread heaps. In between heaps end and begin, the mode changes, time passes, and others move the break. */
#include <criterion/criterion.h>

#include "support/core_fixture.h"
#include "support/env.h"
#include "support/trace.h"

#define HEAPS 3

struct players {
    struct core_fixture f;
    struct theap *heap[HEAPS];
    uint64_t random;
};

static size_t draw(struct players *players, size_t n)
{
    players->random = players->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (players->random >> 33) % n;
}

static void disturb(struct players *players)
{
    struct theap **heap = &players->heap[draw(players, HEAPS)];
    struct core *core = players->f.core;
    size_t pick = draw(players, 200);
    if (pick == 0) {
        core_detach(core, *heap);
        *heap = core_attach(core);
    } else if (pick == 1) {
        core_instrument(core, *heap, draw(players, 3) == 0);
    } else if (pick < 6) {
        players->f.fake.now_ms += draw(players, 400);
    } else if (pick == 6) {
        fake_os_foreign_sbrk(&players->f.fake, (intptr_t)draw(players, 20000));
    }
}

static struct theap *heap_of(struct players *players)
{
    disturb(players);
    return players->heap[draw(players, HEAPS)];
}

static void *play_malloc(void *self, size_t bytes)
{
    struct players *players = self;
    return core_malloc(players->f.core, heap_of(players), bytes);
}

static void *play_calloc(void *self, size_t bytes)
{
    struct players *players = self;
    return core_calloc(players->f.core, heap_of(players), bytes);
}

static void *play_aligned(void *self, size_t align, size_t bytes)
{
    struct players *players = self;
    return core_aligned(players->f.core, heap_of(players), align, bytes);
}

static void *play_realloc(void *self, void *block, size_t bytes)
{
    struct players *players = self;
    return core_realloc(players->f.core, heap_of(players), block, bytes);
}

static void play_free(void *self, void *block)
{
    struct players *players = self;
    core_free(players->f.core, heap_of(players), block);
}

static size_t play_usable(void *self, const void *block)
{
    struct players *players = self;
    return alloc_usable(players->f.core, block, "malloc_usable_size");
}

static void play_trim(void *self)
{
    struct players *players = self;
    core_trim(players->f.core, heap_of(players), draw(players, 2) * 100000);
}

static void play_verify(void *self)
{
    struct players *players = self;
    for (int i = 0; i < HEAPS; i++) {
        core_verify(players->f.core, players->heap[i]);
    }
}

static const struct trace_verbs verbs = {play_malloc, play_calloc, play_aligned, play_realloc,
                                         play_free,   play_usable, play_trim,    play_verify};

static void play(enum trace_mix mix, uint64_t seed, const struct core_options *options, size_t page_size,
                 size_t steps)
{
    static struct players players;
    struct trace trace;
    struct pageheap_stats stats;
    seed = test_seed(seed);
    core_fixture_init(&players.f, options, 0, page_size);
    players.random = seed;
    for (int i = 0; i < HEAPS; i++) {
        players.heap[i] = core_attach(players.f.core);
    }
    trace_init(&trace, &verbs, &players, seed, mix);
    trace_run(&trace, test_scale(steps), 2000);
    trace_free_all(&trace);
    for (int i = 0; i < HEAPS; i++) {
        core_detach(players.f.core, players.heap[i]);
    }
    core_trim(players.f.core, NULL, 0);
    core_verify(players.f.core, NULL);
    pageheap_stats_get(&players.f.core->pages, &stats);
    cr_assert_eq(stats.live + stats.own, 0, "%s, seed %zu: %zu bytes are left", trace_mix_names[mix],
                 (size_t)seed, stats.live + stats.own);
    trace_drop(&trace);
    core_fixture_drop(&players.f);
}

#define STEPS 400000

Test(core, tiny)
{
    play(TRACE_TINY, 1, NULL, 0, STEPS);
}

Test(core, middle)
{
    play(TRACE_MIDDLE, 2, NULL, 0, STEPS);
}

Test(core, chunk)
{
    play(TRACE_CHUNK, 3, NULL, 0, STEPS);
}

Test(core, large)
{
    play(TRACE_LARGE, 4, NULL, 0, STEPS / 20);
}

Test(core, all)
{
    play(TRACE_ALL, 5, NULL, 0, STEPS);
}

Test(core, short_traces_from_many_seeds)
{
    for (uint64_t seed = 100; seed < 100 + test_scale(60); seed++) {
        play((enum trace_mix)(seed % TRACE_MIXES), seed, NULL, 0, 2500);
    }
}

Test(core, mapped_memory_only)
{
    struct core_options options = core_fixture_options;
    options.pages.use_break = false;
    play(TRACE_ALL, 6, &options, 0, STEPS / 2);
}

Test(core, everything_is_purged_at_once)
{
    struct core_options options = core_fixture_options;
    options.pages.decay_ms = 0;
    options.pages.trim_bytes = 4096;
    play(TRACE_ALL, 7, &options, 0, STEPS / 10);
}

Test(core, nothing_is_purged)
{
    struct core_options options = core_fixture_options;
    options.pages.decay_ms = -1;
    play(TRACE_ALL, 8, &options, 0, STEPS / 2);
}

Test(core, own_mappings_early_and_never)
{
    struct core_options options = core_fixture_options;
    options.own_mapping_bytes = 32 << 10;
    play(TRACE_LARGE, 9, &options, 0, STEPS / 40);
    options.own_mapping_bytes = SIZE_MAX;
    play(TRACE_LARGE, 10, &options, 0, STEPS / 40);
}

Test(core, instrumented_from_the_start)
{
    struct core_options options = core_fixture_options;
    options.check = 1;
    play(TRACE_CHUNK, 11, &options, 0, STEPS / 2);
    play(TRACE_ALL, 12, &options, 0, STEPS / 2);
}

Test(core, pages_of_16_and_64_kib)
{
    play(TRACE_ALL, 13, NULL, 16384, STEPS / 5);
    play(TRACE_ALL, 14, NULL, 65536, STEPS / 5);
}
