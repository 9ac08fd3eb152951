/* After other frees of the same size. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *blocks[8];
    for (int i = 0; i < 8; i++) {
        blocks[i] = hmalloc(48);
    }
    for (int i = 0; i < 8; i++) {
        hfree(blocks[i]);
    }
    hfree(blocks[2]);
    return 0;
}
