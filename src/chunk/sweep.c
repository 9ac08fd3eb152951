#include "chunk/sweep.h"

#include <string.h>

#include "chunk/scan.h"

static_assert(CODE_HOLE % 2 == 0, "the low bit of a hole's mark is its parity");

/* A stretch of free granules that the walk is in, and the linked hole that it starts with. */
struct gap {
    unsigned start;
    unsigned hole; /* start of the hole, if it lies where the gap starts; else NO_HOLE */
};
#define NO_HOLE CHUNK_GRANULES

struct sweep {
    struct holes *holes;
    struct chunk *chunk;
    struct carve_order *order; /* NULL: none */
};

/* [from, to) is free, not linked, and has no mark. */
static void use(struct sweep *sweep, unsigned from, unsigned to)
{
    if (sweep->order == NULL || !carve_exact(sweep->chunk, from, to, sweep->order)) {
        holes_link(sweep->holes, sweep->chunk, from, to);
    }
}

static void close_gap(struct sweep *sweep, const struct gap *gap, unsigned end)
{
    if (gap->hole != NO_HOLE) {
        const void *hole = (const void *)chunk_address(sweep->chunk, gap->hole);
        if (gap->hole + holes_length(sweep->holes, hole) == end) {
            return;
        }
        holes_remove(sweep->holes, sweep->chunk, gap->hole);
    }
    use(sweep, gap->start, end);
}

/* Goes on behind a block; returns the first window that may have the next mark. */
static unsigned pass_block(struct sweep *sweep, struct gap *gap, unsigned window, unsigned code)
{
    unsigned start = 2 * window + code_parity(code);
    if (start != gap->start) {
        close_gap(sweep, gap, start);
    }
    gap->start = start + code_granules(code);
    gap->hole = NO_HOLE;
    return window + 1 > gap->start / 2 ? window + 1 : gap->start / 2;
}

static void walk(struct sweep *sweep)
{
    struct chunk *chunk = sweep->chunk;
    struct gap gap = {.start = 0, .hole = NO_HOLE};
    unsigned w = 0;
    while ((w = chunk_clear_dead(chunk, w)) < CHUNK_WINDOWS) {
        unsigned value = mark_load(&chunk->map[w]);
        unsigned code = value & ~CODE_CACHED;
        if (code == 0) {
            continue; /* another thread freed it since the scan saw it */
        }
        if (code < CODE_HOLE) {
            w = pass_block(sweep, &gap, w, code);
            continue;
        }
        unsigned start = 2 * w + value % 2;
        if (start == gap.start) {
            gap.hole = start;
        } else {
            holes_remove(sweep->holes, chunk, start);
        }
        w++;
    }
    close_gap(sweep, &gap, CHUNK_GRANULES);
}

/* Where the free granules begin that lie in front of the window, which is free. A hole that they begin with is unlinked. False: what
 * lies there has just been freed by another thread, so where it ends isn't known any more. */
static bool take_before(struct sweep *sweep, struct scan *scan, unsigned window, unsigned *start)
{
    struct chunk *chunk = sweep->chunk;
    unsigned before = scan_previous(scan->others, window);
    if (before == CHUNK_WINDOWS) {
        *start = 0;
        return true;
    }
    unsigned value = mark_load(&chunk->map[before]);
    unsigned code = value & ~CODE_CACHED;
    if (code >= CODE_HOLE) {
        *start = 2 * before + value % 2;
        holes_remove(sweep->holes, chunk, *start);
        scan_forget(scan->others, before);
    } else {
        *start = 2 * before + code_parity(code) + code_granules(code);
    }
    return code != 0;
}

/* The windows have no marks but CODE_DEAD, and get none from others that matter, as nothing but free memory begins there. */
static void clear_marks(uint8_t *map, unsigned from, unsigned to)
{
    if (to - from > 16 && !HM_TSAN) {
        memset(map + from, 0, to - from);
    } else {
        for (; from < to; from++) {
            mark_store(&map[from], 0);
        }
    }
}

/* Where the free granules end that begin in the window or in front of it, and in *next the window that ends them. Holes in them are
 * unlinked, marks of what died are cleared. */
static unsigned take_behind(struct sweep *sweep, struct scan *scan, unsigned window, unsigned *next)
{
    struct chunk *chunk = sweep->chunk;
    for (;;) {
        *next = scan_next(scan->others, window);
        clear_marks(chunk->map, window, *next);
        if (*next == CHUNK_WINDOWS) {
            return CHUNK_GRANULES;
        }
        window = *next;
        unsigned value = mark_load(&chunk->map[window]);
        unsigned code = value & ~CODE_CACHED;
        if (code < CODE_HOLE) {
            /* Another thread may have freed it by now: then its first granule isn't known any more. */
            return 2 * window + (code != 0 ? code_parity(code) : 0);
        }
        holes_remove(sweep->holes, chunk, 2 * window + value % 2);
        scan_forget(scan->others, window);
    }
}

/* What is free around each window that is marked dead. */
static void join_marked(struct sweep *sweep)
{
    struct scan scan;
    unsigned window = 0;
    scan_map(&scan, sweep->chunk);
    while ((window = scan_next(scan.dead, window)) < CHUNK_WINDOWS) {
        unsigned start;
        if (take_before(sweep, &scan, window, &start)) {
            use(sweep, start, take_behind(sweep, &scan, window, &window));
        } else {
            window++; /* its mark stays for the next sweep, which sees the other one, too */
        }
    }
}

void sweep_chunk(struct holes *holes, struct chunk *chunk, struct carve_order *order)
{
    struct sweep sweep = {.holes = holes, .chunk = chunk, .order = order};
    if (chunk->unmarked) {
        walk(&sweep);
        chunk->unmarked = false;
    } else {
        join_marked(&sweep);
    }
    chunk->swept_dead = chunk_dead(chunk);
}
