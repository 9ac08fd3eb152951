#include <criterion/criterion.h>
#include <string.h>

#include "runtime/options.h"
#include "support/child.h"

static struct options options;
static int lines;
static char last_line[1024];

static void note_line(const char *line)
{
    lines++;
    strncpy(last_line, line, sizeof(last_line) - 1);
}

static void parse(const char *conf)
{
    options_default(&options);
    lines = 0;
    options_parse(&options, conf, note_line);
}

static bool is_default(void)
{
    struct options untouched;
    options_default(&untouched);
    return memcmp(&untouched, &options, sizeof(options)) == 0;
}

Test(options, defaults_are_those_documented)
{
    parse(NULL);
    cr_assert_eq(options.core.pages.decay_ms, 1000);
    cr_assert_eq(options.core.pages.dirty_floor, (size_t)1 << 20);
    cr_assert_eq(options.core.pages.trim_bytes, (size_t)128 << 10);
    cr_assert_eq(options.core.own_mapping_bytes, (size_t)16 << 20);
    cr_assert(options.core.pages.use_break);
    cr_assert_not(options.core.pages.huge_never || options.core.pages.huge_always);
    cr_assert_eq(options.core.check, 0);
    cr_assert_eq(options.stats, STATS_NONE);
    cr_assert_str_empty(options.stats_file);
}

Test(options, every_key_sets_its_option)
{
    parse("decay:250,floor:8M,trim:64k,own:1G,break:0,thp:never,check:1,stats:json,stats_file:/tmp/x.%p");
    cr_assert_eq(lines, 0, "%s", last_line);
    cr_assert_eq(options.core.pages.decay_ms, 250);
    cr_assert_eq(options.core.pages.dirty_floor, (size_t)8 << 20);
    cr_assert_eq(options.core.pages.trim_bytes, (size_t)64 << 10);
    cr_assert_eq(options.core.own_mapping_bytes, (size_t)1 << 30);
    cr_assert_not(options.core.pages.use_break);
    cr_assert(options.core.pages.huge_never);
    cr_assert_eq(options.core.check, 1);
    cr_assert_eq(options.stats, STATS_JSON);
    cr_assert_str_eq(options.stats_file, "/tmp/x.%p");
}

Test(options, special_values)
{
    parse("decay:-1,thp:always,stats:1");
    cr_assert_eq(options.core.pages.decay_ms, -1);
    cr_assert(options.core.pages.huge_always && !options.core.pages.huge_never);
    cr_assert_eq(options.stats, STATS_TEXT);
    parse("decay:0,thp:never,thp:auto,floor:0,stats:1,stats:0");
    cr_assert_eq(lines, 0);
    cr_assert_eq(options.core.pages.decay_ms, 0);
    cr_assert_eq(options.core.pages.dirty_floor, 0);
    cr_assert_not(options.core.pages.huge_never);
    cr_assert_eq(options.stats, STATS_NONE);
}

Test(options, bad_values_cost_one_line_and_leave_the_default)
{
    static const char *const bad[] = {
        "decay:",           "decay",       "decay:-2",   "decay:1s",  "decay: 1",
        "floor:M",          "floor:-1",    "floor:12Q",  "trim:1.5M", "own:99999999999999999999",
        "own:17179869184G", "break:2",     "break:yes",  "thp:on",    "check:2",
        "stats:xml",        "stats_file:", "stats_file",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        parse(bad[i]);
        cr_assert_eq(lines, 1, "%s", bad[i]);
        cr_assert(is_default(), "%s", bad[i]);
        cr_assert_not_null(strstr(last_line, "bad value"));
    }
}

Test(options, unknown_keys_cost_one_line_each_and_the_rest_counts)
{
    parse("dekay:5,decay:7,,decays:1,stat:1,x");
    cr_assert_eq(lines, 4);
    cr_assert_str_eq(last_line, "HMALLOC_CONF: unknown key \"x\"");
    cr_assert_eq(options.core.pages.decay_ms, 7);
}

Test(options, too_long_a_path_is_refused)
{
    char conf[1024] = "stats_file:";
    memset(conf + strlen(conf), 'p', OPTIONS_PATH_MAX);
    strcat(conf, ",decay:3");
    parse(conf);
    cr_assert_eq(lines, 1);
    cr_assert_str_empty(options.stats_file);
    cr_assert_eq(options.core.pages.decay_ms, 3);
    memset(conf, 'p', sizeof(conf) - 1);
    memcpy(conf, "stats_file:", 11);
    parse(conf);
    cr_assert_eq(lines, 1);
    cr_assert(is_default());
}

static void parse_with_warnings(void *conf)
{
    options_default(&options);
    options_parse(&options, conf, NULL);
}

Test(options, without_a_callback_the_line_goes_to_stderr)
{
    char conf[] = "nonsense:1";
    struct child child = child_run(parse_with_warnings, conf);
    cr_assert_str_eq(child.errors, "hmalloc: warning: HMALLOC_CONF: unknown key \"nonsense\"\n");
}
