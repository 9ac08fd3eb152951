/* Of a large block that the thread keeps. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = hmalloc(65536);
    hfree(block);
    hfree(block);
    return 0;
}
