/* Random traces through the public functions, by one to four threads. */
#include <criterion/criterion.h>
#include <errno.h>
#include <hmalloc/hmalloc.h>

#include "support/env.h"
#include "support/trace.h"

#define THREADS_MAX 4

static struct trace_mail mail = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *play_malloc(void *self, size_t bytes)
{
    (void)self;
    return hmalloc(bytes);
}

static void *play_calloc(void *self, size_t bytes)
{
    (void)self;
    return bytes % 24 == 0 ? hcalloc(bytes / 24, 24) : hcalloc(1, bytes);
}

static void *play_aligned(void *self, size_t align, size_t bytes)
{
    void *block = NULL;
    (void)self;
    if (align < sizeof(void *) || bytes % 2 == 0) {
        return haligned_alloc(align, bytes);
    }
    return hposix_memalign(&block, align, bytes) == 0 ? block : NULL;
}

static void *play_realloc(void *self, void *block, size_t bytes)
{
    (void)self;
    return bytes % 10 == 0 ? hreallocarray(block, bytes / 10, 10) : hrealloc(block, bytes);
}

static void play_free(void *self, void *block)
{
    (void)self;
    errno = 1234;
    hfree(block);
    if (errno != 1234) {
        abort();
    }
}

static size_t play_usable(void *self, const void *block)
{
    (void)self;
    return hmalloc_usable_size(block);
}

static void play_trim(void *self)
{
    static _Atomic unsigned calls;
    (void)self;
    hmalloc_trim(calls % 2 * 100000);
    hm_instrument(++calls % 8 == 0);
}

static void play_verify(void *self)
{
    (void)self;
    hm_verify();
}

static const struct trace_verbs verbs = {play_malloc, play_calloc, play_aligned, play_realloc,
                                         play_free,   play_usable, play_trim,    play_verify};

struct player {
    pthread_t thread;
    struct trace trace;
    size_t steps;
};

static void *play(void *argument)
{
    struct player *player = argument;
    trace_run(&player->trace, player->steps, 5000);
    return NULL;
}

static void play_all(unsigned threads, enum trace_mix mix, uint64_t seed, size_t steps)
{
    struct player players[THREADS_MAX];
    for (unsigned i = 0; i < threads; i++) {
        trace_init(&players[i].trace, &verbs, NULL, test_seed(seed + 1000 * i), mix);
        players[i].trace.mail = threads > 1 ? &mail : NULL;
        players[i].trace.max_bytes /= threads;
        players[i].steps = test_scale(steps) / threads;
        cr_assert_eq(pthread_create(&players[i].thread, NULL, play, &players[i]), 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(players[i].thread, NULL);
    }
    hm_verify();
    for (unsigned i = 0; i < threads; i++) {
        trace_check(&players[i].trace);
        trace_free_all(&players[i].trace);
        trace_drop(&players[i].trace);
    }
    hmalloc_trim(0);
    hm_verify();
}

#define STEPS 500000

Test(public, tiny)
{
    play_all(1, TRACE_TINY, 1, STEPS);
    play_all(4, TRACE_TINY, 2, STEPS);
}

Test(public, middle)
{
    play_all(1, TRACE_MIDDLE, 3, STEPS);
    play_all(3, TRACE_MIDDLE, 4, STEPS);
}

Test(public, chunk)
{
    play_all(1, TRACE_CHUNK, 5, STEPS);
    play_all(2, TRACE_CHUNK, 6, STEPS);
}

Test(public, large)
{
    play_all(1, TRACE_LARGE, 7, STEPS / 30);
    play_all(4, TRACE_LARGE, 8, STEPS / 30);
}

Test(public, all)
{
    play_all(1, TRACE_ALL, 9, STEPS);
    play_all(2, TRACE_ALL, 10, STEPS);
    play_all(4, TRACE_ALL, 11, STEPS);
}
