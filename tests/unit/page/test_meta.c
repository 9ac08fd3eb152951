#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "page/meta.h"
#include "support/child.h"
#include "support/env.h"
#include "support/fake_os.h"

static struct fake_os fake;
static struct meta meta;

static void setup(void)
{
    fake_os_init(&fake, 0, 0);
    meta_init(&meta, &fake.os);
}

static void teardown(void)
{
    fake_os_destroy(&fake);
}

TestSuite(meta, .init = setup, .fini = teardown);

static bool is_zero(const char *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (memory[i] != 0) {
            return false;
        }
    }
    return true;
}

Test(meta, memory_is_aligned_zero_and_disjoint)
{
    char *last = NULL;
    for (size_t bytes = 1; bytes < 3000; bytes += 37) {
        char *memory = meta_alloc(&meta, bytes);
        cr_assert_not_null(memory);
        cr_assert_eq((uintptr_t)memory % HM_CACHE_LINE, 0);
        cr_assert(is_zero(memory, bytes));
        memset(memory, 0xee, bytes);
        cr_assert_neq(memory, last);
        last = memory;
    }
    cr_assert_leq(meta.used, meta.mapped);
}

Test(meta, areas_double_up_to_4_mib)
{
    size_t expected = 0;
    size_t area = (size_t)128 << 10;
    for (int i = 0; i < 9; i++) {
        expected += area;
        area = area < ((size_t)4 << 20) ? area * 2 : area;
        do {
            cr_assert_not_null(meta_alloc(&meta, 4096));
        } while (meta.left >= 4096);
        cr_assert_eq(meta.mapped, expected, "area %d: %zu, not %zu", i, meta.mapped, expected);
    }
}

Test(meta, a_large_request_has_an_area_of_its_own)
{
    cr_assert_not_null(meta_alloc(&meta, 64));
    char *next = meta.next;
    char *large = meta_alloc(&meta, (size_t)9 << 20);
    cr_assert_not_null(large);
    large[((size_t)9 << 20) - 1] = 1;
    cr_assert_eq(meta.next, next, "the newest area goes on");
    cr_assert_null(meta_alloc(&meta, SIZE_MAX));
}

Test(meta, given_memory_is_the_first_area)
{
    static _Alignas(8192) char memory[8 * 4096 + 100];
    meta_give(&meta, memory + 1, sizeof(memory) - 1);
    char *first = meta_alloc(&meta, 100);
    cr_assert_eq(first, memory + HM_CACHE_LINE);
    cr_assert_eq((char *)meta_alloc_pages(&meta, 4096), memory + 7 * 4096, "the end is a page's");
    while (meta.left >= 4096) {
        char *next = meta_alloc(&meta, 4096);
        cr_assert(next >= memory && next + 4096 <= memory + 7 * 4096);
    }
    cr_assert_eq(fake.calls[FAKE_RESERVE], 0);
    cr_assert_leq(meta.used, meta.mapped);
    cr_assert_not_null(meta_alloc(&meta, 4096));
    cr_assert_eq(fake.calls[FAKE_RESERVE], 1, "then come areas from the OS");
}

Test(meta, given_memory_of_less_than_a_page_is_none)
{
    static _Alignas(8192) char memory[4096];
    meta_give(&meta, memory + 1, sizeof(memory) - 1 - 1);
    cr_assert_eq(meta.left, 0);
    cr_assert_not_null(meta_alloc(&meta, 64));
}

static void write_byte(void *at)
{
    *(volatile char *)at = 1;
}

static bool faults(char *at)
{
    struct child child = child_run(write_byte, at);
    return child.signal == SIGSEGV;
}

Test(meta, the_pages_around_an_area_are_inaccessible)
{
    if (test_under("valgrind")) {
        cr_skip_test("Valgrind reports the faults that the test provokes, and ends the run");
    }
    char *memory = meta_alloc(&meta, 64);
    char *end = meta.next + meta.left;
    cr_assert(faults(memory - 1));
    cr_assert_not(faults(memory));
    cr_assert_not(faults(end - 1));
    cr_assert(faults(end));
}

Test(meta, every_refusal_is_survived)
{
    bool fired = true;
    for (size_t n = 1; fired; n++) {
        fake_os_destroy(&fake);
        setup();
        fake_os_refuse_nth(&fake, n);
        size_t given = 0;
        for (int i = 0; i < 200; i++) {
            given += meta_alloc(&meta, 40000) != NULL;
        }
        fired = fake_os_fired(&fake);
        fake_os_refuse_nth(&fake, 0);
        cr_assert_geq(given, 199u);
        cr_assert_geq(fake.mapped, meta.mapped, "nothing is counted that is not there");
        cr_assert_leq(fake.mapped, meta.mapped + 64 * 2 * fake.os.page_size, "nothing is left behind");
    }
}

Test(meta, a_small_area_serves_when_a_large_one_is_refused)
{
    for (int i = 0; i < 100 || meta.left >= 65536; i++) {
        cr_assert_not_null(meta_alloc(&meta, 65536));
    }
    fake_os_limit(&fake, fake.mapped + ((size_t)256 << 10));
    cr_assert_not_null(meta_alloc(&meta, 65536));
    cr_assert_not_null(meta_alloc(&meta, 65536));
    cr_assert_null(meta_alloc(&meta, (size_t)1 << 20));
}

Test(meta, a_pool_recycles_the_last_object)
{
    struct meta_pool pool;
    meta_pool_init(&pool, &meta, 128);
    char *a = meta_pool_get(&pool);
    char *b = meta_pool_get(&pool);
    cr_assert(a != NULL && b != NULL && a != b);
    cr_assert(is_zero(a, 128));
    memset(a, 0x11, 128);
    meta_pool_put(&pool, a);
    cr_assert_eq(pool.free_count, 1);
    cr_assert_eq(meta_pool_get(&pool), a);
    cr_assert(a[8] == 0x11 && a[127] == 0x11, "but for its first word it is as it was");
    cr_assert_eq(pool.free_count, 0);
}

Test(meta, what_is_reserved_needs_no_os)
{
    struct meta_pool pool;
    meta_pool_init(&pool, &meta, 128);
    cr_assert(meta_pool_reserve(&pool, 2000));
    fake_os_refuse_kind(&fake, FAKE_RESERVE, true);
    meta.left = 0;
    for (int i = 0; i < 2000; i++) {
        cr_assert_not_null(meta_pool_get(&pool));
    }
    cr_assert_null(meta_pool_get(&pool));
    cr_assert_not(meta_pool_reserve(&pool, 1));
}
