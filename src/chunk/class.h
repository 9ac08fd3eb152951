/* Size classes, and the byte codes that stand for them in a chunk's map.
 *
 * A class is a block size. Classes 0..38 serve every number of granules from 1 to 39, one each, so that a request's bin is
 * found by rounding it up (16 bytes get 32, the smallest block, as 32 bytes do); 39..85 go on to 16 KiB in steps of at most
 * 1/8, with one just above 1, 2, 4 and 8 KiB, for buffers of such a size and a header, and from 4 KiB on mostly parts of a
 * chunk; both lie in chunks. Classes 86..113 (20 to 256 KiB) are spans of their own that a thread may keep for reuse.
 *
 * A code is what the map of a chunk holds for a block: class and, for classes 0..38, the parity of the
 * granule that the block starts at (larger blocks start at even granules). Codes 1..125 mean a block that is
 * with the user; CODE_CACHED added, one that waits in a thread's cache; CODE_HOLE (+ parity) marks a linked
 * hole; CODE_DEAD, that something died in this window since the last sweep (code 0); 0: nothing starts here. */
#ifndef HM_CHUNK_CLASS_H
#define HM_CHUNK_CLASS_H

#include "base/attr.h"

#define GRANULE_BYTES     16u
#define GRANULE_SHIFT     4u
#define CLASS_EXACT       39u /* classes below: one more granule requested each */
#define CLASS_EXACT_BYTES 624u
#define CLASS_IN_CHUNK    86u /* classes below lie in chunks */
#define CLASS_COUNT       114u
#define CLASS_MIN_BYTES   32u
#define CLASS_CHUNK_BYTES 16384u  /* largest block in a chunk */
#define CLASS_MAX_BYTES   262144u /* largest class */
#define CLASS_FAST_BYTES  1024u   /* largest request that the fast path serves */

#define CODE_CACHED 0x80u
#define CODE_LARGE  79u /* code of class CLASS_EXACT */
#define CODE_LAST   125u
#define CODE_HOLE   126u
#define CODE_DEAD                                                                                            \
    CODE_CACHED /* cached, but no block: so a bin that has a block which another thread freed shows it */

/* Bytes of a block of the class. */
extern const uint32_t class_bytes[CLASS_COUNT];

/* From CLASS_EXACT_BYTES to CLASS_FAST_BYTES there is a class for each step, counted from here. */
#define CLASS_FAST_FROM 577u
#define CLASS_FAST_STEP 64u

/* The smallest class for a request, by 32 bytes up to CLASS_CHUNK_BYTES and by 4 KiB above (class_of). */
#define CLASS_STEP_SMALL 32u
#define CLASS_STEP_LARGE 4096u
extern const uint8_t class_by_small_step[CLASS_CHUNK_BYTES / CLASS_STEP_SMALL + 1];
extern const uint8_t class_by_large_step[CLASS_MAX_BYTES / CLASS_STEP_LARGE + 1];

/* The smallest class that holds `bytes`; bytes <= CLASS_MAX_BYTES. 0 counts as 1. */
HM_INLINE unsigned class_of(size_t bytes)
{
    if (bytes <= CLASS_EXACT_BYTES) {
        return (unsigned)((bytes + GRANULE_BYTES - 1) / GRANULE_BYTES) - (bytes != 0);
    }
    if (bytes <= CLASS_FAST_BYTES) {
        return CLASS_EXACT + (unsigned)((bytes - CLASS_FAST_FROM) / CLASS_FAST_STEP);
    }
    if (bytes <= CLASS_CHUNK_BYTES) {
        return class_by_small_step[(bytes + CLASS_STEP_SMALL - 1) / CLASS_STEP_SMALL];
    }
    return class_by_large_step[(bytes + CLASS_STEP_LARGE - 1) / CLASS_STEP_LARGE];
}

HM_INLINE unsigned class_granules(unsigned class)
{
    return class_bytes[class] >> GRANULE_SHIFT;
}

/* Code of a block of this class that starts at a granule of this parity (which doesn't matter for class >= CLASS_EXACT). */
HM_INLINE unsigned class_code(unsigned class, unsigned parity)
{
    return class < CLASS_EXACT ? 2 * class + parity + 1 : class - CLASS_EXACT + CODE_LARGE;
}

/* The inverse; 1 <= code <= CODE_LAST. */
HM_INLINE unsigned code_class(unsigned code)
{
    return code < CODE_LARGE ? (code - 1) / 2 : code - CODE_LARGE + CLASS_EXACT;
}

HM_INLINE unsigned code_parity(unsigned code)
{
    return code < CODE_LARGE ? (code - 1) & 1 : 0;
}

/* class_granules(code_class(code)), for most codes without a look into memory. */
HM_INLINE unsigned code_granules(unsigned code)
{
    if (HM_UNLIKELY(code >= CODE_LARGE)) {
        return class_granules(code - CODE_LARGE + CLASS_EXACT);
    }
    return code > 2 ? (code + 1) / 2 : 2;
}

#endif
