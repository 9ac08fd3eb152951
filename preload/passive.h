/* Passive mode: the library is loaded, but another allocator must serve the process.
 *
 * Decided once, before the first allocation, and without allocating. In a passive process every thread stays
 * on the all-zero thread heap, so that the verbs end in their general path, which forwards; the active fast
 * path pays nothing. What has no verb asks passive_symbol(). */
#ifndef HM_PRELOAD_PASSIVE_H
#define HM_PRELOAD_PASSIVE_H

#include "runtime/process.h"

/* Initialises the process if need be. */
HM_INLINE bool passive_mode(void)
{
    process_ready();
    return HM_UNLIKELY(process_other != NULL);
}

/* libc's own function of that name (the next one after ours); NULL if it has none. May allocate. */
void *passive_symbol(const char *name);

/* True when the main executable defines one of the C allocation functions itself, which then wins over ours.
 */
bool executable_has_malloc(void);

#endif
