#include "movable/heap.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>

#include "support/child.h"

static struct hm_heap heap;

static void make(void)
{
    atomic_store(&heap.limit, 1000);
    heap.number = 7;
    heap_open(&heap);
}

TestSuite(heap, .init = make);

Test(heap, only_what_was_opened_where_it_lies_is_open)
{
    static struct hm_heap other;
    cr_assert(heap_is_open(&heap));
    cr_assert_not(heap_is_open(&other), "all zero");
    other = heap;
    cr_assert_not(heap_is_open(&other), "a copy");
    static struct hm_heap two[2];
    heap_open(two);
    cr_assert(heap_is_open(two));
    const void *inside = (char *)two + 8;
    cr_assert_not(heap_is_open(inside));
    const void *misaligned = (char *)&heap + 4;
    cr_assert_not(heap_is_open(misaligned));
}

Test(heap, a_closed_heap_has_no_handle_and_can_be_opened_again)
{
    hm_handle handle = (hm_handle)7 << ENTRY_NUMBER | 2;
    cr_assert(heap_has(&heap, handle));
    heap_close(&heap);
    cr_assert_not(heap_is_open(&heap));
    cr_assert_not(heap_has(&heap, handle));
    make();
    cr_assert(heap_is_open(&heap));
}

static void be_bad(void *arg)
{
    heap_bad(arg, "verb");
}

static void alloc(void *arg)
{
    heap.kind->alloc_quick(arg, 1, NULL);
}

static void free_it(void *arg)
{
    heap.kind->free_quick(arg, 1, NULL);
}

static void enter(void *arg)
{
    heap.kind->read_enter(arg);
}

static void leave(void *arg)
{
    heap.kind->read_leave(arg);
}

static void expect(void (*function)(void *), void *arg, const char *verb, const char *fault)
{
    char line[200];
    struct child child = child_run(function, arg);
    snprintf(line, sizeof line, "hmalloc: %s of heap %p: %s\n", verb, arg, fault);
    cr_assert_str_eq(child.errors, line);
    cr_assert_eq(child.signal, SIGABRT);
}

Test(heap, the_line_says_what_is_wrong)
{
    static uint64_t other[100];
    heap_close(&heap);
    expect(be_bad, &heap, "verb", "it was destroyed");
    expect(be_bad, other, "verb", "there is no movable heap");
    expect(be_bad, (char *)&heap + 4, "verb", "there is no movable heap");
}

Test(heap, verbs_that_look_at_the_kind_alone_notice)
{
    heap_close(&heap);
    expect(alloc, &heap, "hm_handle_alloc", "it was destroyed");
    expect(free_it, &heap, "hm_handle_free", "it was destroyed");
    expect(enter, &heap, "hm_read_enter", "it was destroyed");
    expect(leave, &heap, "hm_read_leave", "it was destroyed");
}
