/* Of a small block, after the break was lowered below it. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *blocks[20000];
    for (int i = 0; i < 20000; i++) {
        blocks[i] = hmalloc(100);
    }
    for (int i = 0; i < 20000; i++) {
        hfree(blocks[i]);
    }
    hmalloc_trim(0);
    hfree(blocks[19999]);
    return 0;
}
