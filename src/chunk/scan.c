#include "chunk/scan.h"

#include <string.h>

/* Sixteen bytes of the map. */
typedef uint8_t row __attribute__((vector_size(16)));

#define ROW_BYTES (sizeof(row))

/* A bit for each byte, which is all ones or zero, the lowest for the first. */
static unsigned bits_of(row bytes)
{
#if defined(__SSE2__)
    typedef char signed_row __attribute__((vector_size(16)));
    return (unsigned)__builtin_ia32_pmovmskb128((signed_row)bytes);
#else
    unsigned bits = 0;
    for (unsigned i = 0; i < ROW_BYTES; i++) {
        bits |= (bytes[i] & 1u) << i;
    }
    return bits;
#endif
}

static row row_at(const uint8_t *map)
{
    row value;
    if (HM_TSAN) {
        for (unsigned i = 0; i < ROW_BYTES; i++) {
            value[i] = (uint8_t)mark_load(&map[i]);
        }
    } else {
        memcpy(&value, map, sizeof value);
    }
    return value;
}

void scan_map(struct scan *scan, const struct chunk *chunk)
{
    const row none = {0};
    const row dead = none + (uint8_t)CODE_DEAD;
    for (unsigned word = 0; word < SCAN_WORDS; word++) {
        scan->dead[word] = 0;
        scan->others[word] = 0;
        for (unsigned i = 0; i < 64; i += ROW_BYTES) {
            row marks = row_at(&chunk->map[word * 64 + i]);
            row is_dead = (row)(marks == dead);
            scan->dead[word] |= (uint64_t)bits_of(is_dead) << i;
            scan->others[word] |= (uint64_t)bits_of((row)(marks != none) & ~is_dead) << i;
        }
    }
}
