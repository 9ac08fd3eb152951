/* A fixed trace on a core whose OS refuses its n-th call, for every n until none is refused: each allocation works or is
 * NULL, the heap stays whole, everything can be freed, and afterwards the trace runs through. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/core_fixture.h"
#include "support/env.h"
#include "support/trace.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static struct core_fixture f;
static struct theap *heap, *other;

#define SLOTS 64

struct slot {
    unsigned char *at;
    size_t bytes;
    unsigned char fill;
};

static struct slot slots[SLOTS];
static size_t nulls;

static void slot_check(const struct slot *slot, size_t bytes)
{
    if (slot->at != NULL && bytes > 0) {
        cr_assert(slot->at[0] == slot->fill && memcmp(slot->at, slot->at + 1, bytes - 1) == 0,
                  "a block of %zu bytes lost its contents", slot->bytes);
    }
}

static void slot_set(unsigned index, void *at, size_t bytes)
{
    if (at == NULL) {
        nulls++;
        return;
    }
    slots[index] = (struct slot){.at = at, .bytes = bytes, .fill = (unsigned char)(index + 1)};
    memset(at, slots[index].fill, bytes);
}

static void give(unsigned index, struct theap *by)
{
    slot_check(&slots[index], slots[index].bytes);
    if (slots[index].at != NULL) {
        core_free(f.core, by, slots[index].at);
        slots[index].at = NULL;
    }
}

static void grow(unsigned index, size_t bytes)
{
    struct slot *slot = &slots[index];
    if (slot->at == NULL) {
        return;
    }
    void *at = core_realloc(f.core, heap, slot->at, bytes);
    if (at == NULL) {
        cr_assert_gt(bytes, slot->bytes, "shrinking never fails");
        nulls++;
        slot_check(slot, slot->bytes);
        return;
    }
    slot->at = at;
    slot_check(slot, bytes < slot->bytes ? bytes : slot->bytes);
    slot->bytes = bytes;
    memset(at, slot->fill, bytes);
}

static void attach(struct theap **one)
{
    *one = *one == NULL ? core_attach(f.core) : *one;
}

/* Without a heap, as a thread goes on that could get none. */
static void *get(struct theap *by, size_t bytes)
{
    bool zero;
    return by != NULL ? core_malloc(f.core, by, bytes) : alloc_block(f.core, NULL, bytes, 1, &zero);
}

static void drop(struct theap *by, unsigned index)
{
    if (by != NULL) {
        give(index, by);
    } else {
        slot_check(&slots[index], slots[index].bytes);
        alloc_free(f.core, NULL, slots[index].at);
        slots[index].at = NULL;
    }
}

/* Every kind of growth, split, cache and return there is, in few calls. */
static void small_part(void)
{
    static const size_t sizes[] = {1, 40, 100, 300, 624, 625, 1024, 3000, 9000, 16384};
    for (unsigned i = 0; i < 30; i++) {
        slot_set(i, get(heap, sizes[i % 10]), sizes[i % 10]);
    }
    for (unsigned i = 0; i < 30; i += 2) {
        drop(i % 4 == 0 ? heap : other, i);
    }
    for (unsigned i = 0; i < 16; i++) {
        slot_set(30 + i, get(other, 5000), 5000);
    }
    if (heap != NULL) {
        grow(1, 200);
        grow(3, 12000);
        grow(5, 10);
        slot_set(50, core_aligned(f.core, heap, 4096, 700), 700);
        slot_set(51, core_aligned(f.core, heap, 64 * KIB, 100 * KIB), 100 * KIB);
    }
}

static void large_part(void)
{
    if (heap == NULL) {
        return;
    }
    for (unsigned i = 0; i < 6; i++) {
        slot_set(52 + i, get(heap, (20 + 60 * i) * KIB), (20 + 60 * i) * KIB);
    }
    drop(heap, 53);
    drop(other, 54);
    slot_set(58, get(heap, 3 * MIB), 3 * MIB);
    slot_set(59, get(heap, 2 * MIB), 2 * MIB);
    grow(55, 300 * KIB);
    grow(56, 30 * KIB);
    grow(58, 9 * MIB);
    grow(59, 100);
    grow(57, 4 * MIB);
    drop(heap, 58);
    slot_set(58, get(heap, 9 * MIB), 9 * MIB);
    grow(58, 6 * MIB);
}

static void give_all(void)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        drop(i % 3 == 0 ? other : heap, i);
    }
}

static void verify(void)
{
    core_verify(f.core, heap);
    core_verify(f.core, other);
}

static void run_trace(void)
{
    attach(&heap);
    attach(&other);
    small_part();
    verify();
    large_part();
    verify();
    for (unsigned i = 0; i < SLOTS; i++) {
        slot_check(&slots[i], slots[i].bytes);
    }
    f.fake.now_ms += 1000;
    if (other != NULL) {
        core_detach(f.core, other);
        other = NULL;
    }
    attach(&other);
    core_trim(f.core, heap, 0);
    verify();
}

static void start(const struct core_options *options)
{
    core_fixture_init(&f, options, 0, 0);
    heap = other = NULL;
    nulls = 0;
}

/* The OS obeys again. */
static void recover(void)
{
    give_all();
    verify();
    nulls = 0;
    run_trace();
    cr_assert_eq(nulls, 0, "memory is there again");
    give_all();
    verify();
    struct pageheap_stats stats;
    core_trim(f.core, heap, 0);
    core_trim(f.core, other, 0);
    pageheap_stats_get(&f.core->pages, &stats);
    cr_assert_eq(stats.live + stats.own, 0);
    core_fixture_drop(&f);
}

static void refuse_each(const struct core_options *options)
{
    bool fired = true;
    size_t n;
    size_t step = test_scale(100) < 100 ? 7 : 1;
    for (n = 1; fired; n += step) {
        start(options);
        fake_os_refuse_nth(&f.fake, n);
        run_trace();
        fired = fake_os_fired(&f.fake);
        fake_os_refuse_nth(&f.fake, 0);
        cr_assert(fired || nulls == 0);
        recover();
    }
    cr_assert_gt(n, 20, "only %zu calls", n);
}

Test(refusals, the_nth_call)
{
    refuse_each(NULL);
}

Test(refusals, the_nth_call_without_a_break)
{
    struct core_options options = core_fixture_options;
    options.pages.use_break = false;
    refuse_each(&options);
}

Test(refusals, the_nth_call_when_everything_is_purged_at_once)
{
    struct core_options options = core_fixture_options;
    options.pages.decay_ms = 0;
    options.pages.trim_bytes = 4096;
    refuse_each(&options);
}

Test(refusals, the_nth_call_in_instrumented_mode)
{
    struct core_options options = core_fixture_options;
    options.check = 1;
    refuse_each(&options);
}

static void refuse_all_kinds(bool refuse)
{
    for (int kind = 0; kind < FAKE_CALLS; kind++) {
        fake_os_refuse_kind(&f.fake, (enum fake_call)kind, refuse);
    }
}

/* Before, between and after the parts of the trace. */
Test(refusals, everything_from_some_point_on)
{
    for (unsigned point = 0; point < 6; point++) {
        start(NULL);
        if (point > 0) {
            attach(&heap);
        }
        if (point > 1) {
            attach(&other);
        }
        if (point > 2) {
            small_part();
        }
        if (point > 3) {
            large_part();
        }
        if (point > 4) {
            give_all();
        }
        give_all();
        refuse_all_kinds(true);
        for (int round = 0; round < 3; round++) {
            run_trace();
            give_all();
        }
        cr_assert(point > 4 || nulls > 0);
        refuse_all_kinds(false);
        recover();
    }
}

Test(refusals, each_kind_always)
{
    for (int kind = 0; kind < FAKE_CALLS; kind++) {
        start(NULL);
        fake_os_refuse_kind(&f.fake, (enum fake_call)kind, true);
        for (int round = 0; round < 3; round++) {
            run_trace();
            give_all();
        }
        fake_os_refuse_kind(&f.fake, (enum fake_call)kind, false);
        f.fake.now_ms += 10000;
        recover();
    }
}

Test(refusals, every_limit_on_memory)
{
    for (size_t limit = 64 * KIB; limit < 40 * MIB; limit += test_scale(100) < 100 ? 3 * MIB : limit / 7) {
        start(NULL);
        fake_os_limit(&f.fake, limit);
        for (int round = 0; round < 3; round++) {
            run_trace();
            cr_assert_leq(f.fake.mapped_peak, limit);
            give_all();
        }
        fake_os_limit(&f.fake, 0);
        recover();
    }
}

/* Random traces under a limit and with calls refused at random. */

static void *play_malloc(void *self, size_t bytes)
{
    (void)self;
    return core_malloc(f.core, heap, bytes);
}

static void *play_calloc(void *self, size_t bytes)
{
    (void)self;
    return core_calloc(f.core, heap, bytes);
}

static void *play_aligned(void *self, size_t align, size_t bytes)
{
    (void)self;
    return core_aligned(f.core, heap, align, bytes);
}

static void *play_realloc(void *self, void *block, size_t bytes)
{
    (void)self;
    return core_realloc(f.core, bytes % 4 == 0 ? other : heap, block, bytes);
}

static void play_free(void *self, void *block)
{
    struct trace *trace = self;
    size_t pick = trace_random(trace) % 64;
    if (pick < 4) {
        fake_os_refuse_nth(&f.fake, 1 + pick);
    }
    core_free(f.core, pick % 2 == 0 ? heap : other, block);
}

static size_t play_usable(void *self, const void *block)
{
    (void)self;
    return alloc_usable(f.core, block, "malloc_usable_size");
}

static void play_trim(void *self)
{
    (void)self;
    core_trim(f.core, heap, 0);
}

static void play_verify(void *self)
{
    (void)self;
    verify();
}

static const struct trace_verbs verbs = {play_malloc, play_calloc, play_aligned, play_realloc,
                                         play_free,   play_usable, play_trim,    play_verify};

static void play(enum trace_mix mix, uint64_t seed, size_t limit)
{
    struct trace trace;
    start(NULL);
    attach(&heap);
    attach(&other);
    fake_os_limit(&f.fake, limit);
    trace_init(&trace, &verbs, &trace, test_seed(seed), mix);
    trace.may_fail = true;
    trace_run(&trace, test_scale(mix == TRACE_LARGE ? 3000 : 20000), 1000);
    cr_assert(limit == 0 || trace.failures > 0, "%s: the limit was not met", trace_mix_names[mix]);
    fake_os_limit(&f.fake, 0);
    fake_os_refuse_nth(&f.fake, 0);
    trace_free_all(&trace);
    recover();
    trace_drop(&trace);
}

Test(refusals, random_traces_under_a_limit)
{
    play(TRACE_MIDDLE, 1, 1 * MIB);
    play(TRACE_CHUNK, 2, 1 * MIB);
    play(TRACE_LARGE, 3, 12 * MIB);
    play(TRACE_ALL, 4, 2 * MIB);
}

Test(refusals, random_traces_with_random_refusals)
{
    for (uint64_t seed = 10; seed < 10 + TRACE_MIXES; seed++) {
        play((enum trace_mix)(seed % TRACE_MIXES), seed, 0);
    }
}
