#include "runtime/options.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/text.h"

#define ITEM_BYTES (OPTIONS_PATH_MAX + 32)
#define LINE_BYTES (ITEM_BYTES + 128)
#define DECAY_MAX  ((size_t)1 << 40)

/* A setter leaves the options alone when it returns false. */
struct key {
    const char *name;
    bool (*set)(struct options *options, const char *value);
    const char *expected;
};

/* Digits up to `end`, without sign or space. */
static bool parse_number(const char *value, const char *end, size_t *number)
{
    size_t result = 0;
    if (value == end) {
        return false;
    }
    for (; value != end; value++) {
        if (*value < '0' || *value > '9' || !bits_mul(result, 10, &result) ||
            !bits_add(result, (size_t)(*value - '0'), &result)) {
            return false;
        }
    }
    *number = result;
    return true;
}

static bool parse_size(const char *value, size_t *size)
{
    size_t len = strlen(value);
    size_t unit = 1;
    unsigned suffix = len > 0 ? (unsigned char)value[len - 1] & ~0x20u : 0;
    if (suffix == 'K' || suffix == 'M' || suffix == 'G') {
        unit = suffix == 'K' ? (size_t)1 << 10 : suffix == 'M' ? (size_t)1 << 20 : (size_t)1 << 30;
        len--;
    }
    size_t number;
    if (!parse_number(value, value + len, &number) || !bits_mul(number, unit, &number)) {
        return false;
    }
    *size = number;
    return true;
}

static bool parse_bool(const char *value, bool *result)
{
    bool valid = text_equal(value, "0") || text_equal(value, "1");
    if (valid) {
        *result = *value == '1';
    }
    return valid;
}

static bool set_decay(struct options *options, const char *value)
{
    size_t ms;
    if (text_equal(value, "-1")) {
        options->core.pages.decay_ms = -1;
        return true;
    }
    if (!parse_number(value, value + strlen(value), &ms) || ms > DECAY_MAX) {
        return false;
    }
    options->core.pages.decay_ms = (int64_t)ms;
    return true;
}

static bool set_floor(struct options *options, const char *value)
{
    return parse_size(value, &options->core.pages.dirty_floor);
}

static bool set_trim(struct options *options, const char *value)
{
    return parse_size(value, &options->core.pages.trim_bytes);
}

static bool set_own(struct options *options, const char *value)
{
    return parse_size(value, &options->core.own_mapping_bytes);
}

static bool set_break(struct options *options, const char *value)
{
    return parse_bool(value, &options->core.pages.use_break);
}

static bool set_thp(struct options *options, const char *value)
{
    bool never = text_equal(value, "never");
    bool always = text_equal(value, "always");
    if (!never && !always && !text_equal(value, "auto")) {
        return false;
    }
    options->core.pages.huge_never = never;
    options->core.pages.huge_always = always;
    return true;
}

static bool set_check(struct options *options, const char *value)
{
    bool check;
    if (!parse_bool(value, &check)) {
        return false;
    }
    options->core.check = check;
    return true;
}

static bool set_stats(struct options *options, const char *value)
{
    bool text = false;
    bool json = text_equal(value, "json");
    if (!json && !parse_bool(value, &text)) {
        return false;
    }
    options->stats = json ? STATS_JSON : text ? STATS_TEXT : STATS_NONE;
    return true;
}

static bool set_stats_file(struct options *options, const char *value)
{
    size_t len = strlen(value);
    if (len == 0 || len >= OPTIONS_PATH_MAX) {
        return false;
    }
    memcpy(options->stats_file, value, len + 1);
    return true;
}

#define EXPECTED_SIZE "bytes, K, M and G may follow"

static const struct key keys[] = {
    {"decay", set_decay, "milliseconds or -1"},
    {"floor", set_floor, EXPECTED_SIZE},
    {"trim", set_trim, EXPECTED_SIZE},
    {"own", set_own, EXPECTED_SIZE},
    {"break", set_break, "0 or 1"},
    {"thp", set_thp, "auto, always or never"},
    {"check", set_check, "0 or 1"},
    {"stats", set_stats, "0, 1 or json"},
    {"stats_file", set_stats_file, "a path of less than 256 bytes"},
};

static const struct key *find_key(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strlen(keys[i].name) == len && memcmp(keys[i].name, name, len) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

static void warn_line(const char *line)
{
    warn("%s", line);
}

static void apply_item(struct options *options, const char *item, bool cut, void (*report)(const char *line))
{
    char buf[LINE_BYTES];
    struct text line;
    text_init(&line, buf, sizeof(buf));
    size_t len = text_until(item, ':');
    const char *value = item[len] == ':' ? item + len + 1 : "";
    const struct key *key = find_key(item, len);
    if (key == NULL) {
        text_put(&line, "HMALLOC_CONF: unknown key \"");
        for (size_t i = 0; i < len; i++) {
            text_put_char(&line, item[i]);
        }
        text_put_char(&line, '"');
    } else if (cut || !key->set(options, value)) {
        text_format(&line, "HMALLOC_CONF: bad value \"%s\" for %s: expected %s", value, key->name,
                    key->expected);
    } else {
        return;
    }
    report(buf);
}

void options_parse(struct options *options, const char *conf, void (*report)(const char *line))
{
    report = report == NULL ? warn_line : report;
    while (conf != NULL && *conf != 0) {
        char item[ITEM_BYTES];
        size_t len = text_until(conf, ',');
        bool cut = len >= sizeof(item);
        size_t kept = cut ? sizeof(item) - 1 : len;
        memcpy(item, conf, kept);
        item[kept] = 0;
        if (len > 0) {
            apply_item(options, item, cut, report);
        }
        conf += len + (conf[len] == ',');
    }
}
