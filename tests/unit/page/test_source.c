#include <criterion/criterion.h>

#include "page/source.h"
#include "support/fake_os.h"

#define PAGE ((size_t)4096)

static struct fake_os fake;
static struct source source;
static struct grown grown;

static void setup(void)
{
    fake_os_init(&fake, 64 * PAGE, 0);
    source_init(&source, &fake.os, true);
}

static void teardown(void)
{
    fake_os_destroy(&fake);
}

TestSuite(source, .init = setup, .fini = teardown);

static void expect_grown(enum span_source from, size_t bytes)
{
    cr_assert_eq(grown.source, from);
    cr_assert_eq(grown.bytes, bytes);
    cr_assert_eq(grown.addr % PAGE, 0);
    for (size_t at = 0; at < bytes; at += PAGE / 2) {
        char *byte = (char *)grown.addr + at;
        cr_assert_eq(*byte, 0);
        *byte = 1;
    }
}

Test(source, the_break_comes_first_and_is_contiguous)
{
    cr_assert(source_grow(&source, PAGE, 4 * PAGE, &grown));
    expect_grown(SOURCE_BREAK, 4 * PAGE);
    uintptr_t first = grown.addr;
    cr_assert(source_grow(&source, PAGE, PAGE, &grown));
    expect_grown(SOURCE_BREAK, PAGE);
    cr_assert_eq(grown.addr, first + 4 * PAGE);
    cr_assert_eq(source.from_break, 5 * PAGE);
    cr_assert_eq(source.break_end, first + 5 * PAGE);
}

Test(source, mappings_serve_when_the_break_is_refused)
{
    cr_assert(source_grow(&source, 65 * PAGE, 65 * PAGE, &grown));
    expect_grown(SOURCE_MAP, 65 * PAGE);
    cr_assert_eq(source.from_map, 65 * PAGE);
    cr_assert_eq(source.mappings, 1);
    cr_assert_eq(source.refusals, 1);
    cr_assert(source_grow(&source, PAGE, PAGE, &grown), "a smaller growth may fit the break");
    expect_grown(SOURCE_BREAK, PAGE);
}

Test(source, the_break_is_left_alone_when_it_is_not_to_be_used)
{
    source.use_break = false;
    cr_assert(source_grow(&source, PAGE, PAGE, &grown));
    expect_grown(SOURCE_MAP, PAGE);
    cr_assert_eq(fake.calls[FAKE_MOVE_BREAK], 0);
    cr_assert_not(source_extend(&source, PAGE, PAGE, &grown));
}

Test(source, less_is_taken_when_much_is_refused)
{
    fake_os_limit(&fake, 10 * PAGE);
    cr_assert(source_grow(&source, 8 * PAGE, 60 * PAGE, &grown));
    expect_grown(SOURCE_BREAK, 8 * PAGE);
    cr_assert_not(source_grow(&source, 8 * PAGE, 60 * PAGE, &grown));
    cr_assert_eq(source.from_break + source.from_map, 8 * PAGE);
}

Test(source, half_of_a_step_is_asked_for_before_single_needs)
{
    fake_os_limit(&fake, 40 * PAGE);
    cr_assert(source_grow(&source, PAGE, 50 * PAGE, &grown));
    expect_grown(SOURCE_BREAK, 25 * PAGE);
    cr_assert(source_extend(&source, PAGE, 50 * PAGE, &grown));
    expect_grown(SOURCE_BREAK, 13 * PAGE);
    cr_assert(source_grow(&source, 2 * PAGE, 50 * PAGE, &grown));
    expect_grown(SOURCE_BREAK, 2 * PAGE);
    cr_assert_not(source_grow(&source, PAGE, 50 * PAGE, &grown));
}

Test(source, a_foreign_break_is_respected_and_aligned)
{
    cr_assert(source_grow(&source, PAGE, PAGE, &grown));
    uintptr_t first = grown.addr;
    char *foreign = fake_os_foreign_sbrk(&fake, 100);
    foreign[99] = 77;
    cr_assert_not(source_extend(&source, PAGE, PAGE, &grown), "not contiguous");
    cr_assert_not(source_lower(&source, first, PAGE), "not on top");
    cr_assert(source_grow(&source, 2 * PAGE, 2 * PAGE, &grown));
    expect_grown(SOURCE_BREAK, 2 * PAGE);
    cr_assert_eq(grown.addr, first + 2 * PAGE);
    cr_assert_eq(foreign[99], 77);
    cr_assert(source_lower(&source, grown.addr, 2 * PAGE));
    cr_assert_eq(foreign[99], 77);
    cr_assert_not(source_lower(&source, first, PAGE), "the foreign page lies between");
}

Test(source, a_break_that_was_lowered_under_us_is_not_used)
{
    cr_assert(source_grow(&source, 4 * PAGE, 4 * PAGE, &grown));
    fake_os_foreign_sbrk(&fake, -(intptr_t)(2 * PAGE));
    size_t calls = fake.calls[FAKE_MOVE_BREAK];
    cr_assert(source_grow(&source, PAGE, PAGE, &grown));
    expect_grown(SOURCE_MAP, PAGE);
    cr_assert_eq(fake.calls[FAKE_MOVE_BREAK], calls + 1, "asked for, not moved");
    cr_assert_not(source_lower(&source, grown.addr, PAGE));
}

Test(source, extending_joins_the_top)
{
    cr_assert_not(source_extend(&source, PAGE, PAGE, &grown), "nothing to join yet");
    cr_assert(source_grow(&source, PAGE, PAGE, &grown));
    uintptr_t end = source.break_end;
    cr_assert(source_extend(&source, PAGE, 1000 * PAGE, &grown));
    expect_grown(SOURCE_BREAK, 63 * PAGE);
    cr_assert_eq(grown.addr, end);
    cr_assert_eq(source.from_map, 0);
}

Test(source, lowering_takes_the_top_only)
{
    cr_assert(source_grow(&source, 4 * PAGE, 4 * PAGE, &grown));
    uintptr_t first = grown.addr;
    cr_assert_not(source_lower(&source, first, 2 * PAGE));
    cr_assert(source_lower(&source, first + PAGE, 3 * PAGE));
    cr_assert_eq(source.from_break, PAGE);
    cr_assert_eq(fake_os_break_bytes(&fake), PAGE);
    cr_assert(source_grow(&source, PAGE, PAGE, &grown));
    cr_assert_eq(grown.addr, first + PAGE);
    expect_grown(SOURCE_BREAK, PAGE);
    fake_os_refuse_kind(&fake, FAKE_MOVE_BREAK, true);
    cr_assert_not(source_lower(&source, first + PAGE, PAGE));
    cr_assert_eq(source.from_break, 2 * PAGE);
}

Test(source, what_was_lowered_is_known)
{
    cr_assert(source_grow(&source, 4 * PAGE, 4 * PAGE, &grown));
    uintptr_t end = source.break_end;
    cr_assert_not(source_gave_back(&source, end - 1));
    cr_assert(source_lower(&source, end - PAGE, PAGE));
    cr_assert(source_gave_back(&source, end - PAGE));
    cr_assert(source_gave_back(&source, end - 1));
    cr_assert_not(source_gave_back(&source, end - PAGE - 1), "still ours");
    cr_assert_not(source_gave_back(&source, end), "never ours");
    fake_os_refuse_kind(&fake, FAKE_MOVE_BREAK, true);
    cr_assert_not(source_gave_back(&source, end - 1), "nobody knows");
}

Test(source, what_was_unmapped_lately_is_known)
{
    source.use_break = false;
    cr_assert(source_grow(&source, 20 * PAGE, 20 * PAGE, &grown));
    for (unsigned i = 0; i < 10; i++) {
        uintptr_t addr = grown.addr + 2 * i * PAGE;
        cr_assert_not(source_gave_back(&source, addr));
        cr_assert(source_unmap(&source, addr, PAGE, 1));
        cr_assert(source_gave_back(&source, addr));
        cr_assert(source_gave_back(&source, addr + PAGE - 1));
        cr_assert_not(source_gave_back(&source, addr + PAGE), "still ours");
    }
    cr_assert_not(source_gave_back(&source, grown.addr + 2 * PAGE), "too long ago");
    cr_assert(source_gave_back(&source, grown.addr + 4 * PAGE));
}

Test(source, unmapping_counts_mappings)
{
    source.use_break = false;
    cr_assert(source_grow(&source, 5 * PAGE, 5 * PAGE, &grown));
    cr_assert(source_unmap(&source, grown.addr + 2 * PAGE, PAGE, 2));
    cr_assert_eq(source.mappings, 2);
    cr_assert(source_unmap(&source, grown.addr + PAGE, PAGE, 1));
    cr_assert_eq(source.mappings, 2);
    cr_assert(source_unmap(&source, grown.addr, PAGE, 0));
    cr_assert_eq(source.mappings, 1);
    cr_assert_eq(source.from_map, 2 * PAGE);
    cr_assert_eq(fake.mapped, 2 * PAGE);
    source.mappings = SOURCE_MAPPINGS_MAX;
    cr_assert(source_grow(&source, 3 * PAGE, 3 * PAGE, &grown));
    cr_assert_not(source_unmap(&source, grown.addr + PAGE, PAGE, 2), "no split above the limit");
    cr_assert(source_unmap(&source, grown.addr, 3 * PAGE, 0));
}

Test(source, returning_undoes_a_growth)
{
    cr_assert(source_grow(&source, PAGE, PAGE, &grown));
    source_return(&source, &grown);
    cr_assert_eq(fake_os_break_bytes(&fake), 0);
    cr_assert_eq(source.from_break, 0);
    source.use_break = false;
    cr_assert(source_grow(&source, PAGE, PAGE, &grown));
    source_return(&source, &grown);
    cr_assert_eq(fake.mapped, 0);
    cr_assert_eq(source.mappings, 0);
    cr_assert(source_grow(&source, PAGE, PAGE, &grown));
    fake_os_refuse_kind(&fake, FAKE_UNMAP, true);
    source_return(&source, &grown);
    cr_assert_eq(source.from_map, 0, "lost, but not counted");
}

Test(source, growth_beyond_the_address_space_is_refused)
{
    size_t huge = (size_t)PTRDIFF_MAX & ~(PAGE - 1);
    cr_assert_not(source_grow(&source, huge, huge, &grown));
    cr_assert_eq(source.from_break + source.from_map, 0);
}
