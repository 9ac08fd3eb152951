#define _GNU_SOURCE 1

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "movable/heap.h"
#include "unit/api/movable_fixture.h"

#define PINS_MAX 65535

static void fill(hm_heap *heap, hm_handle handle, int byte)
{
    memset(hm_pin(heap, handle), byte, hm_handle_size(heap, handle));
    hm_unpin(heap, handle);
}

/* The first `size` bytes. */
static bool holds(hm_heap *heap, hm_handle handle, int byte, size_t size)
{
    const unsigned char *at = hm_pin(heap, handle);
    bool well = true;
    for (size_t i = 0; i < size; i++) {
        well = well && at[i] == (unsigned char)byte;
    }
    hm_unpin(heap, handle);
    return well;
}

ON_BOTH_KINDS(handle, a_block_is_had_used_and_freed)
{
    hm_handle handle = hm_handle_alloc(heap, 100);
    cr_assert_neq(handle, 0);
    cr_assert(hm_handle_valid(heap, handle));
    cr_assert_eq(hm_handle_size(heap, handle), 100);
    fill(heap, handle, 7);
    cr_assert(holds(heap, handle, 7, 100));
    cr_assert(hm_handle_free(heap, handle));
    cr_assert_not(hm_handle_valid(heap, handle));
}

ON_BOTH_KINDS(handle, size_0_is_a_block_of_its_own)
{
    hm_handle a = hm_handle_alloc(heap, 0);
    hm_handle b = hm_handle_alloc(heap, 0);
    cr_assert(a != 0 && b != 0 && a != b);
    cr_assert_neq(hm_pin(heap, a), hm_pin(heap, b));
    hm_unpin(heap, a);
    hm_unpin(heap, b);
    cr_assert_eq(hm_handle_size(heap, a), 0);
    cr_assert(hm_handle_free(heap, a) && hm_handle_free(heap, b));
}

ON_BOTH_KINDS(handle, calloc_clears_used_memory)
{
    hm_handle used = hm_handle_alloc(heap, 3000);
    fill(heap, used, 0xff);
    hm_handle_free(heap, used);
    hm_handle handle = hm_handle_calloc(heap, 30, 100);
    cr_assert_eq(hm_handle_size(heap, handle), 3000);
    cr_assert(holds(heap, handle, 0, 3000));
}

ON_BOTH_KINDS(handle, what_can_not_be_had_is_0_with_enomem)
{
    errno = 0;
    cr_assert_eq(hm_handle_calloc(heap, (size_t)1 << 62, 4), 0);
    cr_assert_eq(errno, ENOMEM);
    errno = 0;
    cr_assert_eq(hm_handle_alloc(heap, SIZE_MAX - 100), 0);
    cr_assert_eq(errno, ENOMEM);
    errno = 0;
    cr_assert_eq(hm_handle_alloc(heap, PTRDIFF_MAX), 0);
    cr_assert_eq(errno, ENOMEM);
}

ON_BOTH_KINDS(handle, a_freed_handle_stays_stale)
{
    hm_handle handle = hm_handle_alloc(heap, 64);
    hm_handle_free(heap, handle);
    for (int i = 0; i < 100; i++) {
        hm_handle next = hm_handle_alloc(heap, 64);
        cr_assert_neq(next, handle);
        errno = 0;
        cr_assert_null(hm_pin(heap, handle));
        cr_assert_eq(errno, ESTALE);
        errno = 0;
        cr_assert_eq(hm_handle_size(heap, handle), 0);
        cr_assert_eq(errno, ESTALE);
        cr_assert_not(hm_handle_valid(heap, handle));
        hm_handle_free(heap, next);
    }
}

ON_BOTH_KINDS(handle, handle_0_names_nothing)
{
    cr_assert(hm_handle_free(heap, 0));
    errno = 0;
    cr_assert_null(hm_pin(heap, 0));
    cr_assert_eq(errno, ESTALE);
    cr_assert_eq(hm_handle_size(heap, 0), 0);
    cr_assert_not(hm_handle_valid(heap, 0));
    cr_assert_null(hm_deref(heap, 0));
    cr_assert_eq(hm_handle_compact(heap, 0), 0);
}

ON_BOTH_KINDS(handle, handles_of_another_heap_are_foreign)
{
    hm_heap *other = hm_movable_create(NULL);
    hm_handle_alloc(heap, 10);
    for (size_t i = test_scale(20000); i > 0; i--) {
        hm_handle foreign = hm_handle_alloc(other, 1);
        errno = 0;
        cr_assert_null(hm_pin(heap, foreign));
        cr_assert_eq(errno, ESTALE);
        cr_assert_not(hm_handle_valid(heap, foreign));
        cr_assert_null(hm_deref(heap, foreign));
        cr_assert_eq(hm_handle_size(heap, foreign), 0);
    }
    hm_movable_destroy(other);
}

ON_BOTH_KINDS(handle, made_up_handles_name_nothing)
{
    hm_handle real = hm_handle_alloc(heap, 10);
    unsigned short seed[3] = {1, 2, 3};
    for (size_t i = test_scale(20000); i > 0; i--) {
        hm_handle made_up = (uint64_t)jrand48(seed) << 32 | (uint32_t)jrand48(seed);
        cr_assert_null(hm_pin(heap, made_up));
        cr_assert_not(hm_handle_valid(heap, made_up));
        cr_assert_null(hm_deref(heap, made_up));
        /* The right generation at the wrong place. */
        made_up = (real >> 32) << 32 | (uint32_t)jrand48(seed);
        cr_assert(made_up == real || !hm_handle_valid(heap, made_up));
        cr_assert_eq(hm_handle_expand(heap, (uint32_t)jrand48(seed) | 0x4000000), 0);
    }
}

ON_BOTH_KINDS(handle, while_pinned_a_block_stays)
{
    hm_handle handle = hm_handle_alloc(heap, 50);
    fill(heap, handle, 3);
    void *address = hm_pin(heap, handle);
    cr_assert_eq(hm_pin(heap, handle), address);
    errno = 0;
    cr_assert_not(hm_handle_free(heap, handle));
    cr_assert_eq(errno, EBUSY);
    errno = 0;
    cr_assert_not(hm_handle_resize(heap, handle, 40));
    cr_assert_eq(errno, EBUSY);
    hm_unpin(heap, handle);
    compact_all(heap);
    cr_assert_not(hm_handle_free(heap, handle));
    cr_assert_eq(hm_pin(heap, handle), address);
    hm_unpin(heap, handle);
    hm_unpin(heap, handle);
    cr_assert(holds(heap, handle, 3, 50));
    cr_assert(hm_handle_free(heap, handle));
}

ON_BOTH_KINDS(handle, a_block_has_so_many_pins_and_no_more)
{
    hm_handle handle = hm_handle_alloc(heap, 50);
    for (int i = 0; i < PINS_MAX; i++) {
        cr_assert_not_null(hm_pin(heap, handle));
    }
    errno = 0;
    cr_assert_null(hm_pin(heap, handle));
    cr_assert_eq(errno, EBUSY);
    for (int i = 0; i < PINS_MAX; i++) {
        hm_unpin(heap, handle);
    }
    cr_assert(hm_handle_free(heap, handle));
}

static void *unpin_in_thread(void *argument)
{
    hm_handle *handle = argument;
    hm_unpin((hm_heap *)(uintptr_t)handle[1], handle[0]);
    return NULL;
}

ON_BOTH_KINDS(handle, any_thread_may_undo_a_pin)
{
    hm_handle argument[] = {hm_handle_alloc(heap, 50), (uintptr_t)heap};
    pthread_t thread;
    hm_pin(heap, argument[0]);
    pthread_create(&thread, NULL, unpin_in_thread, argument);
    pthread_join(thread, NULL);
    cr_assert(hm_handle_free(heap, argument[0]));
}

ON_BOTH_KINDS(handle, resizing_keeps_bytes_and_name)
{
    hm_handle handle = hm_handle_alloc(heap, 100);
    hm_handle_alloc(heap, 100);
    fill(heap, handle, 5);
    cr_assert(hm_handle_resize(heap, handle, 100000));
    cr_assert_eq(hm_handle_size(heap, handle), 100000);
    cr_assert(holds(heap, handle, 5, 100));
    fill(heap, handle, 6);
    cr_assert(hm_handle_resize(heap, handle, 7));
    cr_assert_eq(hm_handle_size(heap, handle), 7);
    cr_assert(holds(heap, handle, 6, 7));
    errno = 0;
    cr_assert_not(hm_handle_resize(heap, handle, PTRDIFF_MAX));
    cr_assert_eq(errno, ENOMEM);
    cr_assert_eq(hm_handle_size(heap, handle), 7);
    cr_assert(holds(heap, handle, 6, 7));
}

ON_BOTH_KINDS(handle, blocks_keep_their_bytes_when_they_move)
{
    hm_handle handle[200];
    for (size_t i = 0; i < 200; i++) {
        handle[i] = hm_handle_alloc(heap, 10 + i * 7);
        fill(heap, handle[i], (int)i);
    }
    for (size_t i = 0; i < 200; i++) {
        if (i % 4 != 0) {
            cr_assert(hm_handle_free(heap, handle[i]));
            struct hm_compact_result result = compact_all(heap);
            cr_assert_eq(result.skipped_pinned, 0);
        }
    }
    for (size_t i = 0; i < 200; i += 4) {
        cr_assert_eq(hm_handle_size(heap, handle[i]), 10 + i * 7);
        cr_assert(holds(heap, handle[i], (int)i, 10 + i * 7));
    }
}

ON_BOTH_KINDS(handle, a_section_reads_without_pins)
{
    hm_handle handle = hm_handle_alloc(heap, 100);
    fill(heap, handle, 9);
    hm_read_enter(heap);
    hm_read_enter(heap);
    const unsigned char *at = hm_deref(heap, handle);
    cr_assert_not_null(at);
    cr_assert_eq(at[99], 9);
    hm_read_leave(heap);
    cr_assert_eq(hm_deref(heap, handle), at);
    cr_assert(hm_handle_free(heap, handle));
    cr_assert_null(hm_deref(heap, handle));
    /* Freed, but readable to the end of the section. */
    hm_handle_alloc(heap, 100);
    cr_assert_eq(at[99], 9);
    hm_read_leave(heap);
    hm_read_synchronize(heap);
}

ON_BOTH_KINDS(handle, a_hint_follows_the_block)
{
    void *hint = NULL;
    hm_handle handle = hm_handle_alloc(heap, 100);
    void *at = hm_deref_hinted(heap, handle, &hint);
    cr_assert_not_null(at);
    cr_assert_eq(at, hm_deref(heap, handle));
    cr_assert_eq(hint, at);
    /* Right, and wrong: of nothing, and of a block that took the place. */
    void *wrong[] = {at, (void *)1, NULL, hm_deref(heap, hm_handle_alloc(heap, 100))};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        hint = wrong[i];
        cr_assert_eq(hm_deref_hinted(heap, handle, &hint), at);
        cr_assert_eq(hint, at);
    }
    cr_assert(hm_handle_free(heap, handle));
    cr_assert_null(hm_deref_hinted(heap, handle, &hint));
    cr_assert_null(hint);
}

Test(handle, a_hint_is_behind_a_move_by_one_look)
{
    hm_heap *heap = hm_movable_create_in(buffer_memory, BUFFER_BYTES, NULL);
    hm_handle below = hm_handle_alloc(heap, 100);
    hm_handle handle = hm_handle_alloc(heap, 100);
    void *hint = NULL;
    void *before = hm_deref_hinted(heap, handle, &hint);
    cr_assert(hm_handle_free(heap, below));
    compact_all(heap);
    cr_assert_eq(hint, before);
    cr_assert_neq(hm_deref_hinted(heap, handle, &hint), before);
    cr_assert_eq(hint, hm_deref(heap, handle));
    movable_end(heap);
}

ON_BOTH_KINDS(handle, names_of_32_bits)
{
    hm_handle handle = hm_handle_alloc(heap, 100);
    hm_handle32 name = hm_handle_compact(heap, handle);
    cr_assert_neq(name, 0);
    cr_assert_eq(hm_handle_expand(heap, name), handle);
    cr_assert_eq(hm_handle_expand(heap, 0), 0);
    hm_handle_free(heap, handle);
    cr_assert_eq(hm_handle_compact(heap, handle), 0);
    for (int i = 0; i < 31; i++) {
        cr_assert_eq(hm_handle_expand(heap, name), 0);
        handle = hm_handle_alloc(heap, 100);
        cr_assert_eq(hm_handle_expand(heap, name), 0);
        cr_assert_eq(hm_handle_expand(heap, hm_handle_compact(heap, handle)), handle);
        hm_handle_free(heap, handle);
    }
    cr_assert_eq(hm_handle_expand(heap, name), 0);
}

Test(handle, null_is_the_default_heap)
{
    hm_handle handle = hm_handle_calloc(NULL, 1, 33);
    cr_assert_neq(handle, 0);
    cr_assert(hm_handle_valid(hm_movable_default(), handle));
    cr_assert(hm_handle_resize(NULL, handle, 34));
    cr_assert_eq(hm_handle_size(NULL, handle), 34);
    cr_assert(holds(NULL, handle, 0, 33));
    hm_read_enter(NULL);
    cr_assert_not_null(hm_deref(hm_movable_default(), handle));
    hm_read_leave(NULL);
    hm_read_synchronize(NULL);
    cr_assert_eq(hm_handle_expand(NULL, hm_handle_compact(NULL, handle)), handle);
    cr_assert_not_null(hm_pin(NULL, handle));
    cr_assert_not(hm_handle_free(NULL, handle));
    hm_unpin(NULL, handle);
    cr_assert(hm_handle_free(NULL, handle));
    hm_movable_verify(NULL);
}

Test(handle, pins_have_names_in_the_report)
{
    hm_heap *heap = hm_movable_create(NULL);
    hm_handle handle = hm_handle_alloc(heap, 10);
    struct hm_pin_info info[3];
    cr_assert(hm_handle_tag(heap, handle, "block"));
    void *address = hm_pin_tagged(heap, handle, "first");
    cr_assert_not_null(address);
    cr_assert_eq(hm_pin_tagged(heap, handle, "second"), address);
    cr_assert_eq(hm_pin_report(heap, info, 3), 2);
    cr_assert_eq(info[0].handle, handle);
    cr_assert_str_eq(info[0].name, "first");
    cr_assert_str_eq(info[0].block_name, "block");
    cr_assert_str_eq(info[1].name, "second");
    cr_assert_geq(info[0].age_ns, info[1].age_ns);
    hm_unpin_tagged(heap, handle, "first");
    cr_assert_not(hm_handle_free(heap, handle));
    hm_unpin_tagged(heap, handle, "second");
    cr_assert_eq(hm_pin_report(heap, info, 3), 0);
    cr_assert(hm_handle_free(heap, handle));
    errno = 0;
    cr_assert_not(hm_handle_tag(heap, handle, "block"));
    cr_assert_eq(errno, ESTALE);
    errno = 0;
    cr_assert_null(hm_pin_tagged(heap, handle, "third"));
    cr_assert_eq(errno, ESTALE);
    movable_end(heap);
}

Test(handle, in_a_buffer_there_is_no_room_for_names)
{
    hm_heap *heap = hm_movable_create_in(buffer_memory, BUFFER_BYTES, NULL);
    hm_handle handle = hm_handle_alloc(heap, 10);
    errno = 0;
    cr_assert_not(hm_handle_tag(heap, handle, "block"));
    cr_assert_eq(errno, ENOTSUP);
    errno = 0;
    cr_assert_null(hm_pin_tagged(heap, handle, "pin"));
    cr_assert_eq(errno, ENOTSUP);
    cr_assert_eq(hm_pin_report(heap, NULL, 0), 0);
    movable_end(heap);
}

/* Misuse */

struct misuse {
    hm_heap *heap;
    hm_handle handle;
};

static void free_handle(void *argument)
{
    struct misuse *misuse = argument;
    hm_handle_free(misuse->heap, misuse->handle);
}

static void resize_handle(void *argument)
{
    struct misuse *misuse = argument;
    hm_handle_resize(misuse->heap, misuse->handle, 1);
}

static void unpin_handle(void *argument)
{
    struct misuse *misuse = argument;
    hm_unpin(misuse->heap, misuse->handle);
}

static void unpin_tagged(void *argument)
{
    struct misuse *misuse = argument;
    hm_unpin_tagged(misuse->heap, misuse->handle, "none");
}

ON_BOTH_KINDS(handle, a_stale_handle_is_fatal)
{
    struct misuse misuse = {heap, hm_handle_alloc(heap, 10)};
    hm_handle_free(heap, misuse.handle);
    expect_fatal(free_handle, &misuse, "hmalloc: hm_handle_free of stale handle 0x");
    expect_fatal(resize_handle, &misuse, "hmalloc: hm_handle_resize of stale handle 0x");
    expect_fatal(unpin_handle, &misuse, "hmalloc: hm_unpin of stale handle 0x");
    expect_fatal(free_handle, &misuse, "its block was freed, the entry has been free since");
    hm_handle_alloc(heap, 10);
    expect_fatal(free_handle, &misuse, "its block was freed, the entry names another block now");
}

ON_BOTH_KINDS(handle, a_foreign_handle_is_fatal)
{
    hm_heap *other = hm_movable_create(NULL);
    struct misuse misuse = {heap, hm_handle_alloc(other, 10)};
    char text[100];
    snprintf(text, sizeof text, "it is of heap %u, not of heap %u (unnamed)", other->number, heap->number);
    expect_fatal(free_handle, &misuse, text);
    expect_fatal(resize_handle, &misuse, text);
    expect_fatal(unpin_handle, &misuse, text);
    hm_movable_destroy(other);
}

ON_BOTH_KINDS(handle, an_unpin_without_pin_is_fatal)
{
    struct misuse misuse = {heap, hm_handle_alloc(heap, 10)};
    expect_fatal(unpin_handle, &misuse, "its block of 10 bytes at 0x");
    misuse.handle = 0;
    expect_fatal(unpin_handle, &misuse, "hm_unpin of handle 0 in heap");
    misuse.handle = (uint64_t)heap->number << 54 | (uint32_t)-8;
    expect_fatal(unpin_handle, &misuse, "never given by heap");
}

Test(handle, an_unpin_by_a_wrong_name_is_fatal)
{
    hm_heap *heap = hm_movable_create(NULL);
    struct misuse misuse = {heap, hm_handle_alloc(heap, 10)};
    hm_pin_tagged(heap, misuse.handle, "pin");
    expect_fatal(unpin_tagged, &misuse, "hm_unpin_tagged of handle 0x");
    hm_unpin_tagged(heap, misuse.handle, "pin");
    movable_end(heap);
}
