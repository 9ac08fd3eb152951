/* What libc defines in terms of a function that others may replace. In a file without that function, so that the
 * compiler can't know which one a call will reach. */
#define _GNU_SOURCE 1

#include <stdlib.h>

#include "api/general.h"
#include "base/attr.h"
#include "base/bits.h"

/* The executable, or a library before us, may have a realloc of its own and none of this: the block is its. */
HM_PUBLIC void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    return bits_mul(count, size, &bytes) ? realloc(block, bytes) : general_no_memory();
}
