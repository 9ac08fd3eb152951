/* Random traces of one to four threads over a core of their own, each with its heap. They exchange blocks, and end and
 * begin in between; every one verifies the whole core from time to time, while the others go on. */
#include <criterion/criterion.h>

#include "support/core_fixture.h"
#include "support/env.h"
#include "support/trace.h"

#define THREADS_MAX 4

static struct core_fixture f;
static struct trace_mail mail = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct player {
    pthread_t thread;
    struct theap *heap;
    struct trace trace;
    size_t steps;
};

static void *play_malloc(void *self, size_t bytes)
{
    return core_malloc(f.core, ((struct player *)self)->heap, bytes);
}

static void *play_calloc(void *self, size_t bytes)
{
    return core_calloc(f.core, ((struct player *)self)->heap, bytes);
}

static void *play_aligned(void *self, size_t align, size_t bytes)
{
    return core_aligned(f.core, ((struct player *)self)->heap, align, bytes);
}

static void *play_realloc(void *self, void *block, size_t bytes)
{
    return core_realloc(f.core, ((struct player *)self)->heap, block, bytes);
}

/* Now and then by a thread that has no heap. */
static void play_free(void *self, void *block)
{
    struct player *player = self;
    if (trace_random(&player->trace) % 16 == 0) {
        alloc_free(f.core, NULL, block);
    } else {
        core_free(f.core, player->heap, block);
    }
}

static size_t play_usable(void *self, const void *block)
{
    (void)self;
    return alloc_usable(f.core, block, "malloc_usable_size");
}

static void play_trim(void *self)
{
    struct player *player = self;
    core_trim(f.core, player->heap, 0);
    core_detach(f.core, player->heap);
    player->heap = core_attach(f.core);
}

static void play_verify(void *self)
{
    core_verify(f.core, ((struct player *)self)->heap);
}

static const struct trace_verbs verbs = {play_malloc, play_calloc, play_aligned, play_realloc,
                                         play_free,   play_usable, play_trim,    play_verify};

static void *play(void *argument)
{
    struct player *player = argument;
    player->heap = core_attach(f.core);
    trace_run(&player->trace, player->steps, 5000);
    /* What is left is freed by the test's thread, as the blocks of an ended one. */
    core_detach(f.core, player->heap);
    return NULL;
}

static void play_all(unsigned threads, enum trace_mix mix, uint64_t seed, size_t steps)
{
    struct player players[THREADS_MAX];
    struct pageheap_stats stats;
    core_fixture_init(&f, NULL, 0, 0);
    for (unsigned i = 0; i < threads; i++) {
        trace_init(&players[i].trace, &verbs, &players[i], test_seed(seed + 1000 * i), mix);
        players[i].trace.mail = &mail;
        players[i].trace.max_bytes /= threads;
        players[i].steps = test_scale(steps) / threads;
        cr_assert_eq(pthread_create(&players[i].thread, NULL, play, &players[i]), 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(players[i].thread, NULL);
    }
    core_verify(f.core, NULL);
    for (unsigned i = 0; i < threads; i++) {
        trace_check(&players[i].trace);
        players[i].heap = core_attach(f.core);
        trace_free_all(&players[i].trace);
        core_detach(f.core, players[i].heap);
        trace_drop(&players[i].trace);
    }
    core_trim(f.core, NULL, 0);
    core_verify(f.core, NULL);
    pageheap_stats_get(&f.core->pages, &stats);
    cr_assert_eq(stats.live + stats.own, 0, "%zu bytes are left", stats.live + stats.own);
    core_fixture_drop(&f);
}

#define STEPS 600000

Test(threads, one)
{
    play_all(1, TRACE_ALL, 1, STEPS / 2);
}

Test(threads, two)
{
    play_all(2, TRACE_CHUNK, 2, STEPS);
    play_all(2, TRACE_ALL, 3, STEPS);
}

Test(threads, three_tiny)
{
    play_all(3, TRACE_TINY, 4, STEPS);
}

Test(threads, four_middle)
{
    play_all(4, TRACE_MIDDLE, 5, STEPS);
}

Test(threads, four_large)
{
    play_all(4, TRACE_LARGE, 6, STEPS / 20);
}

Test(threads, four_all)
{
    play_all(4, TRACE_ALL, 7, STEPS);
}

Test(threads, many_short_lives)
{
    for (uint64_t i = 0; i < test_scale(40); i++) {
        play_all(4, (enum trace_mix)(i % TRACE_MIXES), 100 + i, 8000);
    }
}
