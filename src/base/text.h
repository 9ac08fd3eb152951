/* Formatting into a caller's buffer without allocation, locale or locks.
 *
 * Invariant: len < cap and buf[len] == 0 whenever cap > 0. What doesn't fit is dropped and `cut` is set. */
#ifndef HM_BASE_TEXT_H
#define HM_BASE_TEXT_H

#include <stdarg.h>

#include "base/attr.h"

struct text {
    char *buf;
    size_t cap;
    size_t len;
    bool cut;
};

void text_init(struct text *text, char *buf, size_t cap);
void text_put(struct text *text, const char *string);
void text_put_char(struct text *text, char c);

/* Understands %s %c %d %i %u %x %p %% with the length modifiers l, ll, z and j, a field width and a leading 0
 * or -. %p always prints 0x and lower-case digits. Anything else is copied as it stands. */
void text_format(struct text *text, const char *format, ...) HM_PRINTF(2, 3);
void text_vformat(struct text *text, const char *format, va_list args) HM_PRINTF(2, 0);

/* strncmp(string, prefix, strlen(prefix)) == 0, strcmp(a, b) == 0 and strcspn(string, "c"), for what runs when the process starts: a
 * sanitizer in the program may have put its own functions in the place of libc's, which can't be called before it has
 * initialised itself. (strlen and those that take a size can.) */
HM_INLINE bool text_begins(const char *string, const char *prefix)
{
    while (*prefix != 0 && *string == *prefix) {
        string++;
        prefix++;
    }
    return *prefix == 0;
}

HM_INLINE bool text_equal(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

HM_INLINE size_t text_until(const char *string, char c)
{
    size_t len = 0;
    while (string[len] != 0 && string[len] != c) {
        len++;
    }
    return len;
}

#endif
