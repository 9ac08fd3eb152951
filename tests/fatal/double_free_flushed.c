/* After so many frees that the cache gave the block back to its chunk. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *blocks[500];
    for (int i = 0; i < 500; i++) {
        blocks[i] = hmalloc(48);
    }
    for (int i = 0; i < 499; i++) {
        hfree(blocks[i]);
    }
    hfree(blocks[3]);
    return 0;
}
