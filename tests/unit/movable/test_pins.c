#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "movable/pins.h"
#include "support/fake_os.h"

static struct fake_os fake;
static struct meta meta;
static struct pin_pools pools;
static struct pins pins;

static void setup(void)
{
    fake_os_init(&fake, 0, 0);
    meta_init(&meta, &fake.os);
    pin_pools_init(&pools, &meta);
    pins_init(&pins, &pools);
}

static void teardown(void)
{
    pins_verify(&pins);
    fake_os_destroy(&fake);
}

TestSuite(pins, .init = setup, .fini = teardown, .timeout = 30);

Test(pins, tags_are_interned_copies)
{
    char name[] = "index";
    uint8_t tag = pins_tag(&pins, name);
    cr_assert_eq(tag, 1);
    name[0] = 'X';
    cr_assert_str_eq(pins_tag_name(&pins, tag), "index");
    cr_assert_eq(pins_tag(&pins, "cache"), 2);
    cr_assert_eq(pins_tag(&pins, "index"), tag);
    cr_assert_eq(pins_tag(&pins, ""), 3);
    cr_assert_str_eq(pins_tag_name(&pins, 3), "");
    cr_assert_eq(pins_tag(&pins, NULL), 0);
    cr_assert_null(pins_tag_name(&pins, 0));
    cr_assert_null(pins_tag_name(&pins, 4));
}

Test(pins, names_are_cut_after_31_bytes)
{
    const char *name = "0123456789012345678901234567890123456789";
    uint8_t tag = pins_tag(&pins, name);
    cr_assert_eq(strlen(pins_tag_name(&pins, tag)), 31);
    cr_assert_eq(strncmp(pins_tag_name(&pins, tag), name, 31), 0);
    cr_assert_eq(pins_tag(&pins, "0123456789012345678901234567890"), tag);
    cr_assert_neq(pins_tag(&pins, "012345678901234567890123456789"), tag);
}

Test(pins, there_are_255_tags)
{
    char name[16];
    for (unsigned i = 1; i <= PINS_TAGS; i++) {
        snprintf(name, sizeof(name), "tag %u", i);
        cr_assert_eq(pins_tag(&pins, name), i);
    }
    cr_assert_eq(pins_tag(&pins, "one more"), 0);
    cr_assert_eq(pins_tag(&pins, "tag 255"), 255);
    cr_assert_str_eq(pins_tag_name(&pins, 255), "tag 255");
    pins_verify(&pins);
}

Test(pins, the_oldest_come_first)
{
    struct hm_pin_info info[4];
    memset(info, 0xee, sizeof(info));
    cr_assert_eq(pins_oldest(&pins, info, 4, 100), 0);
    for (uint64_t i = 0; i < 100; i++) {
        cr_assert(pins_add(&pins, i, i % 2 == 0 ? "even" : "odd", 10 + i));
    }
    cr_assert(pins_remove(&pins, 1, "odd", NULL));
    cr_assert_eq(pins_oldest(&pins, info, 3, 110), 99);
    cr_assert_eq(info[0].handle, 0);
    cr_assert_eq(info[0].age_ns, 100);
    cr_assert_str_eq(info[0].name, "even");
    cr_assert_null(info[0].block_name);
    cr_assert_eq(info[0].kept_bytes, 0);
    cr_assert_eq(info[1].handle, 2);
    cr_assert_eq(info[2].handle, 3);
    cr_assert_eq(info[2].age_ns, 97);
    cr_assert_eq((unsigned char)info[3].age_ns, 0xee, "no more than asked for");
    cr_assert_eq(pins_oldest(&pins, NULL, 0, 0), 99);
}

Test(pins, a_clock_that_lags_gives_age_0)
{
    struct hm_pin_info info;
    cr_assert(pins_add(&pins, 1, NULL, 50));
    cr_assert_eq(pins_oldest(&pins, &info, 1, 40), 1);
    cr_assert_eq(info.age_ns, 0);
    cr_assert_str_eq(info.name, "");
}

Test(pins, removing_finds_handle_and_name)
{
    size_t left = 9;
    char same[] = "a";
    cr_assert(pins_add(&pins, 7, "a", 1));
    cr_assert(pins_add(&pins, 7, "b", 2));
    cr_assert(pins_add(&pins, 8, "a", 3));
    cr_assert(pins_add(&pins, 7, "a", 4));
    cr_assert_not(pins_remove(&pins, 8, "b", &left));
    cr_assert_eq(left, 1);
    cr_assert_not(pins_remove(&pins, 9, "a", &left));
    cr_assert_eq(left, 0);
    cr_assert(pins_remove(&pins, 7, same, &left));
    cr_assert_eq(left, 2);
    struct hm_pin_info info[4];
    cr_assert_eq(pins_oldest(&pins, info, 4, 10), 3);
    cr_assert_eq(info[0].age_ns, 9, "the newest of two went");
    pins_forget(&pins, 7);
    cr_assert_eq(pins_oldest(&pins, info, 4, 10), 1);
    cr_assert_eq(info[0].handle, 8);
}

Test(pins, memory_goes_back_to_the_pools)
{
    for (int round = 0; round < 100; round++) {
        struct pins other;
        pins_init(&other, &pools);
        for (uint64_t i = 0; i < 50; i++) {
            char name[16];
            snprintf(name, sizeof(name), "%d %d", round, (int)i);
            cr_assert_neq(pins_tag(&other, name), 0);
            cr_assert(pins_add(&other, i, "pin", i));
        }
        pins_verify(&other);
        pins_destroy(&other);
        pins_verify(&other);
        cr_assert_null(pins_tag_name(&other, 1));
    }
    cr_assert_leq(meta.used, 100u * HM_CACHE_LINE);
}

Test(pins, a_refusal_changes_nothing)
{
    fake_os_refuse_kind(&fake, FAKE_RESERVE, true);
    cr_assert_eq(pins_tag(&pins, "name"), 0);
    cr_assert_not(pins_add(&pins, 1, "name", 1));
    pins_verify(&pins);
    cr_assert_eq(pins_oldest(&pins, NULL, 0, 1), 0);
    fake_os_refuse_kind(&fake, FAKE_RESERVE, false);
    for (size_t nth = 1;; nth++) {
        fake_os_refuse_nth(&fake, nth);
        bool named = pins_tag(&pins, "name") != 0;
        bool added = pins_add(&pins, nth, "name", nth);
        pins_verify(&pins);
        if (!fake_os_fired(&fake)) {
            cr_assert(named && added);
            break;
        }
        pins_forget(&pins, nth);
    }
    fake_os_refuse_nth(&fake, 0);
}
