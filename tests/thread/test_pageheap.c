/* Threads that share one page heap: no span is handed out twice, and the equations hold when they are done. */
#include <pthread.h>

#include "support/env.h"
#include "support/page_fixture.h"

#define THREADS 4
#define SPANS   32

static struct fixture *f;
static size_t steps;

struct worker {
    pthread_t thread;
    unsigned seed;
    struct span span[SPANS];
    bool own[SPANS];
    bool good;
};

static void span_step(struct worker *w, size_t i)
{
    struct span *span = &w->span[i];
    uint64_t tag = ((uint64_t)w->seed << 40) ^ ((uint64_t)i << 32);
    if (span->kind == SPAN_NONE) {
        size_t bytes = (1 + (size_t)rand_r(&w->seed) % 40) * PAGE;
        w->own[i] = rand_r(&w->seed) % 8 == 0;
        bool done = w->own[i] ? mapping_alloc(&f->heap, span, bytes, PAGE)
                              : pageheap_alloc(&f->heap, span, bytes, PAGE << (bytes / PAGE % 5), SPAN_LARGE);
        w->good = w->good && done;
        span->stamp = tag;
        span_mark(span, 0, PAGE, tag);
        return;
    }
    w->good = w->good && span_marked(span, span->bytes, PAGE, span->stamp);
    if (w->own[i]) {
        mapping_free(&f->heap, span);
    } else {
        pageheap_free(&f->heap, span);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (size_t step = 0; step < steps; step++) {
        span_step(w, (size_t)rand_r(&w->seed) % SPANS);
        if (step % 16 == 0) {
            pageheap_tick(&f->heap);
        }
        if (step % 256 == 0) {
            pageheap_trim(&f->heap, 0);
            pageheap_verify(&f->heap);
        }
    }
    for (size_t i = 0; i < SPANS; i++) {
        if (w->span[i].kind != SPAN_NONE) {
            span_step(w, i);
        }
    }
    return NULL;
}

Test(pageheap, threads_share_it)
{
    static struct worker worker[THREADS];
    struct pageheap_options options = fixture_options;
    options.decay_ms = 1;
    f = fixture_make(&options, 0, 0);
    steps = test_scale(20000);
    for (unsigned i = 0; i < THREADS; i++) {
        worker[i].seed = i + 1;
        worker[i].good = true;
        cr_assert_eq(pthread_create(&worker[i].thread, NULL, work, &worker[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(worker[i].thread, NULL);
        cr_assert(worker[i].good, "thread %u", i);
    }
    pageheap_trim(&f->heap, 0);
    struct pageheap_stats stats = fixture_stats(f);
    cr_assert_eq(stats.live + stats.own + stats.own_cached + stats.dirty, 0);
    cr_assert_eq(f->heap.reserved, 0);
    fixture_drop(f);
}
