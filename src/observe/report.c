#include "observe/report.h"

#include <unistd.h>

#include "base/writer.h"
#include "hmalloc/hmalloc.h"
#include "observe/stats.h"

#define SIZE_TEXT 16

static const char *state_name(enum theap_state state)
{
    return state == THEAP_LIVE ? "live" : state == THEAP_ORPHAN ? "orphan" : "spare";
}

/* Text */

/* "512 B", "12.3 MiB" */
static const char *size_text(char buf[SIZE_TEXT], size_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    struct text text;
    text_init(&text, buf, SIZE_TEXT);
    unsigned unit = 0;
    if (bytes < 1024) {
        text_format(&text, "%zu B", bytes);
        return buf;
    }
    while (bytes >= (size_t)1024 * 1024 && unit < 3) {
        bytes /= 1024;
        unit++;
    }
    text_format(&text, "%zu.%zu %s", bytes / 1024, bytes % 1024 * 10 / 1024, units[unit]);
    return buf;
}

static void put_share(struct writer *writer, const char *name, size_t bytes, size_t mapped)
{
    char buf[SIZE_TEXT];
    size_t percent = mapped == 0 ? 0 : (size_t)((unsigned __int128)bytes * 100 / mapped);
    writer_format(writer, "  %-34s %16zu %12s %4zu %%\n", name, bytes, size_text(buf, bytes), percent);
}

static void put_shares(struct writer *writer, const struct observation *seen)
{
    const struct hm_stats *stats = &seen->stats;
    size_t mapped = stats->mapped;
    writer_format(writer, "\nmemory from the OS, and what it is used for\n");
    put_share(writer, "program break", stats->from_break, mapped);
    put_share(writer, "shared mappings", stats->from_map, mapped);
    put_share(writer, "mappings of one block", stats->own, mapped);
    put_share(writer, "mapped", mapped, mapped);
    writer_format(writer, "\n");
    put_share(writer, "blocks with the user (live)", stats->live, mapped);
    put_share(writer, "  of it requested, about", stats->requested, mapped);
    put_share(writer, "blocks in threads' caches (cached)", stats->cached, mapped);
    put_share(writer, "free in chunks, ready (holes)", seen->all.holes, mapped);
    put_share(writer, "free in chunks, not swept (dead)", seen->all.dead, mapped);
    put_share(writer, "free pages, dirty", stats->dirty, mapped);
    put_share(writer, "free pages, clean", stats->clean, mapped);
    put_share(writer, "mappings kept for reuse", stats->own_kept, mapped);
    writer_format(writer, "\n");
    put_share(writer, "metadata, on top of mapped", stats->metadata, mapped);
    put_share(writer, "resident, the whole process", stats->resident, mapped);
}

static void put_figure(struct writer *writer, const char *name, size_t value, const char *text)
{
    writer_format(writer, "  %-18s %16zu  %s\n", name, value, text);
}

static void put_figures(struct writer *writer, const struct observation *seen)
{
    writer_format(writer, "\nall figures\n");
#define PUT_FIGURE(name, text) put_figure(writer, #name, seen->stats.name, text);
    HM_STATS(PUT_FIGURE)
#undef PUT_FIGURE
    writer_format(writer, "\npage heap\n");
#define PUT_FIGURE(name, text) put_figure(writer, #name, seen->pages.name, text);
    PAGEHEAP_STATS(PUT_FIGURE)
#undef PUT_FIGURE
    writer_format(writer, "\nthread heaps together, those of ended threads included\n");
#define PUT_FIGURE(name, text) put_figure(writer, #name, seen->all.name, text);
    OBSERVE_HEAP(PUT_FIGURE)
#undef PUT_FIGURE
#define PUT_FIGURE(name, text) put_figure(writer, #name, seen->all.counted.name, text);
    THEAP_STATS(PUT_FIGURE)
#undef PUT_FIGURE
}

static bool in_use(const struct observe_class *row)
{
    return row->live_blocks + row->cached_blocks > 0;
}

static void put_class(struct writer *writer, const struct observe_class *row, const char *name)
{
    char buf[SIZE_TEXT];
    struct text text;
    text_init(&text, buf, SIZE_TEXT);
    text_format(&text, "%zu", row->block_bytes);
    writer_format(writer, "  %12s", row->block_bytes != 0 ? buf : name);
#define PUT_CELL(name, text) writer_format(writer, " %16zu", row->name);
    OBSERVE_CLASS(PUT_CELL)
#undef PUT_CELL
    writer_format(writer, "\n");
}

static void put_classes(struct writer *writer, const struct observation *seen)
{
    writer_format(writer, "\nclasses in use\n  %12s", "block bytes");
#define PUT_HEAD(name, text) writer_format(writer, " %16s", #name);
    OBSERVE_CLASS(PUT_HEAD)
#undef PUT_HEAD
    writer_format(writer, "\n");
    for (unsigned i = 0; i < OBSERVE_CLASSES; i++) {
        if (in_use(&seen->class[i])) {
            put_class(writer, &seen->class[i], i == OBSERVE_OWN ? "own mapping" : "larger");
        }
    }
}

static void put_heaps(struct writer *writer, const struct observation *seen)
{
    writer_format(writer, "\nthread heaps\n  %-8s", "state");
#define PUT_HEAD(name, text) writer_format(writer, " %14s", #name);
    OBSERVE_HEAP(PUT_HEAD)
#undef PUT_HEAD
    writer_format(writer, "\n");
    for (size_t i = 0; i < seen->heaps; i++) {
        writer_format(writer, "  %-8s", state_name(seen->heap[i].state));
#define PUT_CELL(name, text) writer_format(writer, " %14zu", seen->heap[i].name);
        OBSERVE_HEAP(PUT_CELL)
#undef PUT_CELL
        writer_format(writer, "\n");
    }
    if (seen->heaps_left_out > 0) {
        writer_format(writer, "  and %zu more\n", seen->heaps_left_out);
    }
}

static void write_text(struct writer *writer, const struct observation *seen)
{
    writer_format(writer,
                  "hmalloc %d.%d.%d statistics\nmode: active\nprocess: %d\n"
                  "blocks served: %zu made anew (reuse from threads' caches isn't counted)\n",
                  HM_VERSION_MAJOR, HM_VERSION_MINOR, HM_VERSION_PATCH, (int)getpid(), seen->stats.served);
    put_shares(writer, seen);
    put_figures(writer, seen);
    put_classes(writer, seen);
    put_heaps(writer, seen);
}

/* JSON */

/* A separator, empty before the first member. */
static const char *next_comma(bool *first)
{
    bool was_first = *first;
    *first = false;
    return was_first ? "" : ",";
}

static void json_number(struct writer *writer, bool *first, const char *name, size_t value)
{
    writer_format(writer, "%s\"%s\":%zu", next_comma(first), name, value);
}

static void json_figures(struct writer *writer, const struct observation *seen)
{
    bool first = true;
    writer_format(writer, ",\"stats\":{");
#define JSON_FIGURE(name, text) json_number(writer, &first, #name, seen->stats.name);
    HM_STATS(JSON_FIGURE)
#undef JSON_FIGURE
    first = true;
    writer_format(writer, "},\"pages\":{");
#define JSON_FIGURE(name, text) json_number(writer, &first, #name, seen->pages.name);
    PAGEHEAP_STATS(JSON_FIGURE)
#undef JSON_FIGURE
    writer_format(writer, "}");
}

static void json_heap(struct writer *writer, bool *first, const struct observe_heap *row)
{
#define JSON_FIGURE(name, text) json_number(writer, first, #name, row->name);
    OBSERVE_HEAP(JSON_FIGURE)
#undef JSON_FIGURE
#define JSON_FIGURE(name, text) json_number(writer, first, #name, row->counted.name);
    THEAP_STATS(JSON_FIGURE)
#undef JSON_FIGURE
    writer_format(writer, "}");
}

static void json_classes(struct writer *writer, const struct observation *seen)
{
    bool first_row = true;
    writer_format(writer, ",\"classes\":[");
    for (unsigned i = 0; i < OBSERVE_CLASSES; i++) {
        const struct observe_class *row = &seen->class[i];
        if (!in_use(row)) {
            continue;
        }
        bool first = false;
        const char *name = i == OBSERVE_OWN ? "own" : i == OBSERVE_LARGER ? "larger" : "class";
        writer_format(writer, "%s{\"kind\":\"%s\"", next_comma(&first_row), name);
        json_number(writer, &first, "block_bytes", row->block_bytes);
#define JSON_FIGURE(name, text) json_number(writer, &first, #name, row->name);
        OBSERVE_CLASS(JSON_FIGURE)
#undef JSON_FIGURE
        writer_format(writer, "}");
    }
    writer_format(writer, "]");
}

static void json_heaps(struct writer *writer, const struct observation *seen)
{
    bool first = true;
    writer_format(writer, ",\"heaps\":{");
    json_heap(writer, &first, &seen->all);
    bool first_row = true;
    writer_format(writer, ",\"thread_heaps\":[");
    for (size_t i = 0; i < seen->heaps; i++) {
        first = false;
        writer_format(writer, "%s{\"state\":\"%s\"", next_comma(&first_row), state_name(seen->heap[i].state));
        json_heap(writer, &first, &seen->heap[i]);
    }
    writer_format(writer, "],\"thread_heaps_left_out\":%zu", seen->heaps_left_out);
}

static void write_json(struct writer *writer, const struct observation *seen)
{
    writer_format(writer, "{\"version\":\"%d.%d.%d\",\"mode\":\"active\",\"pid\":%d", HM_VERSION_MAJOR,
                  HM_VERSION_MINOR, HM_VERSION_PATCH, (int)getpid());
    json_figures(writer, seen);
    json_heaps(writer, seen);
    json_classes(writer, seen);
    writer_format(writer, "}\n");
}

bool observe_write(struct core *core, int fd, bool json)
{
    struct observation seen;
    struct writer writer;
    observe_take(core, &seen);
    writer_init(&writer, fd);
    if (json) {
        write_json(&writer, &seen);
    } else {
        write_text(&writer, &seen);
    }
    return writer_finish(&writer);
}
