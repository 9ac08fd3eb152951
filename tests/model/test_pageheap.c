/* Random traces of the page heap: all it handed out is marked and checked, and all equations hold after each step. */
#include "page/huge.h"
#include "support/env.h"
#include "support/page_fixture.h"

#define SPANS 200

/* What was handed out, and the pattern in it. */
struct model {
    struct fixture *f;
    size_t page;
    struct span span[SPANS];
    bool own[SPANS];
    uint64_t tag[SPANS];
    uint64_t next_tag;
};

static void model_alloc(struct model *m, size_t i)
{
    struct span *span = &m->span[i];
    size_t pages = 1 + (size_t)rand() % ((size_t)1 << (rand() % 9));
    size_t align = m->page << (rand() % 3 == 0 ? rand() % 6 : 0);
    bool own = rand() % 16 == 0;
    bool done = own ? mapping_alloc(&m->f->heap, span, pages * m->page, align)
                    : pageheap_alloc(&m->f->heap, span, pages * m->page, align, SPAN_LARGE);
    if (!done) {
        cr_assert_eq(span->kind, SPAN_NONE);
        return;
    }
    m->own[i] = own;
    cr_assert_eq(span->addr % align, 0);
    cr_assert_geq(span->bytes, pages * m->page);
    cr_assert(!span->zero || span_is_zero(span), "zero is claimed of zero memory only");
    m->tag[i] = ++m->next_tag << 32;
    span_mark(span, 0, m->page, m->tag[i]);
}

static void model_resize(struct model *m, size_t i)
{
    struct span *span = &m->span[i];
    size_t old = span->bytes;
    size_t bytes = (1 + (size_t)rand() % (2 * old / m->page)) * m->page;
    bool done = true;
    if (m->own[i]) {
        done = mapping_resize(&m->f->heap, span, bytes);
    } else if (bytes > old) {
        done = pageheap_extend(&m->f->heap, span, bytes);
    } else {
        pageheap_shrink(&m->f->heap, span, bytes);
    }
    cr_assert(done || span->bytes == old);
    cr_assert(!done || span->bytes >= bytes);
    size_t kept = span->bytes < old ? span->bytes : old;
    cr_assert(span_marked(span, kept, m->page, m->tag[i]));
    span_mark(span, kept, m->page, m->tag[i]);
}

static void model_free(struct model *m, size_t i)
{
    cr_assert(span_marked(&m->span[i], m->span[i].bytes, m->page, m->tag[i]), "contents are untouched");
    if (m->own[i]) {
        mapping_free(&m->f->heap, &m->span[i]);
    } else {
        pageheap_free(&m->f->heap, &m->span[i]);
    }
    cr_assert_eq(m->span[i].kind, SPAN_NONE);
}

static void model_other(struct model *m)
{
    int what = rand() % 40;
    m->f->fake.now_ms += (uint64_t)(rand() % 30);
    if (what == 0) {
        pageheap_trim(&m->f->heap, (size_t)(rand() % 64) * m->page);
    } else if (what == 1) {
        fake_os_foreign_sbrk(&m->f->fake, rand() % 5000);
    } else if (what < 8) {
        pageheap_tick(&m->f->heap);
    }
}

static void model_step(struct model *m)
{
    size_t i = (size_t)rand() % SPANS;
    if (m->span[i].kind == SPAN_NONE) {
        model_alloc(m, i);
    } else if (rand() % 4 == 0) {
        model_resize(m, i);
    } else {
        model_free(m, i);
    }
    model_other(m);
    pageheap_verify(&m->f->heap);
}

static void model_clear(struct model *m)
{
    for (size_t i = 0; i < SPANS; i++) {
        if (m->span[i].kind != SPAN_NONE) {
            model_free(m, i);
        }
    }
    pageheap_trim(&m->f->heap, 0);
}

static void model_end(struct model *m)
{
    model_clear(m);
    struct pageheap_stats stats = fixture_stats(m->f);
    cr_assert_eq(stats.live + stats.own, 0);
    cr_assert_eq(m->f->heap.reserved, 0);
}

static struct model *model_make(const struct pageheap_options *options, size_t break_bytes, size_t page)
{
    struct model *m = calloc(1, sizeof(*m));
    m->f = fixture_make(options, break_bytes, page);
    m->page = page;
    return m;
}

static void model_drop(struct model *m)
{
    fixture_drop(m->f);
    free(m);
}

Test(pageheap, random_traces)
{
    int steps = (int)test_scale(4000);
    int64_t decays[] = {500, 0, -1, 20};
    for (unsigned seed = 0; seed < 8; seed++) {
        struct pageheap_options options = fixture_options;
        options.decay_ms = decays[seed % 4];
        options.use_break = seed != 3;
        options.dirty_floor = seed % 3 * MIB;
        srand(seed);
        struct model *m = model_make(&options, seed % 2 == 0 ? 0 : 4 * MIB, seed == 5 ? 16 * KIB : PAGE);
        for (int step = 0; step < steps; step++) {
            model_step(m);
        }
        model_end(m);
        struct pageheap_stats stats = fixture_stats(m->f);
        cr_assert_eq(stats.dirty + stats.own_cached + stats.from_map, 0, "all is given back");
        model_drop(m);
    }
}

Test(pageheap, random_traces_under_a_limit)
{
    int steps = (int)test_scale(3000);
    for (unsigned seed = 0; seed < 4; seed++) {
        srand(seed);
        struct model *m = model_make(&fixture_options, 0, PAGE);
        fake_os_limit(&m->f->fake, 6 * MIB + seed * MIB);
        for (int step = 0; step < steps; step++) {
            model_step(m);
        }
        cr_assert(steps < 3000 || fixture_stats(m->f).refusals > 0);
        model_end(m);
        model_drop(m);
    }
}

/* Short spans and long ones in a heap that is large enough for huge pages, which come quickly, slowly or not. */
static void huge_trace(struct model *m, int steps)
{
    static struct span base;
    memset(&base, 0, sizeof(base));
    if (!pageheap_alloc(&m->f->heap, &base, 32 * MIB, m->page, SPAN_LARGE)) {
        return;
    }
    for (int step = 0; step < steps; step++) {
        m->f->fake.fill_ns = (uint64_t)(rand() % 8) * 200000;
        m->f->fake.now_ms += (uint64_t)(rand() % 100);
        model_step(m);
        if (rand() % 256 == 0) {
            model_clear(m); /* what is needed then is new */
        }
    }
    pageheap_free(&m->f->heap, &base);
}

Test(pageheap, random_traces_with_huge_pages)
{
    int steps = (int)test_scale(3000);
    size_t areas = 0;
    size_t pauses = 0;
    for (unsigned seed = 0; seed < 6; seed++) {
        struct pageheap_options options = fixture_options;
        options.use_break = seed % 3 != 2;
        srand(seed);
        struct model *m = model_make(&options, 0, seed == 4 ? 16 * KIB : PAGE);
        huge_trace(m, steps);
        struct pageheap_stats stats = fixture_stats(m->f);
        areas += stats.huge / HUGE_AREA;
        pauses += stats.huge_pauses;
        model_end(m);
        model_drop(m);
    }
    cr_assert(steps < 3000 || (areas > 8 && pauses > 8), "%zu areas, %zu pauses", areas, pauses);
}

Test(pageheap, every_call_with_huge_pages_may_be_refused)
{
    int steps = (int)test_scale(150);
    bool fired = true;
    for (size_t n = 1; fired; n++) {
        srand(3);
        struct model *m = model_make(&fixture_options, 0, PAGE);
        fake_os_refuse_nth(&m->f->fake, n);
        huge_trace(m, steps);
        fired = fake_os_fired(&m->f->fake);
        fake_os_refuse_nth(&m->f->fake, 0);
        model_end(m);
        model_drop(m);
    }
}

/* The n-th call is refused, for every n of this trace. */
Test(pageheap, every_call_may_be_refused)
{
    int steps = (int)test_scale(150);
    bool fired = true;
    for (size_t n = 1; fired; n++) {
        struct pageheap_options options = fixture_options;
        options.decay_ms = 20;
        options.dirty_floor = 64 * KIB;
        options.huge_always = true;
        srand(7);
        struct model *m = model_make(&options, 3 * MIB, PAGE);
        fake_os_refuse_nth(&m->f->fake, n);
        for (int step = 0; step < steps; step++) {
            model_step(m);
        }
        fired = fake_os_fired(&m->f->fake);
        fake_os_refuse_nth(&m->f->fake, 0);
        model_end(m);
        model_drop(m);
    }
}
