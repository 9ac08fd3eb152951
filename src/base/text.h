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

#endif
