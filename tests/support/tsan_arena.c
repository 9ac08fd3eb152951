/* Lets Criterion run under ThreadSanitizer, which it doesn't by itself ("Could not initialize inheritable
 * arena").
 *
 * Criterion maps the memory that it shares with its test processes at 0x200000000000 + (rand_r() << 24), and
 * ThreadSanitizer refuses mappings outside the few ranges that it shadows. This rand_r, found before libc's,
 * steers the address into the range that holds position-independent programs and their break, well above
 * where those lie. Criterion looks for itself whether an address is taken, and asks again. */
#include <stdlib.h>

int rand_r(unsigned int *seed)
{
    *seed += 1;
    return (int)(0x367000u + (*seed & 0x7ffu));
}
