#include <criterion/criterion.h>

#include "base/bits.h"

Test(bits, powers)
{
    cr_expect_not(bits_is_power(0));
    for (unsigned shift = 0; shift < 64; shift++) {
        size_t power = (size_t)1 << shift;
        cr_expect(bits_is_power(power));
        cr_expect(power <= 2 || !bits_is_power(power - 1));
        cr_expect(power == 1 || !bits_is_power(power + 1));
    }
}

Test(bits, log2_is_the_floor)
{
    for (unsigned shift = 0; shift < 64; shift++) {
        uint64_t power = UINT64_C(1) << shift;
        cr_expect_eq(bits_log2(power), shift);
        cr_expect_eq(bits_log2(power | (power - 1)), shift);
    }
}

Test(bits, lowest_set_bit)
{
    for (unsigned shift = 0; shift < 64; shift++) {
        cr_expect_eq(bits_lowest(UINT64_C(1) << shift), shift);
        cr_expect_eq(bits_lowest(UINT64_MAX << shift), shift);
    }
}

Test(bits, aligning)
{
    cr_expect_eq(bits_align_up(0, 16), 0);
    cr_expect_eq(bits_align_up(1, 16), 16);
    cr_expect_eq(bits_align_up(16, 16), 16);
    cr_expect_eq(bits_align_up(17, 16), 32);
    cr_expect_eq(bits_align_up(5, 1), 5);
    cr_expect_eq(bits_align_down(15, 16), 0);
    cr_expect_eq(bits_align_down(16, 16), 16);
    cr_expect_eq(bits_align_down(SIZE_MAX, 4096), SIZE_MAX - 4095);
}

Test(bits, aligning_up_wraps_to_zero_near_the_end)
{
    cr_expect_eq(bits_align_up(SIZE_MAX - 4095, 4096), SIZE_MAX - 4095);
    cr_expect_eq(bits_align_up(SIZE_MAX - 4094, 4096), 0);
    cr_expect_eq(bits_align_up(SIZE_MAX, 4096), 0);
}

Test(bits, checked_addition)
{
    size_t result;
    cr_assert(bits_add(SIZE_MAX - 1, 1, &result));
    cr_expect_eq(result, SIZE_MAX);
    cr_expect_not(bits_add(SIZE_MAX, 1, &result));
}

Test(bits, checked_multiplication)
{
    size_t result;
    size_t half = (size_t)1 << 32;
    cr_assert(bits_mul(half, half - 1, &result));
    cr_expect_eq(result, half * (half - 1));
    cr_expect_not(bits_mul(half, half, &result));
    cr_assert(bits_mul(SIZE_MAX, 0, &result));
    cr_expect_eq(result, 0);
}
