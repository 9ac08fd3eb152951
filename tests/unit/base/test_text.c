#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static char buf[256];

#define EXPECT(expected, ...)                                                                                \
    do {                                                                                                     \
        struct text text;                                                                                    \
        text_init(&text, buf, sizeof(buf));                                                                  \
        text_format(&text, __VA_ARGS__);                                                                     \
        cr_expect_str_eq(buf, expected);                                                                     \
        cr_expect_eq(text.len, strlen(expected));                                                            \
        cr_expect_not(text.cut);                                                                             \
    } while (0)

/* The same arguments through libc: where both are defined they must agree. */
#define EXPECT_AS_LIBC(...)                                                                                  \
    do {                                                                                                     \
        char expected[256];                                                                                  \
        snprintf(expected, sizeof(expected), __VA_ARGS__);                                                   \
        EXPECT(expected, __VA_ARGS__);                                                                       \
    } while (0)

Test(text, starts_empty)
{
    struct text text;
    buf[0] = 'x';
    text_init(&text, buf, sizeof(buf));
    cr_assert_str_empty(buf);
    cr_assert_eq(text.len, 0);
}

Test(text, puts_strings_and_characters)
{
    struct text text;
    text_init(&text, buf, sizeof(buf));
    text_put(&text, "one");
    text_put_char(&text, '-');
    text_put(&text, "two");
    cr_assert_str_eq(buf, "one-two");
}

Test(text, integers_of_every_length)
{
    EXPECT_AS_LIBC("%d %d %d %i", 0, -1, INT_MIN, INT_MAX);
    EXPECT_AS_LIBC("%u %u %x", 0u, UINT_MAX, 0xdeadbeefu);
    EXPECT_AS_LIBC("%ld %lu %lx", LONG_MIN, ULONG_MAX, ULONG_MAX);
    EXPECT_AS_LIBC("%lld %llu %llx", LLONG_MIN, ULLONG_MAX, ULLONG_MAX);
    EXPECT_AS_LIBC("%zu %zx %zd", SIZE_MAX, SIZE_MAX, (ssize_t)-5);
    EXPECT_AS_LIBC("%jd %ju %jx", INTMAX_MIN, UINTMAX_MAX, UINTMAX_MAX);
}

Test(text, width_and_flags)
{
    EXPECT_AS_LIBC("[%5d] [%-5d] [%05d]", 42, 42, 42);
    EXPECT_AS_LIBC("[%5d] [%-5d] [%05d]", -42, -42, -42);
    EXPECT_AS_LIBC("[%2d] [%02x] [%016lx]", 12345, 0xau, 0xabcul);
    EXPECT_AS_LIBC("[%8s] [%-8s] [%2s]", "abc", "abc", "abc");
    EXPECT_AS_LIBC("[%3c] [%-3c]", 'x', 'y');
    EXPECT_AS_LIBC("[%20p] [%-20p]", (void *)0x1234, (void *)0x1234);
}

Test(text, pointers_always_have_a_prefix)
{
    EXPECT("0x0", "%p", (void *)0);
    EXPECT("0xffffffffffffffff", "%p", (void *)UINTPTR_MAX);
}

Test(text, null_string_is_named)
{
    const char *volatile none = NULL;
    EXPECT("(null)", "%s", none);
}

Test(text, percent_and_unknown_conversions)
{
    const char *volatile unknown = "100%% %k %";
    EXPECT("100%", "100%%");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    EXPECT("100% %k %", unknown);
#pragma GCC diagnostic pop
}

Test(text, cuts_at_every_capacity)
{
    const char *whole = "abc 12345 0x10";
    for (size_t cap = 0; cap <= 20; cap++) {
        struct text text;
        memset(buf, '#', sizeof(buf));
        text_init(&text, buf, cap);
        text_format(&text, "%s %d %p", "abc", 12345, (void *)16);
        size_t fits = cap == 0 ? 0 : cap - 1 < strlen(whole) ? cap - 1 : strlen(whole);
        cr_expect_eq(text.len, fits);
        cr_expect_eq(text.cut, fits < strlen(whole));
        cr_expect(memcmp(buf, whole, fits) == 0);
        cr_expect(cap == 0 || buf[fits] == 0);
        cr_expect_eq(buf[cap], '#', "written beyond capacity %zu", cap);
    }
}

Test(text, cut_padding_ends, .timeout = 10)
{
    struct text text;
    const char *volatile wide = "%1000000000000000000d";
    text_init(&text, buf, 8);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    text_format(&text, wide, 1);
#pragma GCC diagnostic pop
    cr_assert_str_eq(buf, "       ");
    cr_assert(text.cut);
}

Test(text, keeps_errno)
{
    errno = 77;
    EXPECT("1 a", "%d %s", 1, "a");
    cr_assert_eq(errno, 77);
}

Test(text, compares_as_libc_does)
{
    static const char *const strings[] = {"", "a", "ab", "abc", "abd", "b", "\xff", "a\xff"};
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        for (size_t j = 0; j < sizeof(strings) / sizeof(strings[0]); j++) {
            const char *a = strings[i];
            const char *b = strings[j];
            cr_expect_eq(text_equal(a, b), strcmp(a, b) == 0, "%s, %s", a, b);
            cr_expect_eq(text_begins(a, b), strncmp(a, b, strlen(b)) == 0, "%s, %s", a, b);
        }
        cr_expect_eq(text_until(strings[i], 'b'), strcspn(strings[i], "b"));
    }
}
