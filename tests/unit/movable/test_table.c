#include <criterion/criterion.h>
#include <string.h>

#include "movable/table.h"
#include "support/assert_panic.h"
#include "support/fake_os.h"

#define KIB    ((size_t)1 << 10)
#define MIB    ((size_t)1 << 20)
#define NUMBER 3u

static struct fake_os fake;
static struct mtable table;

static void setup(void)
{
    fake_os_init(&fake, 0, 0);
}

static void teardown(void)
{
    cr_assert_eq(fake.mapped, 0, "%zu bytes leaked", fake.mapped);
    fake_os_destroy(&fake);
}

TestSuite(mtable, .init = setup, .fini = teardown, .timeout = 60);

static hm_handle make(uint32_t index)
{
    return entry_make(mtable_entry(&table, index), MTABLE_LOW * index, NUMBER, 16, 0);
}

static void take(hm_handle handle)
{
    uint64_t word;
    cr_assert_eq(entry_take(mtable_entry(&table, (uint32_t)handle / MTABLE_LOW), handle, &word), ENTRY_OK);
}

Test(mtable, entries_are_new_zero_and_different)
{
    struct mstack stack = {0};
    cr_assert(mtable_init(&table, &fake.os, 0, SIZE_MAX));
    cr_assert_eq((uintptr_t)table.base % fake.os.page_size, 0);
    cr_assert_not(mtable_has(&table, 0));
    cr_assert_not(mtable_has(&table, 1));
    for (uint32_t i = 1; i <= 10000; i++) {
        cr_assert_eq(mtable_get(&table, &stack, 1), 1);
        uint32_t index = mstack_pop(&table, &stack);
        cr_assert_eq(index, i);
        cr_assert(mtable_has(&table, index));
        cr_assert_eq(mtable_index(&table, mtable_entry(&table, index)), index);
        cr_assert_eq(entry_word(mtable_entry(&table, index)), ENTRY_NEW);
        make(index);
    }
    cr_assert_not(mtable_has(&table, 10001));
    cr_assert_not(mtable_has(&table, UINT32_MAX));
    mtable_verify(&table, 0, 10000);
    mtable_destroy(&table);
}

Test(mtable, batches_go_around)
{
    struct mstack mine = {0};
    struct mstack other = {0};
    cr_assert(mtable_init(&table, &fake.os, 0, SIZE_MAX));
    cr_assert_eq(mtable_get(&table, &mine, 32), 32);
    cr_assert_eq(mine.count, 32);
    mtable_put(&table, &mine, 20);
    cr_assert_eq(mine.count, 12);
    mtable_verify(&table, 12, 0);
    cr_assert_eq(mtable_get(&table, &other, 32), 32);
    cr_assert_eq(atomic_load(&table.fresh), 45, "those given back are taken first");
    mtable_put(&table, &mine, 100);
    cr_assert_eq(mine.count, 0);
    cr_assert_eq(mine.head, 0);
    cr_assert_eq(mstack_pop(&table, &mine), 0);
    mtable_verify(&table, 32, 0);
    bool seen[45] = {false};
    for (int i = 0; i < 32; i++) {
        uint32_t index = mstack_pop(&table, &other);
        cr_assert(index > 0 && index < 45 && !seen[index]);
        seen[index] = true;
        mstack_push(&table, &other, index);
        cr_assert_eq(mstack_pop(&table, &other), index, "last in, first out");
    }
    mtable_destroy(&table);
}

Test(mtable, uses_count_and_retire)
{
    struct mstack stack = {0};
    cr_assert(mtable_init(&table, &fake.os, 0, SIZE_MAX));
    cr_assert_eq(mtable_get(&table, &stack, 2), 2);
    uint32_t index = mstack_pop(&table, &stack);
    for (uint32_t use = 0; use < 100; use++) {
        hm_handle handle = make(index);
        cr_assert_eq(entry_uses(handle), use + 1);
        take(handle);
        mstack_push(&table, &stack, index);
        mtable_put(&table, &stack, 1);
        cr_assert_eq(mtable_get(&table, &stack, 1), 1);
        cr_assert_eq(mstack_pop(&table, &stack), index);
    }
    atomic_store(&mtable_entry(&table, index)->word, ENTRY_USES_LAST << ENTRY_GENERATION | ENTRY_FREE);
    take(make(index));
    mstack_push(&table, &stack, index);
    cr_assert_eq(stack.count, 1, "a retired entry isn't free");
    mtable_verify(&table, 1, 0);
    cr_assert_eq(atomic_load(&table.retired), 1);
    mtable_destroy(&table);
}

Test(mtable, commits_in_steps_and_touches_what_it_hands_out)
{
    struct mstack stack = {0};
    cr_assert(mtable_init(&table, &fake.os, 0, SIZE_MAX));
    cr_assert_eq(table.committed, 64 * KIB);
    cr_assert_eq(table.reserved, (MTABLE_DEFAULT + 1) * 16 + fake.os.page_size - 16);
    cr_assert_eq(mtable_resident(&table), fake.os.page_size);
    size_t entries = 0;
    while (entries < 4 * MIB) {
        cr_assert_eq(mtable_get(&table, &stack, 4096), 4096);
        stack = (struct mstack){0};
        entries += 4096;
        cr_assert_leq(table.committed, entries * 16 * 9 / 8 + 64 * KIB);
    }
    cr_assert_lt(fake.calls[FAKE_COMMIT], 100);
    cr_assert_leq(mtable_resident(&table), (entries + 1) * 16 + fake.os.page_size);
    cr_assert_geq(mtable_resident(&table), (entries + 1) * 16);
    mtable_destroy(&table);
}

Test(mtable, ends_where_it_was_told_to)
{
    for (size_t most = 1; most < 1000; most += 111) {
        struct mstack stack = {0};
        cr_assert(mtable_init(&table, &fake.os, most, SIZE_MAX));
        cr_assert_eq(mtable_get(&table, &stack, 2000), most);
        cr_assert_eq(mtable_get(&table, &stack, 1), 0);
        mtable_verify(&table, most, 0);
        mtable_put(&table, &stack, 1);
        cr_assert_eq(mtable_get(&table, &stack, 2), 1);
        mtable_destroy(&table);
    }
    cr_assert(mtable_init(&table, &fake.os, SIZE_MAX, SIZE_MAX));
    cr_assert_leq(table.limit, MTABLE_MAX);
    mtable_destroy(&table);
}

Test(mtable, takes_an_eighth_of_limited_space)
{
    struct mstack stack = {0};
    cr_assert(mtable_init(&table, &fake.os, 0, 64 * MIB));
    cr_assert_eq(table.reserved, 8 * MIB);
    cr_assert_eq(table.limit, 512 * KIB);
    cr_assert_eq(mtable_get(&table, &stack, UINT32_MAX), 512 * KIB - 1);
    mtable_verify(&table, 512 * KIB - 1, 0);
    mtable_destroy(&table);
    cr_assert(mtable_init(&table, &fake.os, 0, 1));
    cr_assert_eq(table.reserved, fake.os.page_size);
    mtable_destroy(&table);
}

Test(mtable, halves_until_the_os_agrees)
{
    fake_os_limit(&fake, 40 * MIB);
    cr_assert(mtable_init(&table, &fake.os, 0, SIZE_MAX));
    cr_assert_leq(table.reserved, 40 * MIB);
    cr_assert_gt(table.reserved, 20 * MIB - fake.os.page_size);
    mtable_destroy(&table);
    fake_os_refuse_kind(&fake, FAKE_RESERVE, true);
    cr_assert_not(mtable_init(&table, &fake.os, 0, SIZE_MAX));
}

Test(mtable, a_refused_step_is_a_short_batch)
{
    struct mstack stack = {0};
    cr_assert(mtable_init(&table, &fake.os, 0, SIZE_MAX));
    fake_os_refuse_kind(&fake, FAKE_COMMIT, true);
    uint32_t fits = (uint32_t)(64 * KIB / 16 - 1);
    cr_assert_eq(mtable_get(&table, &stack, 10000), fits);
    cr_assert_eq(mtable_get(&table, &stack, 1), 0);
    mtable_verify(&table, fits, 0);
    fake_os_refuse_kind(&fake, FAKE_COMMIT, false);
    fake_os_refuse_nth(&fake, 1);
    cr_assert_eq(mtable_get(&table, &stack, 1), 1, "a page is tried when a step is refused");
    cr_assert_eq(table.committed, 64 * KIB + fake.os.page_size);
    mtable_verify(&table, fits + 1, 0);
    mtable_destroy(&table);
}

/* The n-th call is refused, for every n: what was got stays good, and nothing is lost. */
Test(mtable, any_call_may_be_refused)
{
    for (size_t nth = 1;; nth++) {
        struct mstack stack = {0};
        fake_os_refuse_nth(&fake, nth);
        if (mtable_init(&table, &fake.os, 50000, SIZE_MAX)) {
            uint32_t got = mtable_get(&table, &stack, 50000);
            mtable_verify(&table, got, 0);
            got += mtable_get(&table, &stack, 50000 - got);
            cr_assert_eq(got, 50000 < table.limit ? 50000 : table.limit - 1);
            mtable_verify(&table, got, 0);
            bool over = !fake_os_fired(&fake);
            fake_os_refuse_nth(&fake, 0);
            mtable_destroy(&table);
            if (over) {
                break;
            }
        }
    }
    cr_assert_gt(fake.all_calls, 10);
}

Test(mtable, verify_counts)
{
    struct mstack stack = {0};
    cr_assert(mtable_init(&table, &fake.os, 0, SIZE_MAX));
    cr_assert_eq(mtable_get(&table, &stack, 3), 3);
    mtable_put(&table, &stack, 2);
    mtable_verify(&table, 1, 0);
    mtable_destroy(&table);
}

static void verify_wrong_stacks(void *argument)
{
    (void)argument;
    mtable_verify(&table, 2, 0);
}

static void verify_wrong_live(void *argument)
{
    (void)argument;
    mtable_verify(&table, 0, 1);
}

static void verify_circle(void *argument)
{
    (void)argument;
    atomic_store(&mtable_entry(&table, table.free)->address, table.free);
    mtable_verify(&table, 1, 0);
}

static void get_live(void *argument)
{
    (void)argument;
    make(table.free);
    mtable_get(&table, &(struct mstack){0}, 1);
}

Test(mtable, verify_notices)
{
    struct mstack stack = {0};
    cr_assert(mtable_init(&table, &fake.os, 0, SIZE_MAX));
    cr_assert_eq(mtable_get(&table, &stack, 3), 3);
    mtable_put(&table, &stack, 2);
    assert_panic(verify_wrong_stacks, NULL, "fresh - 1 = free + retired + on stacks + live");
    assert_panic(verify_wrong_live, NULL, "live entries are those that blocks have");
    assert_panic(verify_circle, NULL, "the list of free entries is as long as its count");
    assert_panic(get_live, NULL, "what the list of free entries leads to is a free entry");
    mtable_destroy(&table);
}
