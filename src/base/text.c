#include "base/text.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(long) == 8 && sizeof(long long) == 8 && sizeof(size_t) == 8 && sizeof(intmax_t) == 8,
              "l, ll, z and j say the same");

struct spec {
    bool left;
    bool zero;
    size_t width;
    bool wide; /* a length modifier: 64 bits */
};

/* va_list is an array on some machines and decays when it is passed on; a struct can be passed by address. */
struct arguments {
    va_list list;
};

void text_init(struct text *text, char *buf, size_t cap)
{
    text->buf = buf;
    text->cap = cap;
    text->len = 0;
    text->cut = false;
    if (cap > 0) {
        buf[0] = 0;
    }
}

void text_put_char(struct text *text, char c)
{
    if (text->len + 1 >= text->cap) {
        text->cut = true;
        return;
    }
    text->buf[text->len++] = c;
    text->buf[text->len] = 0;
}

void text_put(struct text *text, const char *string)
{
    for (; *string != 0 && !text->cut; string++) {
        text_put_char(text, *string);
    }
}

static const char *parse_length(const char *at, bool *wide)
{
    size_t len = 0;
    while (at[len] == 'l' || at[len] == 'z' || at[len] == 'j') {
        len++;
    }
    *wide = len > 0;
    return at + len;
}

/* `at` is behind the percent sign; the result is the conversion character. */
static const char *parse_spec(const char *at, struct spec *spec)
{
    *spec = (struct spec){.left = false};
    for (; *at == '-' || *at == '0'; at++) {
        spec->left = spec->left || *at == '-';
        spec->zero = spec->zero || *at == '0';
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        spec->width = spec->width * 10 + (size_t)(*at - '0');
    }
    return parse_length(at, &spec->wide);
}

static uint64_t take_unsigned(struct arguments *arguments, bool wide)
{
    return wide ? va_arg(arguments->list, unsigned long) : va_arg(arguments->list, unsigned);
}

static int64_t take_signed(struct arguments *arguments, bool wide)
{
    return wide ? va_arg(arguments->list, long) : va_arg(arguments->list, int);
}

static void put_padding(struct text *text, size_t count, char c)
{
    for (; count > 0 && !text->cut; count--) {
        text_put_char(text, c);
    }
}

static void put_field(struct text *text, const struct spec *spec, const char *prefix, const char *body,
                      size_t body_len)
{
    size_t len = strlen(prefix) + body_len;
    size_t padding = spec->width > len ? spec->width - len : 0;
    bool zero = spec->zero && !spec->left;
    put_padding(text, spec->left || zero ? 0 : padding, ' ');
    text_put(text, prefix);
    put_padding(text, zero ? padding : 0, '0');
    for (size_t i = 0; i < body_len; i++) {
        text_put_char(text, body[i]);
    }
    put_padding(text, spec->left ? padding : 0, ' ');
}

static void put_number(struct text *text, const struct spec *spec, const char *prefix, uint64_t value,
                       unsigned base)
{
    char digits[20]; /* 2^64 - 1 in decimal */
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    put_field(text, spec, prefix, digits + at, sizeof(digits) - at);
}

static void put_signed(struct text *text, const struct spec *spec, int64_t value)
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    put_number(text, spec, value < 0 ? "-" : "", magnitude, 10);
}

static void put_string(struct text *text, struct spec *spec, const char *string)
{
    string = string == NULL ? "(null)" : string;
    spec->zero = false;
    put_field(text, spec, "", string, strlen(string));
}

/* False: the conversion is unknown, nothing was written and no argument taken. */
static bool put_conversion(struct text *text, struct spec *spec, char conversion, struct arguments *arguments)
{
    char c;
    switch (conversion) {
    case 's':
        put_string(text, spec, va_arg(arguments->list, const char *));
        return true;
    case 'c':
        c = (char)va_arg(arguments->list, int);
        spec->zero = false;
        put_field(text, spec, "", &c, 1);
        return true;
    case 'd':
    case 'i':
        put_signed(text, spec, take_signed(arguments, spec->wide));
        return true;
    case 'u':
        put_number(text, spec, "", take_unsigned(arguments, spec->wide), 10);
        return true;
    case 'x':
        put_number(text, spec, "", take_unsigned(arguments, spec->wide), 16);
        return true;
    case 'p':
        put_number(text, spec, "0x", (uintptr_t)va_arg(arguments->list, void *), 16);
        return true;
    case '%':
        text_put_char(text, '%');
        return true;
    default:
        return false;
    }
}

void text_vformat(struct text *text, const char *format, va_list args)
{
    struct arguments arguments;
    va_copy(arguments.list, args);
    for (; *format != 0; format++) {
        struct spec spec;
        if (*format != '%') {
            text_put_char(text, *format);
            continue;
        }
        const char *conversion = parse_spec(format + 1, &spec);
        if (put_conversion(text, &spec, *conversion, &arguments)) {
            format = conversion;
        } else {
            text_put_char(text, '%');
        }
    }
    va_end(arguments.list);
}

void text_format(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vformat(text, format, args);
    va_end(args);
}
