#include "chunk/sweep.h"

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

/* Where the free granules begin that lie in front of the window, which is free. A hole that they begin with is unlinked. What is
 * marked dead in front of the window was freed by another thread since the scan saw it. */
static unsigned take_before(struct holes *holes, struct chunk *chunk, unsigned window)
{
    while ((window = chunk_previous_mark(chunk, window)) < CHUNK_WINDOWS) {
        unsigned value = mark_load(&chunk->map[window]);
        unsigned code = value & ~CODE_CACHED;
        if (code == 0) {
            mark_store(&chunk->map[window], 0);
        } else if (code >= CODE_HOLE) {
            holes_remove(holes, chunk, 2 * window + value % 2);
            return 2 * window + value % 2;
        } else {
            return 2 * window + code_parity(code) + code_granules(code);
        }
    }
    return 0;
}

/* Where the free granules end that begin in the window or in front of it. Holes in them are unlinked, marks of what died are cleared. */
static unsigned take_behind(struct holes *holes, struct chunk *chunk, unsigned window)
{
    while ((window = chunk_clear_dead(chunk, window)) < CHUNK_WINDOWS) {
        unsigned value = mark_load(&chunk->map[window]);
        unsigned code = value & ~CODE_CACHED;
        if (code == 0) {
            continue; /* another thread freed it since the scan saw it */
        }
        if (code < CODE_HOLE) {
            return 2 * window + code_parity(code);
        }
        holes_remove(holes, chunk, 2 * window + value % 2);
        window++;
    }
    return CHUNK_GRANULES;
}

static void join_marked(struct sweep *sweep)
{
    struct chunk *chunk = sweep->chunk;
    unsigned window = 0;
    while ((window = chunk_next_dead(chunk, window)) < CHUNK_WINDOWS) {
        unsigned start = take_before(sweep->holes, chunk, window);
        unsigned end = take_behind(sweep->holes, chunk, window);
        use(sweep, start, end);
        window = end / 2;
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
