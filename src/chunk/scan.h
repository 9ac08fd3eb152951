/* Scan: where the marks of a chunk's map are, as bits, so that a sweep goes from mark to mark without looking at the map again.
 *
 * It is a picture of a moment: blocks that others free meanwhile are still blocks here, and their bytes say otherwise when they are
 * looked at. Nothing but that can change while the owner's lock is held, unless the holder changes it. */
#ifndef HM_CHUNK_SCAN_H
#define HM_CHUNK_SCAN_H

#include "base/bits.h"
#include "chunk/chunk.h"

#define SCAN_WORDS (CHUNK_WINDOWS / 64)

/* Bit w % 64 of word w / 64 is about window w. */
struct scan {
    uint64_t dead[SCAN_WORDS];   /* it is marked CODE_DEAD */
    uint64_t others[SCAN_WORDS]; /* it has another mark */
};

void scan_map(struct scan *scan, const struct chunk *chunk);

/* The first window from `window` on that has a bit; CHUNK_WINDOWS if none. */
HM_INLINE unsigned scan_next(const uint64_t *bits, unsigned window)
{
    unsigned word = window / 64;
    if (HM_UNLIKELY(word == SCAN_WORDS)) {
        return CHUNK_WINDOWS;
    }
    uint64_t rest = bits[word] >> window % 64;
    if (HM_LIKELY(rest != 0)) {
        return window + bits_lowest(rest);
    }
    while (++word < SCAN_WORDS) {
        if (bits[word] != 0) {
            return word * 64 + bits_lowest(bits[word]);
        }
    }
    return CHUNK_WINDOWS;
}

/* The last one before `window`; CHUNK_WINDOWS if none. */
HM_INLINE unsigned scan_previous(const uint64_t *bits, unsigned window)
{
    unsigned word = window / 64;
    uint64_t rest = bits[word] & ((UINT64_C(1) << window % 64) - 1);
    while (rest == 0) {
        if (word == 0) {
            return CHUNK_WINDOWS;
        }
        rest = bits[--word];
    }
    return word * 64 + bits_log2(rest);
}

HM_INLINE void scan_forget(uint64_t *bits, unsigned window)
{
    bits[window / 64] &= ~(UINT64_C(1) << window % 64);
}

#endif
