#define _GNU_SOURCE 1

#include "api/outcome.h"

#include <hmalloc/buffer.h>
#include <signal.h>
#include <stdio.h>

#include "unit/api/movable_fixture.h"

Test(outcome, each_result_has_its_errno)
{
    static const struct {
        enum movable_result result;
        int error;
    } pairs[] = {
        {MOVABLE_NO_MEMORY, ENOMEM}, {MOVABLE_BUSY, EBUSY},          {MOVABLE_INVALID, EINVAL},
        {MOVABLE_STALE, ESTALE},     {MOVABLE_UNSUPPORTED, ENOTSUP},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        errno = 0;
        cr_assert_not(outcome(pairs[i].result));
        cr_assert_eq(errno, pairs[i].error);
    }
}

Test(outcome, what_went_well_or_has_set_errno_leaves_it)
{
    errno = EIO;
    cr_assert(outcome(MOVABLE_OK));
    cr_assert_eq(errno, EIO);
    cr_assert_not(outcome(MOVABLE_FAILED));
    cr_assert_eq(errno, EIO);
}

static void bad_handle(void *heap)
{
    outcome_bad_handle(heap, (uint64_t)1022 << ENTRY_NUMBER | 16, "verb");
}

static void bad_slot(void *heap)
{
    outcome_bad_slot(heap, (char *)&bad_slot + 1, "verb");
}

static void not_pinned(void *heap)
{
    outcome_not_pinned(heap, hm_handle_alloc(heap, 77), NULL, "verb");
}

/* Every function that a destroyed heap may be given to, but for hm_deref, which finds no block there. */
#define ON_DESTROYED(X)                                                                                      \
    X(hm_movable_destroy(heap))                                                                              \
    X(hm_movable_reset(heap))                                                                                \
    X(hm_movable_set_default(heap))                                                                          \
    X(hm_handle_alloc(heap, 1))                                                                              \
    X(hm_handle_calloc(heap, 1, 1))                                                                          \
    X(hm_handle_free(heap, handle))                                                                          \
    X(hm_handle_resize(heap, handle, 1))                                                                     \
    X(hm_handle_size(heap, handle))                                                                          \
    X(hm_handle_valid(heap, handle))                                                                         \
    X(hm_handle_tag(heap, handle, "name"))                                                                   \
    X(hm_handle_compact(heap, handle))                                                                       \
    X(hm_handle_expand(heap, 1))                                                                             \
    X(hm_pin(heap, handle))                                                                                  \
    X(hm_unpin(heap, handle))                                                                                \
    X(hm_pin_tagged(heap, handle, "name"))                                                                   \
    X(hm_unpin_tagged(heap, handle, "name"))                                                                 \
    X(hm_read_enter(heap))                                                                                   \
    X(hm_read_leave(heap))                                                                                   \
    X(hm_read_synchronize(heap))                                                                             \
    X(hm_slot_alloc(heap, &slot, 1))                                                                         \
    X(hm_slot_alloc_array(heap, &slot, 1, 1))                                                                \
    X(hm_slot_free(heap, &slot))                                                                             \
    X(hm_slot_resize(heap, &slot, 1))                                                                        \
    X(hm_slot_move(heap, &slot, &slot))                                                                      \
    X(hm_slot_size(heap, &slot))                                                                             \
    X(hm_slot_valid(heap, &slot))                                                                            \
    X(hm_slot_of(heap, &slot))                                                                               \
    X(hm_slot_pin(heap, &slot))                                                                              \
    X(hm_slot_unpin(heap, &slot))                                                                            \
    X(hm_slot_check(heap))                                                                                   \
    X(hm_compact(heap, (struct hm_budget){0, 0}))                                                            \
    X(hm_compactor_start(heap, NULL))                                                                        \
    X(hm_compactor_stop(heap))                                                                               \
    X(hm_movable_stats_get(heap, &stats, sizeof stats))                                                      \
    X(hm_movable_dump(heap, 1, HM_DUMP_TEXT))                                                                \
    X(hm_pin_report(heap, NULL, 0))                                                                          \
    X(hm_movable_verify(heap))                                                                               \
    X(hm_buffer_block_at(heap, 0, NULL))

static hm_handle handle;
static size_t next_call;

static void call_next(void *arg)
{
    hm_heap *heap = arg;
    struct hm_movable_stats stats;
    void *slot = NULL;
    size_t at = 0;
#define CALL(call)                                                                                           \
    if (at++ == next_call) {                                                                                 \
        call;                                                                                                \
    }
    ON_DESTROYED(CALL)
#undef CALL
}

ON_BOTH_KINDS(outcome, what_was_destroyed_is_no_heap_any_more)
{
#define NAME(call) #call,
    static const char *const calls[] = {ON_DESTROYED(NAME)};
#undef NAME
    static char memory[1024];
    hm_heap *gone = buffer_memory == (char *)heap ? hm_movable_create_in(memory, sizeof memory, NULL)
                                                  : hm_movable_create(NULL);
    handle = hm_handle_alloc(gone, 10);
    hm_movable_destroy(gone);
    for (next_call = 0; next_call < sizeof calls / sizeof *calls; next_call++) {
        char start[80];
        snprintf(start, sizeof start, "hmalloc: %.*s of heap %p: it was destroyed\n",
                 (int)strcspn(calls[next_call], "("), calls[next_call], (void *)gone);
        expect_fatal(call_next, gone, start);
    }
    cr_assert_null(hm_deref(gone, handle));
}

Test(outcome, lines_name_heap_and_block)
{
    hm_heap *heap = hm_movable_create(&(struct hm_movable_options){.name = "texts"});
    expect_fatal(bad_handle, heap,
                 "hmalloc: verb of handle 0xff80000000000010: it is of heap 1022, not of heap ");
    expect_fatal(bad_handle, heap, " (texts)");
    expect_fatal(bad_handle, NULL, "there is no default heap");
    expect_fatal(bad_slot, heap, "it is misaligned");
    expect_fatal(not_pinned, heap, "its block of 77 bytes at 0x");
    expect_fatal(not_pinned, heap, " (texts) has no pin");
    movable_end(heap);
}
