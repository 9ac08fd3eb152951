/* grow: a block grown to 768 MiB in steps of 4 MiB, one byte of each step written. Prints the seconds it
 * took. */
#include "figures/figures.h"

int main(void)
{
    const size_t step = (size_t)4 << 20, end = (size_t)768 << 20;
    unsigned char *block = NULL;
    double start = figures_seconds();
    for (size_t size = step; size <= end; size += step) {
        block = realloc(block, size);
        if (block == NULL)
            return 2;
        block[size - step] = (unsigned char)(size / step);
    }
    double took = figures_seconds() - start;
    for (size_t size = step; size <= end; size += step)
        if (block[size - step] != (unsigned char)(size / step))
            return 1;
    free(block);
    printf("seconds %.6f\n", took);
    return 0;
}
