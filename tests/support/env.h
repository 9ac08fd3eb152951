/* What a test may know about the run it is part of. */
#ifndef HM_TESTS_SUPPORT_ENV_H
#define HM_TESTS_SUPPORT_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `n` steps, threads or seconds cut down to what is bearable where everything is many times slower (under
 * Valgrind or a sanitizer), never less than 1. HM_TEST_SCALE is the share in per cent. */
size_t test_scale(size_t n);

/* `n`, or another number from each value of HM_TEST_SEED: for looking further than every run can. */
uint64_t test_seed(uint64_t n);

/* True if the run is under "valgrind", "asan" or "tsan": for what can't hold there, such as limits on address
 * space. */
bool test_under(const char *tool);

#endif
