/* A page heap over the fake OS. */
#ifndef HM_TESTS_SUPPORT_PAGE_FIXTURE_H
#define HM_TESTS_SUPPORT_PAGE_FIXTURE_H

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "page/mapping.h"
#include "support/fake_os.h"

#define PAGE ((size_t)4096)
#define KIB  ((size_t)1 << 10)
#define MIB  ((size_t)1 << 20)

static const struct pageheap_options fixture_options = {
    .decay_ms = 500, .dirty_floor = 1 << 20, .trim_bytes = 128 << 10, .use_break = true};

struct fixture {
    struct fake_os fake;
    struct pagemap map;
    struct meta meta;
    struct pageheap heap;
};

/* On the heap, as the page map's root is large. */
static inline struct fixture *fixture_make(const struct pageheap_options *options, size_t break_bytes,
                                           size_t page_size)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fake_os_init(&fixture->fake, break_bytes, page_size);
    pagemap_init(&fixture->map, &fixture->fake.os);
    meta_init(&fixture->meta, &fixture->fake.os);
    pageheap_init(&fixture->heap, &fixture->fake.os, &fixture->map, &fixture->meta, options);
    return fixture;
}

static inline void fixture_drop(struct fixture *fixture)
{
    fake_os_destroy(&fixture->fake);
    free(fixture);
}

static inline struct pageheap_stats fixture_stats(struct fixture *fixture)
{
    struct pageheap_stats stats;
    pageheap_verify(&fixture->heap);
    pageheap_stats_get(&fixture->heap, &stats);
    return stats;
}

static inline void fixture_alloc(struct fixture *fixture, struct span *span, size_t bytes, size_t align)
{
    cr_assert(pageheap_alloc(&fixture->heap, span, bytes, align, SPAN_LARGE));
    cr_assert_eq(span->addr % align, 0);
}

static inline void *span_memory(const struct span *span)
{
    return (void *)span->addr;
}

/* Two words at both ends of every page say whose page it is. */
static inline void span_mark(const struct span *span, size_t from, size_t page, uint64_t tag)
{
    for (uintptr_t at = span->addr + from; at < span_end(span); at += page) {
        *(uint64_t *)at = tag ^ (at - span->addr);
        *(uint64_t *)(at + page - 8) = ~tag ^ (at - span->addr);
    }
}

static inline bool span_marked(const struct span *span, size_t bytes, size_t page, uint64_t tag)
{
    for (uintptr_t at = span->addr; at < span->addr + bytes; at += page) {
        if (*(uint64_t *)at != (tag ^ (at - span->addr)) ||
            *(uint64_t *)(at + page - 8) != (~tag ^ (at - span->addr))) {
            return false;
        }
    }
    return true;
}

static inline bool span_is_zero(const struct span *span)
{
    const char *memory = span_memory(span);
    return memory[0] == 0 && memcmp(memory, memory + 1, span->bytes - 1) == 0;
}

#endif
