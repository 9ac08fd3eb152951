#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "os/os.h"
#include "support/refuse.h"

#define SAMPLES 4096

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* No value twice; each bit set in about half of the samples (6 standard deviations: 192). */
static void expect_random(void)
{
    static uint64_t samples[SAMPLES];
    errno = 55;
    for (int i = 0; i < SAMPLES; i++) {
        samples[i] = os_random();
    }
    cr_assert_eq(errno, 55);
    for (unsigned bit = 0; bit < 64; bit++) {
        int set = 0;
        for (int i = 0; i < SAMPLES; i++) {
            set += (int)(samples[i] >> bit & 1);
        }
        cr_expect_lt(abs(set - SAMPLES / 2), 192, "bit %u set in %d of %d", bit, set, SAMPLES);
    }
    qsort(samples, SAMPLES, sizeof(samples[0]), compare);
    for (int i = 1; i < SAMPLES; i++) {
        cr_assert_neq(samples[i], samples[i - 1]);
    }
}

Test(entropy, kernel)
{
    expect_random();
}

Test(entropy, fallback_where_getrandom_is_refused)
{
    const int refused[] = {SYS_getrandom};
    if (!refuse_calls(refused, 1, ENOSYS)) {
        cr_skip_test("no filter can be installed here");
    }
    expect_random();
}
