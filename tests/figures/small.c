/* small: a trivial process. Prints its anonymous memory with 50 small blocks, what is resident of the library's file, and the
 * page faults since it was started. */
#include <sys/resource.h>

#include "figures/figures.h"

enum { BLOCKS = 50 };

int main(void)
{
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = figures_block(16 + i * 4);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("anonymous %zu\n", figures_rollup("Anonymous:"));
    printf("file %zu\n", figures_resident("libhmalloc"));
    printf("faults %ld\n", usage.ru_minflt);
    return blocks[BLOCKS - 1] == NULL;
}
