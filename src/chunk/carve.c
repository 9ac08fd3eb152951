#include "chunk/carve.h"

#include "base/bits.h"
#include "base/check.h"

#define LINE_GRANULES (HM_CACHE_LINE / GRANULE_BYTES)
#define MANY_BLOCKS   8u /* a hole with room for so many can spare part of a cache line */

/* Memory up to `end` is no longer fresh. True if everything from `start` on was. */
static bool use_fresh(struct chunk *chunk, unsigned start, unsigned end)
{
    bool zero = start >= chunk->fresh;
    if (end > chunk->fresh) {
        chunk->fresh = end;
    }
    return zero;
}

void carve_init(struct holes *holes, struct chunk *chunk, bool zero)
{
    HM_CHECK(chunk_used(chunk) == 0, "a new chunk has no blocks");
    chunk->linked = 0;
    chunk->swept_dead = 0;
    chunk->fresh = zero ? 0 : CHUNK_GRANULES;
    holes_insert(holes, chunk, 0, CHUNK_GRANULES);
}

static void mark_one(struct entry *entry, char *block, uint8_t *mark, unsigned value)
{
    entry->block = block;
    entry->mark = mark;
    mark_store(mark, value);
}

/* Makes `count` blocks from granule `start` on. The code of a block at an odd granule is one more than at an even one; those
 * of classes that don't tell start at even granules only. Two blocks take as many windows as one has granules, so of what
 * is done for two, nothing but the addresses differs for the next two. */
static void mark_cached(struct chunk *chunk, unsigned class, unsigned start, unsigned count,
                        struct entry *out)
{
    const size_t granules = class_granules(class);
    const size_t bytes = granules * GRANULE_BYTES;
    const size_t second = start + granules;
    const unsigned code = class_code(class, 0) | CODE_CACHED;
    const unsigned code_first = code + start % 2;
    const unsigned code_second = code + (unsigned)(second % 2);
    char *block = (char *)chunk_address(chunk, start);
    uint8_t *mark_first = chunk->map + start / 2;
    uint8_t *mark_second = chunk->map + second / 2;
    struct entry *entry = out + count;
    struct entry *const odd = out + count % 2;
    for (; entry != odd; entry -= 2) {
        mark_one(entry - 1, block, mark_first, code_first);
        mark_one(entry - 2, block + bytes, mark_second, code_second);
        block += 2 * bytes;
        mark_first += granules;
        mark_second += granules;
    }
    if (entry != out) {
        mark_one(entry - 1, block, mark_first, code_first);
    }
}

/* Where the first of a hole's blocks begins. In a hole for many they are aligned to the largest power of two in their size, up to a
 * cache line: so each lies in as few lines as it can, and shares none with others where it needn't. */
static unsigned first_start(unsigned class, unsigned from, unsigned to)
{
    unsigned granules = class_granules(class);
    if (to - from >= MANY_BLOCKS * granules) {
        unsigned align = granules & (0 - granules);
        align = align < LINE_GRANULES ? align : LINE_GRANULES;
        return (unsigned)bits_align_up(from, align);
    }
    return class >= CLASS_EXACT ? from + from % 2 : from;
}

unsigned carve_blocks(struct holes *holes, struct chunk *chunk, unsigned granule, unsigned class,
                      unsigned want, struct entry *out, bool *zero)
{
    unsigned granules = class_granules(class);
    unsigned end = granule + holes_remove(holes, chunk, granule);
    unsigned start = first_start(class, granule, end);
    unsigned count = start < end ? (end - start) / granules : 0;
    count = count < want ? count : want;
    unsigned stop = start + count * granules;
    if (count > 0) {
        mark_cached(chunk, class, start, count, out);
        chunk_keep(chunk, count * granules);
        *zero = use_fresh(chunk, start, stop);
        holes_link(holes, chunk, granule, start);
        holes_link(holes, chunk, stop, end);
    } else {
        holes_link(holes, chunk, granule, end);
    }
    return count;
}

bool carve_exact(struct chunk *chunk, unsigned from, unsigned to, struct carve_order *order)
{
    unsigned granules = class_granules(order->class);
    unsigned start = order->class >= CLASS_EXACT ? from + from % 2 : from;
    if (order->got == order->want || start + granules > to || from + granules + 1 < to) {
        return false;
    }
    mark_one(order->out + order->got, (char *)chunk_address(chunk, start), &chunk->map[start / 2],
             class_code(order->class, start % 2) | CODE_CACHED);
    chunk_keep(chunk, granules);
    *order->zero = use_fresh(chunk, start, start + granules);
    order->got++;
    return true;
}

bool carve_aligned(struct holes *holes, struct chunk *chunk, unsigned granule, unsigned class, size_t align,
                   struct entry *out, bool *zero)
{
    unsigned granules = class_granules(class);
    unsigned step = (unsigned)(align / GRANULE_BYTES);
    step = class >= CLASS_EXACT && step < 2 ? 2 : step;
    unsigned start = (unsigned)bits_align_up(granule, step);
    unsigned end = granule + holes_length(holes, (const void *)chunk_address(chunk, granule));
    if (start + granules > end) {
        return false;
    }
    holes_remove(holes, chunk, granule);
    uint8_t *mark = &chunk->map[start / 2];
    mark_store(mark, class_code(class, start % 2) | CODE_CACHED);
    chunk_keep(chunk, granules);
    out->block = (void *)chunk_address(chunk, start);
    out->mark = mark;
    /* What is skipped in front counts as used up: `fresh` is one border, not a set. */
    *zero = use_fresh(chunk, start, start + granules);
    holes_link(holes, chunk, granule, start);
    holes_link(holes, chunk, start + granules, end);
    return true;
}

/* End of the free granules from `from` on, looking no further than `limit`. */
static unsigned free_until(const struct chunk *chunk, unsigned from, unsigned limit)
{
    for (unsigned w = chunk_next_mark(chunk, from / 2); w < CHUNK_WINDOWS && 2 * w < limit;
         w = chunk_next_mark(chunk, w + 1)) {
        unsigned value = mark_load(&chunk->map[w]);
        unsigned code = value & ~CODE_CACHED;
        if (code != 0 && code < CODE_HOLE) {
            unsigned start = 2 * w + code_parity(code);
            if (start >= from) {
                return start < limit ? start : limit;
            }
        }
    }
    return limit;
}

bool carve_extension(struct holes *holes, struct chunk *chunk, unsigned from, unsigned to)
{
    if (to > CHUNK_GRANULES || free_until(chunk, from, to) < to) {
        return false;
    }
    unsigned rest_end = to;
    bool died = false;
    for (unsigned w = from / 2; w < CHUNK_WINDOWS && 2 * w < to; w++) {
        unsigned value = mark_load(&chunk->map[w]);
        unsigned start = 2 * w + (value & 1);
        if ((value == CODE_HOLE || value == CODE_HOLE + 1) && start >= from && start < to) {
            unsigned hole_end = start + holes_remove(holes, chunk, start);
            rest_end = hole_end > rest_end ? hole_end : rest_end;
        } else if (value == CODE_DEAD && w != to / 2) {
            mark_store(&chunk->map[w], 0);
            died = true;
        }
    }
    use_fresh(chunk, from, to);
    holes_link(holes, chunk, to, rest_end);
    if (died && to < CHUNK_GRANULES) {
        /* What died may reach further. */
        chunk_note_dead(chunk, to);
    }
    return true;
}
