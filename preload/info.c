/* glibc's ways to look into the allocator and to tune it, with our figures. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "chunk/class.h"
#include "hmalloc/stats.h"
#include "preload/passive.h"
#include "runtime/process.h"

#define XML_BYTES 2048

/* glibc up to 2.36 says so in a header of its own, later ones not at all. */
#ifndef M_PERTURB
#    define M_PERTURB (-6)
#endif

union next {
    void *symbol;
    struct mallinfo (*info)(void);
    struct mallinfo2 (*info2)(void);
    int (*option)(int parameter, int value);
    int (*xml)(int options, FILE *file);
    void (*print)(void);
};

/* The numbers of runs are read without the lock: each is right for some moment.
 *
 * What glibc calls the arena is all memory that isn't one block's own mapping; what is left of it after
 * everything free, is in use. */
static struct mallinfo2 figures(void)
{
    struct hm_stats stats;
    hm_stats_get(&stats, sizeof(stats));
    size_t arena = stats.from_break + stats.from_map;
    size_t free_bytes = stats.cached + stats.free_in_chunks + stats.dirty + stats.clean;
    free_bytes = free_bytes < arena ? free_bytes : arena;
    return (struct mallinfo2){
        .arena = arena,
        .ordblks = process_core.pages.dirty.count + process_core.pages.clean.count,
        .hblkhd = stats.own,
        .fsmblks = stats.cached,
        .uordblks = arena - free_bytes,
        .fordblks = free_bytes,
        .keepcost = stats.dirty,
    };
}

static int saturate(size_t value)
{
    return value > INT_MAX ? INT_MAX : (int)value;
}

HM_PUBLIC struct mallinfo2 mallinfo2(void)
{
    if (passive_mode()) {
        union next next = {.symbol = passive_symbol("mallinfo2")};
        return next.info2 != NULL ? next.info2() : (struct mallinfo2){.arena = 0};
    }
    return figures();
}

HM_PUBLIC struct mallinfo mallinfo(void)
{
    if (passive_mode()) {
        union next next = {.symbol = passive_symbol("mallinfo")};
        return next.info != NULL ? next.info() : (struct mallinfo){.arena = 0};
    }
    struct mallinfo2 wide = figures();
    return (struct mallinfo){
        .arena = saturate(wide.arena),
        .ordblks = saturate(wide.ordblks),
        .hblkhd = saturate(wide.hblkhd),
        .fsmblks = saturate(wide.fsmblks),
        .uordblks = saturate(wide.uordblks),
        .fordblks = saturate(wide.fordblks),
        .keepcost = saturate(wide.keepcost),
    };
}

/* Negative: never. */
static int set_trim_threshold(int value)
{
    struct pageheap_options options = process_core.pages.options;
    options.trim_bytes = value < 0 ? SIZE_MAX : (size_t)value;
    pageheap_options_set(&process_core.pages, &options);
    return 1;
}

/* Smaller blocks are cached by threads whatever the threshold, so lower values mean that one. */
static int set_own_mapping(size_t bytes)
{
    process_core.options.own_mapping_bytes = bytes < CLASS_MAX_BYTES ? CLASS_MAX_BYTES + 1 : bytes;
    return 1;
}

/* 1: it has the effect that is documented, or is about something that we don't have and that no program can
 * miss; 0: neither. */
HM_PUBLIC int mallopt(int parameter, int value)
{
    if (passive_mode()) {
        union next next = {.symbol = passive_symbol("mallopt")};
        return next.option != NULL ? next.option(parameter, value) : 0;
    }
    switch (parameter) {
    case M_TRIM_THRESHOLD:
        return set_trim_threshold(value);
    case M_MMAP_THRESHOLD:
        return value < 0 ? 0 : set_own_mapping((size_t)value);
    case M_MMAP_MAX:
        return value < 0 ? 0 : value == 0 ? set_own_mapping(SIZE_MAX) : 1;
    case M_TOP_PAD:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
    case M_MXFAST:
        return value >= 0;
    case M_CHECK_ACTION:
        return 1;
    case M_PERTURB:
        return value == 0;
    default:
        return 0;
    }
}

static void put_xml(struct text *text, const struct hm_stats *stats)
{
    size_t shared = stats->from_break + stats->from_map;
    size_t rest = stats->free_in_chunks + stats->dirty + stats->clean;
    text_format(text, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n");
    for (int whole = 0; whole < 2; whole++) {
        text_format(text, "<total type=\"fast\" count=\"%zu\" size=\"%zu\"/>\n", (size_t)0, stats->cached);
        text_format(text, "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n", stats->chunks, rest);
        if (whole == 1) {
            text_format(text, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", (size_t)0, stats->own);
        }
        text_format(text, "<system type=\"current\" size=\"%zu\"/>\n", shared);
        text_format(text, "<aspace type=\"total\" size=\"%zu\"/>\n", shared + stats->metadata);
        text_put(text, whole == 1 ? "</malloc>\n" : "</heap>\n");
    }
}

HM_PUBLIC int malloc_info(int options, FILE *file)
{
    if (passive_mode()) {
        union next next = {.symbol = passive_symbol("malloc_info")};
        return next.xml != NULL ? next.xml(options, file) : ENOSYS;
    }
    if (options != 0) {
        return EINVAL;
    }
    char buf[XML_BYTES];
    struct text text;
    struct hm_stats stats;
    hm_stats_get(&stats, sizeof(stats));
    text_init(&text, buf, sizeof(buf));
    put_xml(&text, &stats);
    return fwrite(text.buf, 1, text.len, file) == text.len ? 0 : -1;
}

HM_PUBLIC void malloc_stats(void)
{
    if (passive_mode()) {
        union next next = {.symbol = passive_symbol("malloc_stats")};
        if (next.print != NULL) {
            next.print();
        }
        return;
    }
    hm_stats_write(STDERR_FILENO, false);
}
