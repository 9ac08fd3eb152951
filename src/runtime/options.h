/* HMALLOC_CONF: key:value pairs separated by commas.
 *
 *   decay:MS        how long free memory may stay resident: milliseconds, 0 at once, -1 for ever; default 1000
 *   floor:SIZE      bytes of free memory that may stay resident whatever the live heap's size; default 1M
 *   trim:SIZE       the break is lowered by no less than this; default 128K
 *   own:SIZE        blocks from this size on get a mapping of their own; default 16M
 *   break:0|1       use the program break; default 1
 *   thp:auto|always|never  transparent huge pages; default auto: where small blocks fill them (page/huge.h)
 *   check:0|1       1: instrumented mode, and freed memory is overwritten; default 0
 *   stats:0|1|json  statistics at exit; default 0
 *   stats_file:PATH where to write them, %p is the process id; default stderr
 *
 * SIZE takes the suffixes K, M and G. An unknown key or a bad value costs one warning line each and leaves the
 * default. Parsing allocates nothing. */
#ifndef HM_RUNTIME_OPTIONS_H
#define HM_RUNTIME_OPTIONS_H

#include "heap/core.h"

#define OPTIONS_PATH_MAX 256

enum stats_format { STATS_NONE, STATS_TEXT, STATS_JSON };

struct options {
    struct core_options core;
    enum stats_format stats;
    char stats_file[OPTIONS_PATH_MAX]; /* empty: stderr */
};

HM_INLINE void options_default(struct options *options)
{
    *options = (struct options){
        .core =
            {
                .pages =
                    {
                        .decay_ms = 1000,
                        .dirty_floor = (size_t)1 << 20,
                        .trim_bytes = (size_t)128 << 10,
                        .use_break = true,
                    },
                .own_mapping_bytes = (size_t)16 << 20,
            },
    };
}

/* Applies `conf` (may be NULL) on top. `report` is called with one line for each thing that is wrong; NULL:
 * warn(). */
HM_COLD void options_parse(struct options *options, const char *conf, void (*report)(const char *line));

#endif
