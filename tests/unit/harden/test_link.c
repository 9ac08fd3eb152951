#include "harden/link.h"

#include <criterion/criterion.h>

#define SECRET UINT64_C(0xfedcba9876543211)

static uint64_t record[3] = {UINT64_C(0x1111111122222222), UINT64_C(0x3333333344444444), 77};

static uint64_t seal(uint64_t secret, const void *at)
{
    return link_seal(secret, at, record[0], record[1], record[2]);
}

Test(link, a_link_comes_back_and_does_not_lie_open)
{
    int target = 0;
    cr_assert_eq(link_decode(SECRET, link_encode(SECRET, &target)), &target);
    cr_assert_null(link_decode(SECRET, link_encode(SECRET, NULL)));
    cr_assert_neq(link_encode(SECRET, &target), (uint64_t)(uintptr_t)&target);
    cr_assert_neq(link_encode(SECRET, NULL), 0);
}

Test(link, every_changed_bit_breaks_the_seal)
{
    uint64_t good = seal(SECRET, record);
    for (int word = 0; word < 3; word++) {
        for (int bit = 0; bit < 64; bit++) {
            record[word] ^= UINT64_C(1) << bit;
            cr_assert_neq(seal(SECRET, record), good, "word %d, bit %d", word, bit);
            record[word] ^= UINT64_C(1) << bit;
        }
    }
    cr_assert_eq(seal(SECRET, record), good);
}

Test(link, two_changed_bits_break_the_seal)
{
    uint64_t good = seal(SECRET, record);
    for (int a = 0; a < 192; a++) {
        for (int b = 0; b < a; b++) {
            record[a / 64] ^= UINT64_C(1) << a % 64;
            record[b / 64] ^= UINT64_C(1) << b % 64;
            cr_assert_neq(seal(SECRET, record), good, "bits %d and %d", a, b);
            record[a / 64] ^= UINT64_C(1) << a % 64;
            record[b / 64] ^= UINT64_C(1) << b % 64;
        }
    }
}

Test(link, the_seal_is_of_its_place_and_process)
{
    for (int i = 1; i < 1000; i++) {
        cr_assert_neq(seal(SECRET, (char *)record + 16 * i), seal(SECRET, record));
        cr_assert_neq(seal(SECRET + 2 * (unsigned)i, record), seal(SECRET, record));
    }
}

/* What a stray memset leaves behind. */
Test(link, one_byte_all_over_is_no_record)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t word = byte * UINT64_C(0x0101010101010101);
        cr_assert_neq(link_seal(SECRET, record, word, word, word), word, "%02x", byte);
    }
}
