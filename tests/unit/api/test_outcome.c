#define _GNU_SOURCE 1

#include "api/outcome.h"

#include <signal.h>

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
