/* Tests that are the same for heaps that grow and heaps in a buffer. */
#ifndef HM_TESTS_MOVABLE_FIXTURE_H
#define HM_TESTS_MOVABLE_FIXTURE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <hmalloc/handle.h>
#include <stdalign.h>
#include <string.h>

#include "support/child.h"
#include "support/env.h"

#define BUFFER_BYTES ((size_t)1 << 20)

static alignas(16) __attribute__((unused)) char buffer_memory[BUFFER_BYTES];

/* Ends the heap as every test leaves it: whole. */
static inline void movable_end(hm_heap *heap)
{
    hm_movable_verify(heap);
    hm_movable_destroy(heap);
}

/* Two tests with one body, which gets a heap. */
#define ON_BOTH_KINDS(suite, name)                                                                           \
    static void suite##_##name(hm_heap *heap);                                                               \
    Test(suite, name##_in_a_heap_that_grows)                                                                 \
    {                                                                                                        \
        hm_heap *heap = hm_movable_create(NULL);                                                             \
        cr_assert_not_null(heap);                                                                            \
        suite##_##name(heap);                                                                                \
        movable_end(heap);                                                                                   \
    }                                                                                                        \
    Test(suite, name##_in_a_buffer)                                                                          \
    {                                                                                                        \
        hm_heap *heap = hm_movable_create_in(buffer_memory, BUFFER_BYTES, NULL);                             \
        cr_assert_not_null(heap);                                                                            \
        suite##_##name(heap);                                                                                \
        movable_end(heap);                                                                                   \
    }                                                                                                        \
    static void suite##_##name(hm_heap *heap)

/* Moves what can be moved. */
static inline struct hm_compact_result compact_all(hm_heap *heap)
{
    struct hm_budget none = {0, 0};
    struct hm_compact_result result = hm_compact(heap, none);
    for (int i = 0; i < 100 && !result.done; i++) {
        result = hm_compact(heap, none);
    }
    return result;
}

/* The function, in a child, must end with one line that has `text` in it. */
static inline void expect_fatal(void (*function)(void *), void *argument, const char *text)
{
    struct child child = child_run(function, argument);
    cr_assert_eq(child.signal, SIGABRT, "%s", child.errors);
    cr_assert_not_null(strstr(child.errors, text), "\"%s\" is not in: %s", text, child.errors);
}

#endif
