/* Of a block with a mapping of its own. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = hmalloc(40000000);
    hfree(block);
    hfree(block);
    return 0;
}
