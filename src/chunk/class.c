#include "chunk/class.h"

#include <assert.h>

#define KIB(n) ((n)*1024u)
#define EIGHT_STEPS(from)                                                                                    \
    (from) / 8 * 9, (from) / 8 * 10, (from) / 8 * 11, (from) / 8 * 12, (from) / 8 * 13, (from) / 8 * 14,     \
        (from) / 8 * 15, (from)*2

/* clang-format off */
const uint32_t class_bytes[CLASS_COUNT] = {
    32, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 272, 288, 304, 320, 336, 352, 368,
    384, 400, 416, 432, 448, 464, 480, 496, 512, 528, 544, 560, 576, 592, 608, 624, 640, 656, 672, 688, 704,
    720,
    768, 832, 896, 960, 1024,
    EIGHT_STEPS(1024), EIGHT_STEPS(2048), EIGHT_STEPS(4096),
    /* Two steps fewer in the last octave: a byte has no more codes. */
    9216, 10240, 11264, 12288, 14336, 16384,
    KIB(20), KIB(24), KIB(28), KIB(32), KIB(36), KIB(40), KIB(44), KIB(48), KIB(52), KIB(56), KIB(60), KIB(64),
    EIGHT_STEPS(KIB(64)), EIGHT_STEPS(KIB(128)),
};
/* clang-format on */

static_assert(2 * CLASS_EXACT + 1 == CODE_LARGE, "two codes for each exact class");
static_assert(CLASS_IN_CHUNK - CLASS_EXACT + CODE_LARGE == CODE_LAST + 1, "one code for each larger class");
static_assert(CODE_HOLE + 1 < CODE_CACHED, "codes and hole marks fit seven bits");

/* Entry i: the class that holds i steps. A unit test compares every request's class with class_bytes. */
const uint8_t class_by_small_step[CLASS_CHUNK_BYTES / CLASS_STEP_SMALL + 1] = {
    0,  7,  15, 23, 31, 39, 45, 47, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 58, 59, 59, 60, 60, 61, 61, 62,
    62, 63, 63, 64, 64, 65, 65, 66, 66, 66, 66, 67, 67, 67, 67, 68, 68, 68, 68, 69, 69, 69, 69, 70, 70, 70,
    70, 71, 71, 71, 71, 72, 72, 72, 72, 73, 73, 73, 73, 74, 74, 74, 74, 74, 74, 74, 74, 75, 75, 75, 75, 75,
    75, 75, 75, 76, 76, 76, 76, 76, 76, 76, 76, 77, 77, 77, 77, 77, 77, 77, 77, 78, 78, 78, 78, 78, 78, 78,
    78, 78, 78, 78, 78, 78, 78, 78, 78, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79,
};

const uint8_t class_by_large_step[CLASS_MAX_BYTES / CLASS_STEP_LARGE + 1] = {
    0,   65,  73,  77,  79,  80,  81,  82,  83,  84,  85,  86,  87,  88,  89,  90,  91,
    92,  92,  93,  93,  94,  94,  95,  95,  96,  96,  97,  97,  98,  98,  99,  99,  100,
    100, 100, 100, 101, 101, 101, 101, 102, 102, 102, 102, 103, 103, 103, 103, 104, 104,
    104, 104, 105, 105, 105, 105, 106, 106, 106, 106, 107, 107, 107, 107,
};
