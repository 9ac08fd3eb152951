#include "chunk/sweep.h"

#include <string.h>

#include "chunk/scan.h"

static_assert(CODE_HOLE % 2 == 0, "the low bit of a hole's mark is its parity");

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
    join_marked(&sweep);
    chunk->swept_dead = chunk_dead(chunk);
}
