#include "page/source.h"

#include "base/bits.h"

#define SOURCE_TRIES 4

void source_init(struct source *source, const struct os *os, bool use_break)
{
    *source = (struct source){.os = os, .use_break = use_break};
}

static bool refuse(struct source *source)
{
    source->refusals++;
    return false;
}

static uintptr_t break_now(const struct source *source)
{
    return (uintptr_t)source->os->move_break(source->os, 0);
}

/* Whole pages of the area that a move of the break by `delta` from `old` made ours. */
static struct grown break_pages(const struct source *source, uintptr_t old, size_t delta)
{
    uintptr_t addr = bits_align_up(old, source->os->page_size);
    uintptr_t end = bits_align_down(old + delta, source->os->page_size);
    return (struct grown){.addr = addr, .bytes = end > addr ? end - addr : 0, .source = SOURCE_BREAK};
}

static void note_highest(struct source *source)
{
    if (source->break_highest < source->break_end) {
        source->break_highest = source->break_end;
    }
}

/* Other callers of sbrk may move the break between asking and moving; what we got is then one page too short
 * at worst. */
static bool break_grow(struct source *source, size_t bytes, struct grown *grown)
{
    const struct os *os = source->os;
    for (int i = 0; i < SOURCE_TRIES; i++) {
        uintptr_t now = break_now(source);
        if (now == 0 || now < source->break_end || bytes > (size_t)PTRDIFF_MAX - os->page_size) {
            return refuse(source);
        }
        size_t delta = bits_align_up(now, os->page_size) - now + bytes;
        uintptr_t old = (uintptr_t)os->move_break(os, (intptr_t)delta);
        if (old == 0) {
            return refuse(source);
        }
        *grown = break_pages(source, old, delta);
        if (grown->bytes >= bytes && old >= source->break_end) {
            source->break_end = grown->addr + grown->bytes;
            note_highest(source);
            source->from_break += grown->bytes;
            return true;
        }
        if (break_now(source) == old + delta) {
            os->move_break(os, -(intptr_t)delta);
        }
    }
    return refuse(source);
}

static bool map_grow(struct source *source, size_t bytes, struct grown *grown)
{
    void *addr = source->os->map(source->os, bytes);
    if (addr == NULL) {
        return refuse(source);
    }
    *grown = (struct grown){.addr = (uintptr_t)addr, .bytes = bytes, .source = SOURCE_MAP};
    source->from_map += bytes;
    source->mappings++;
    return true;
}

static bool grow_by(struct source *source, size_t bytes, struct grown *grown)
{
    return (source->use_break && break_grow(source, bytes, grown)) || map_grow(source, bytes, grown);
}

/* Halves of a step, before many calls for single needs: what is between two limits comes in few pieces. */
static bool ask(struct source *source, bool (*grow)(struct source *, size_t, struct grown *), size_t need,
                size_t want, struct grown *grown)
{
    while (!grow(source, want, grown)) {
        if (want <= need) {
            return false;
        }
        size_t half = bits_align_up(want / 2, source->os->page_size);
        want = half > need ? half : need;
    }
    return true;
}

bool source_grow(struct source *source, size_t need, size_t want, struct grown *grown)
{
    return ask(source, grow_by, need, want, grown);
}

bool source_extend(struct source *source, size_t need, size_t want, struct grown *grown)
{
    uintptr_t end = source->break_end;
    if (!source->use_break || end == 0 || break_now(source) != end) {
        return false;
    }
    if (!ask(source, break_grow, need, want, grown)) {
        return false;
    }
    if (grown->addr != end) {
        source_return(source, grown);
        return false;
    }
    return true;
}

void source_return(struct source *source, const struct grown *grown)
{
    bool is_break = grown->source == SOURCE_BREAK;
    if (is_break && !source_lower(source, grown->addr, grown->bytes)) {
        source->from_break -= grown->bytes;
    }
    if (!is_break && !source_unmap(source, grown->addr, grown->bytes, 0)) {
        source->from_map -= grown->bytes;
    }
}

bool source_lower(struct source *source, uintptr_t addr, size_t bytes)
{
    const struct os *os = source->os;
    uintptr_t end = source->break_end;
    if (end == 0 || addr + bytes != end || break_now(source) != end) {
        return false;
    }
    uintptr_t old = (uintptr_t)os->move_break(os, -(intptr_t)bytes);
    if (old == 0) {
        return refuse(source);
    }
    if (old != end) {
        /* Somebody raised it meanwhile, and what we took away was partly his. */
        os->move_break(os, (intptr_t)bytes);
        return false;
    }
    source->break_end = addr;
    source->from_break -= bytes;
    return true;
}

bool source_unmap(struct source *source, uintptr_t addr, size_t bytes, size_t joined)
{
    if (joined == 2 && source->mappings >= SOURCE_MAPPINGS_MAX) {
        return false;
    }
    if (!source->os->unmap(source->os, (void *)addr, bytes)) {
        return refuse(source);
    }
    source->from_map -= bytes;
    source->mappings += joined;
    source_mappings_drop(source, 1);
    unsigned place = source->unmapped_next++ % SOURCE_UNMAPPED;
    source->unmapped[place].addr = addr;
    source->unmapped[place].bytes = bytes;
    return true;
}

void source_mappings_drop(struct source *source, size_t count)
{
    source->mappings -= count < source->mappings ? count : source->mappings;
}

bool source_gave_back(const struct source *source, uintptr_t addr)
{
    for (unsigned i = 0; i < SOURCE_UNMAPPED; i++) {
        if (addr - source->unmapped[i].addr < source->unmapped[i].bytes) {
            return true;
        }
    }
    uintptr_t now = break_now(source);
    return now != 0 && addr >= now && addr < source->break_highest;
}
