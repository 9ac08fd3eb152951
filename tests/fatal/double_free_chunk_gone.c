/* After all blocks around it were freed, and their chunk went back to the page heap. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    static void *blocks[5000];
    for (int i = 0; i < 5000; i++) {
        blocks[i] = hmalloc(100);
    }
    for (int i = 0; i < 4000; i++) {
        hfree(blocks[i]);
    }
    hfree(blocks[2000]);
    return 0;
}
