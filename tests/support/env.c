#include "support/env.h"

#include <stdlib.h>
#include <string.h>

size_t test_scale(size_t n)
{
    const char *value = getenv("HM_TEST_SCALE");
    size_t percent = value == NULL ? 100 : strtoul(value, NULL, 10);
    size_t scaled = n * percent / 100;
    return scaled == 0 ? 1 : scaled;
}

uint64_t test_seed(uint64_t n)
{
    const char *value = getenv("HM_TEST_SEED");
    return value == NULL ? n : n + 1000003 * strtoull(value, NULL, 10);
}

bool test_under(const char *tool)
{
    const char *value = getenv("HM_TEST_UNDER");
    return value != NULL && strcmp(value, tool) == 0;
}
