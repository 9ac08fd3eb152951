/* What is done with the store. The same for every backend: fixed seeds, and amounts in percent of a full run. Each opens the store,
 * works, reports, and leaves the store to its caller. */
#ifndef HM_BENCH_KVSTORE_TRACES_H
#define HM_BENCH_KVSTORE_TRACES_H

#include "kvstore/value.h"

void trace_shift(const struct backend *backend, size_t percent);
void trace_delete(const struct backend *backend, size_t percent);
void trace_mixed(const struct backend *backend, size_t percent);
void trace_expiry(const struct backend *backend, size_t percent);

/* The end of a trace of `operations` in `seconds` whose keys are all below `ids`: what is held some time later, and whether
 * everything is as it must be. */
void trace_end(const struct backend *backend, uint32_t ids, size_t operations, double seconds);

#endif
