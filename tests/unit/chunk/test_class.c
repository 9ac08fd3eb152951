#include <criterion/criterion.h>

#include "chunk/chunk.h"

/* Two classes have 32 bytes: one for requests up to 16, one for those up to 32. */
Test(class, every_request_gets_the_smallest_class_that_holds_it)
{
    unsigned expected = 0;
    for (size_t bytes = 0; bytes <= CLASS_MAX_BYTES; bytes++) {
        expected += bytes == 17 || class_bytes[expected] < bytes;
        cr_assert_eq(class_of(bytes), expected, "%zu bytes: class %u, not %u", bytes, class_of(bytes),
                     expected);
    }
    cr_assert_eq(expected, CLASS_COUNT - 1);
}

Test(class, sizes_grow_in_whole_granules_and_pages)
{
    cr_assert_eq(class_bytes[0], CLASS_MIN_BYTES);
    cr_assert_eq(class_bytes[CLASS_IN_CHUNK - 1], CLASS_CHUNK_BYTES);
    cr_assert_eq(class_bytes[CLASS_COUNT - 1], CLASS_MAX_BYTES);
    for (unsigned class = 1; class < CLASS_COUNT; class ++) {
        unsigned unit = class < CLASS_IN_CHUNK ? GRANULE_BYTES : 4096;
        cr_assert(class == 1 || class_bytes[class] > class_bytes[class - 1]);
        cr_assert_eq(class_bytes[class] % unit, 0, "class %u", class);
    }
}

Test(class, exact_classes_are_one_granule_apart)
{
    for (unsigned class = 0; class < CLASS_EXACT; class ++) {
        cr_assert_eq(class_granules(class), class == 0 ? 2 : class + 1);
    }
    cr_assert_eq(class_bytes[CLASS_EXACT - 1], CLASS_EXACT_BYTES);
}

Test(class, larger_classes_waste_little)
{
    for (unsigned class = CLASS_EXACT; class < CLASS_COUNT; class ++) {
        /* Five pages instead of four are the one larger step, where blocks leave the chunks. */
        unsigned share = class == CLASS_IN_CHUNK ? 5 : class > CLASS_IN_CHUNK ? 6 : 9;
        cr_assert_leq((class_bytes[class] - class_bytes[class - 1]) * share, class_bytes[class], "class %u",
                      class);
    }
}

/* A buffer of a power of two with a header in front is what many programs allocate most. */
Test(class, a_buffer_and_a_small_header_waste_a_thirtieth_at_most)
{
    for (size_t buffer = 1024; buffer < CLASS_CHUNK_BYTES; buffer *= 2) {
        for (size_t header = 8; header <= 32; header += 8) {
            size_t bytes = buffer + header;
            cr_assert_leq((class_bytes[class_of(bytes)] - bytes) * 30, bytes, "%zu bytes", bytes);
        }
    }
}

/* They start at even granules, also when several are carved in a row. */
Test(class, larger_classes_are_an_even_number_of_granules)
{
    for (unsigned class = CLASS_EXACT; class < CLASS_IN_CHUNK; class ++) {
        cr_assert_eq(class_granules(class) % 2, 0, "class %u", class);
    }
}

Test(class, codes_name_class_and_parity)
{
    bool seen[CODE_LAST + 1] = {false};
    for (unsigned class = 0; class < CLASS_IN_CHUNK; class ++) {
        for (unsigned parity = 0; parity < (class < CLASS_EXACT ? 2 : 1); parity++) {
            unsigned code = class_code(class, parity);
            cr_assert(code >= 1 && code <= CODE_LAST);
            cr_assert_not(seen[code], "code %u stands for two blocks", code);
            seen[code] = true;
            cr_assert_eq(code_class(code), class);
            cr_assert_eq(code_parity(code), parity);
        }
    }
    for (unsigned code = 1; code <= CODE_LAST; code++) {
        cr_assert(seen[code], "code %u is unused", code);
    }
}

Test(class, the_largest_class_in_chunks_fills_a_quarter)
{
    cr_assert_eq(class_granules(CLASS_IN_CHUNK - 1) * 4, CHUNK_GRANULES);
}
