/* realloc to nothing is a free. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = hmalloc(100);
    hfree(block);
    hrealloc(block, 0);
    return 0;
}
