/* A block that waits in the cache. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = hmalloc(100);
    hfree(block);
    hrealloc(block, 200);
    return 0;
}
