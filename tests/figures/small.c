/* small: a trivial process. Prints its anonymous memory with 50 small blocks. */
#include "figures/figures.h"

enum { BLOCKS = 50 };

int main(void)
{
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = figures_block(16 + i * 4);
    printf("anonymous %zu\n", figures_rollup("Anonymous:"));
    return blocks[BLOCKS - 1] == NULL;
}
