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

unsigned chunk_next_mark(const struct chunk *chunk, unsigned window)
{
    if (HM_TSAN) {
        return next_mark_bytewise(chunk, window);
    }
    while (window % 8 != 0) {
        if (chunk->map[window] != 0) {
            return window;
        }
        window++;
    }
    window += zero_windows(chunk, window);
    while (window < CHUNK_WINDOWS) {
        uint64_t word;
        memcpy(&word, &chunk->map[window], sizeof word);
        if (word != 0) {
            word = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
            return window + bits_lowest(word) / 8;
        }
        window += 8;
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
        if (value == 0 || code >= CODE_HOLE) {
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
        if (code >= CODE_HOLE) {
            HM_CHECK(value == code, "a hole is never cached");
            HM_CHECK(2 * w + (code - CODE_HOLE) >= end, "no hole starts inside a block");
            windows_with_holes++;
            continue;
        }
        unsigned start = 2 * w + code_parity(code);
        HM_CHECK(start >= end, "blocks don't overlap");
        end = start + class_granules(code_class(code));
        HM_CHECK(end <= CHUNK_GRANULES, "a block ends inside its chunk");
        blocks += class_granules(code_class(code));
    }
    HM_CHECK(blocks + chunk->linked <= CHUNK_GRANULES, "blocks + linked <= all granules");
    HM_CHECK(used >= blocks, "used >= granules of blocks in the map");
    HM_CHECK((windows_with_holes == 0) == (chunk->linked == 0), "linked counts the marked holes");
}
