#include <criterion/criterion.h>

#include "page/pagemap.h"
#include "support/fake_os.h"

#define PAGE ((uintptr_t)4096)
#define LEAF (PAGE << PAGEMAP_LEAF_BITS) /* bytes of address that a leaf covers */

static struct fake_os fake;
static struct pagemap map;

static void setup(void)
{
    fake_os_init(&fake, 0, 0);
    pagemap_init(&map, &fake.os);
}

static void teardown(void)
{
    fake_os_destroy(&fake);
}

TestSuite(pagemap, .init = setup, .fini = teardown);

Test(pagemap, unprepared_addresses_have_no_span)
{
    uintptr_t addresses[] = {0, PAGE, LEAF - 1, ((uintptr_t)1 << 48) - 1, (uintptr_t)1 << 48, UINTPTR_MAX};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        cr_assert_null(pagemap_get(&map, addresses[i]));
        cr_assert_null(pagemap_find(&map, addresses[i]));
    }
    cr_assert_eq(fake.calls[FAKE_MAP], 0);
}

Test(pagemap, first_and_last_page_lead_to_the_span)
{
    struct span span = {.addr = 16 * PAGE, .bytes = 4 * PAGE};
    cr_assert(pagemap_prepare(&map, span.addr, span.bytes));
    pagemap_enter(&map, &span);
    cr_assert_eq(pagemap_get(&map, 16 * PAGE), &span);
    cr_assert_eq(pagemap_get(&map, 17 * PAGE - 1), &span);
    cr_assert_eq(pagemap_get(&map, 19 * PAGE), &span);
    cr_assert_eq(pagemap_get(&map, 20 * PAGE - 1), &span);
    cr_assert_null(pagemap_get(&map, 16 * PAGE - 1));
    cr_assert_null(pagemap_get(&map, 17 * PAGE));
    cr_assert_null(pagemap_get(&map, 20 * PAGE));
    pagemap_clear(&map, &span);
    cr_assert_null(pagemap_get(&map, 16 * PAGE));
    cr_assert_null(pagemap_get(&map, 19 * PAGE));
}

Test(pagemap, a_span_may_cross_leaves)
{
    struct span span = {.addr = 3 * LEAF - PAGE, .bytes = 2 * LEAF};
    cr_assert(pagemap_prepare(&map, span.addr, span.bytes));
    cr_assert_eq(fake.calls[FAKE_MAP], 3);
    pagemap_enter(&map, &span);
    cr_assert_eq(pagemap_get(&map, span.addr), &span);
    cr_assert_eq(pagemap_get(&map, span_end(&span) - 1), &span);
    cr_assert_null(pagemap_get(&map, 3 * LEAF));
    cr_assert(pagemap_prepare(&map, span.addr, span.bytes));
    cr_assert_eq(fake.calls[FAKE_MAP], 3, "what is prepared stays");
}

Test(pagemap, prepare_fails_when_refused_and_beyond_48_bits)
{
    fake_os_refuse_nth(&fake, 1);
    cr_assert_not(pagemap_prepare(&map, PAGE, PAGE));
    cr_assert_null(pagemap_get(&map, PAGE));
    cr_assert_not(pagemap_prepare(&map, (uintptr_t)1 << 48, PAGE));
    cr_assert_not(pagemap_prepare(&map, ((uintptr_t)1 << 48) - PAGE, 2 * PAGE));
    cr_assert(pagemap_prepare(&map, ((uintptr_t)1 << 48) - PAGE, PAGE));
}

Test(pagemap, a_given_leaf_is_used_first)
{
    static struct pagemap_leaf leaf;
    struct span span = {.addr = 2 * LEAF - PAGE, .bytes = 2 * PAGE};
    pagemap_give(&map, &leaf);
    cr_assert(pagemap_prepare(&map, span.addr, PAGE));
    cr_assert_eq(fake.calls[FAKE_MAP], 0);
    cr_assert(pagemap_prepare(&map, span.addr, span.bytes));
    cr_assert_eq(fake.calls[FAKE_MAP], 1, "it is one leaf");
    pagemap_enter(&map, &span);
    cr_assert_eq(pagemap_get(&map, span.addr), &span);
    cr_assert_eq(atomic_load(&leaf.span[((size_t)1 << PAGEMAP_LEAF_BITS) - 1]), &span);
}

Test(pagemap, preparing_changes_no_entry)
{
    struct span span = {.addr = 16 * PAGE, .bytes = PAGE};
    cr_assert(pagemap_prepare(&map, span.addr, span.bytes));
    pagemap_enter(&map, &span);
    cr_assert(pagemap_prepare(&map, span.addr, span.bytes));
    cr_assert_eq(pagemap_get(&map, span.addr), &span);
}

Test(pagemap, the_stock_serves_two_addresses_without_the_os)
{
    struct pagemap_stock stock = {{NULL, NULL}};
    fake_os_refuse_nth(&fake, 3);
    cr_assert_not(pagemap_stock(&map, &stock), "the second leaf is refused");
    cr_assert(pagemap_stock(&map, &stock));
    fake_os_refuse_kind(&fake, FAKE_MAP, true);
    struct span span = {.addr = LEAF - PAGE, .bytes = 2 * PAGE};
    pagemap_prepare_from(&map, &stock, span.addr);
    pagemap_prepare_from(&map, &stock, span.addr);
    cr_assert_not_null(stock.leaf[0], "a prepared address takes nothing");
    pagemap_prepare_from(&map, &stock, span_end(&span) - 1);
    pagemap_enter(&map, &span);
    cr_assert_eq(pagemap_get(&map, LEAF), &span);
    cr_assert(stock.leaf[0] == NULL && stock.leaf[1] == NULL, "both are in use");
}

Test(pagemap, find_walks_back_to_the_span_around)
{
    struct span low = {.addr = 8 * PAGE, .bytes = 100 * PAGE};
    struct span high = {.addr = 120 * PAGE, .bytes = PAGE};
    cr_assert(pagemap_prepare(&map, low.addr, 200 * PAGE));
    pagemap_enter(&map, &low);
    pagemap_enter(&map, &high);
    cr_assert_eq(pagemap_find(&map, 8 * PAGE), &low);
    cr_assert_eq(pagemap_find(&map, 50 * PAGE + 123), &low);
    cr_assert_eq(pagemap_find(&map, 108 * PAGE - 1), &low);
    cr_assert_null(pagemap_find(&map, 108 * PAGE));
    cr_assert_eq(pagemap_find(&map, 121 * PAGE - 1), &high);
    cr_assert_null(pagemap_find(&map, 121 * PAGE));
    cr_assert_null(pagemap_find(&map, 8 * PAGE - 1));
}

Test(pagemap, larger_pages_make_larger_entries, .init = NULL, .fini = teardown)
{
    fake_os_init(&fake, 0, 65536);
    pagemap_init(&map, &fake.os);
    struct span span = {.addr = 3 * 65536, .bytes = 2 * 65536};
    cr_assert(pagemap_prepare(&map, span.addr, span.bytes));
    pagemap_enter(&map, &span);
    cr_assert_eq(pagemap_get(&map, 4 * 65536 - 1), &span);
    cr_assert_eq(pagemap_get(&map, 5 * 65536 - 1), &span);
    cr_assert_null(pagemap_get(&map, 5 * 65536));
}

Test(pagemap, covers_48_bits)
{
    cr_assert(pagemap_covers(0));
    cr_assert(pagemap_covers(((uintptr_t)1 << 48) - 1));
    cr_assert_not(pagemap_covers((uintptr_t)1 << 48));
    cr_assert_not(pagemap_covers(UINTPTR_MAX));
}
