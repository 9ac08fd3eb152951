#include "chunk/chunk.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"

static unsigned next_mark_bytewise(const struct chunk *chunk, unsigned window)
{
    while (window < CHUNK_WINDOWS && mark_load(&chunk->map[window]) == 0) {
        window++;
    }
    return window;
}

/* How many windows from this one, a multiple of 8, are zero for sure: those of as many groups of 32 as are. */
static unsigned zero_windows(const struct chunk *chunk, unsigned window)
{
    unsigned from = window;
    while (window + 32 <= CHUNK_WINDOWS) {
        uint64_t words[4];
        memcpy(words, &chunk->map[window], sizeof words);
        if ((words[0] | words[1] | words[2] | words[3]) != 0) {
            break;
        }
        window += 32;
    }
    return window - from;
}

/* Eight bytes of the map, the first of them lowest. */
static uint64_t eight_marks(const uint8_t *map)
{
    uint64_t word;
    memcpy(&word, map, sizeof word);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
}

unsigned chunk_next_mark(const struct chunk *chunk, unsigned window)
{
    if (HM_TSAN) {
        return next_mark_bytewise(chunk, window);
    }
    if (window >= CHUNK_WINDOWS) {
        return CHUNK_WINDOWS;
    }
    unsigned from = window % 8;
    window -= from;
    uint64_t marks = eight_marks(&chunk->map[window]) >> from * 8;
    if (marks != 0) {
        return window + from + bits_lowest(marks) / 8;
    }
    window += 8;
    window += zero_windows(chunk, window);
    while (window < CHUNK_WINDOWS) {
        marks = eight_marks(&chunk->map[window]);
        if (marks != 0) {
            return window + bits_lowest(marks) / 8;
        }
        window += 8;
    }
    return CHUNK_WINDOWS;
}

/* Sixteen bytes of the map. */
typedef uint8_t row __attribute__((vector_size(16)));
typedef uint64_t row_words __attribute__((vector_size(16)));

#define ROW_DEAD                                                                                             \
    ((row){CODE_DEAD, CODE_DEAD, CODE_DEAD, CODE_DEAD, CODE_DEAD, CODE_DEAD, CODE_DEAD, CODE_DEAD,           \
           CODE_DEAD, CODE_DEAD, CODE_DEAD, CODE_DEAD, CODE_DEAD, CODE_DEAD, CODE_DEAD, CODE_DEAD})

static bool row_is_zero(row value)
{
    row_words words = (row_words)value;
    return (words[0] | words[1]) == 0;
}

/* The highest bit of each of eight bytes, from the lowest on, that is CODE_DEAD. */
static uint64_t dead_bits(uint64_t marks)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t others = marks ^ each * CODE_DEAD;
    return ~(((others & each * 0x7f) + each * 0x7f) | others) & each * 0x80;
}

/* False, and nothing is changed, if there are other marks. Without any, there is nothing in the row that others may change. */
static bool clear_row(uint8_t *map)
{
    row marks;
    memcpy(&marks, map, sizeof marks);
    if (row_is_zero(marks)) {
        return true;
    }
    bool only_dead = row_is_zero(marks & ~(row)(marks == ROW_DEAD));
    if (only_dead) {
        memset(map, 0, sizeof marks);
    }
    return only_dead;
}

/* The first of the eight marks that `wanted` has bits of and that is neither zero nor CODE_DEAD; 8 if none. Clears those that are
 * dead in front of it. */
static unsigned clear_eight(uint8_t *map, uint64_t wanted)
{
    uint64_t marks = eight_marks(map);
    uint64_t dead = dead_bits(marks) & wanted;
    uint64_t others = marks & wanted & ~((dead >> 7) * 0xff);
    dead = others != 0 ? dead & (others ^ (others - 1)) : dead;
    for (; dead != 0; dead &= dead - 1) {
        mark_store(&map[bits_lowest(dead) / 8], 0);
    }
    return others != 0 ? bits_lowest(others) / 8 : 8;
}

static unsigned clear_dead_bytewise(struct chunk *chunk, unsigned window)
{
    while (window < CHUNK_WINDOWS) {
        unsigned value = mark_load(&chunk->map[window]);
        if (value == CODE_DEAD) {
            mark_store(&chunk->map[window], 0);
        } else if (value != 0) {
            break;
        }
        window++;
    }
    return window;
}

unsigned chunk_clear_dead(struct chunk *chunk, unsigned window)
{
    if (HM_TSAN) {
        return clear_dead_bytewise(chunk, window);
    }
    uint64_t wanted = ~UINT64_C(0) << window % 8 * 8;
    window -= window % 8;
    while (window < CHUNK_WINDOWS) {
        if (wanted == ~UINT64_C(0) && window % sizeof(row) == 0 && clear_row(&chunk->map[window])) {
            window += (unsigned)sizeof(row);
            continue;
        }
        unsigned first = clear_eight(&chunk->map[window], wanted);
        window += first;
        if (first < 8) {
            return window;
        }
        wanted = ~UINT64_C(0);
    }
    return CHUNK_WINDOWS;
}

bool chunk_block_at(const struct chunk *chunk, unsigned granule, struct block *block)
{
    unsigned reach = class_granules(CLASS_IN_CHUNK - 1) / 2;
    unsigned window = granule / 2;
    unsigned lowest = window > reach ? window - reach : 0;
    for (unsigned w = window + 1; w-- > lowest;) {
        unsigned value = mark_load(&chunk->map[w]);
        unsigned code = value & ~CODE_CACHED;
        if (code == 0 || code >= CODE_HOLE) {
            continue;
        }
        block->start = 2 * w + code_parity(code);
        block->granules = class_granules(code_class(code));
        block->code = value;
        if (block->start <= granule) {
            return granule < block->start + block->granules;
        }
    }
    return false;
}

void chunk_verify(const struct chunk *chunk)
{
    /* Read before the map: a remote free marks first and counts then. */
    unsigned used = atomic_load(&chunk->kept) - atomic_load(&chunk->gone);
    unsigned end = 0;
    unsigned last = 0; /* window of the last block, and its mark */
    unsigned last_value = 0;
    unsigned blocks = 0;
    unsigned windows_with_holes = 0;
    HM_CHECK(chunk->span.kind == SPAN_CHUNK, "a chunk's span is of kind chunk");
    HM_CHECK(chunk->span.addr % CHUNK_BYTES == 0, "a chunk is aligned to its size");
    for (unsigned w = chunk_next_mark(chunk, 0); w < CHUNK_WINDOWS; w = chunk_next_mark(chunk, w + 1)) {
        unsigned value = mark_load(&chunk->map[w]);
        unsigned code = value & ~CODE_CACHED;
        if (value == 0) {
            continue;
        }
        if (value == CODE_DEAD) {
            HM_CHECK(2 * w + 1 >= end || mark_load(&chunk->map[last]) != last_value,
                     "nothing died inside a block, unless another thread has just made it shorter");
            continue;
        }
        if (code >= CODE_HOLE) {
            HM_CHECK(value == code, "a hole is never cached");
            HM_CHECK(2 * w + (code - CODE_HOLE) >= end, "no hole starts inside a block");
            windows_with_holes++;
            continue;
        }
        unsigned start = 2 * w + code_parity(code);
        HM_CHECK(start >= end, "blocks don't overlap");
        last = w;
        last_value = value;
        end = start + class_granules(code_class(code));
        HM_CHECK(end <= CHUNK_GRANULES, "a block ends inside its chunk");
        blocks += class_granules(code_class(code));
    }
    HM_CHECK(blocks + chunk->linked <= CHUNK_GRANULES, "blocks + linked <= all granules");
    HM_CHECK(used >= blocks, "used >= granules of blocks in the map");
    HM_CHECK((windows_with_holes == 0) == (chunk->linked == 0), "linked counts the marked holes");
}
