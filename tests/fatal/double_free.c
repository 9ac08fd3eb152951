/* Twice in a row: the block waits in the thread's cache. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = hmalloc(40);
    hfree(block);
    hfree(block);
    return 0;
}
