/* A large block that was freed. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = hmalloc(500000);
    hfree(block);
    hrealloc(block, 200);
    return 0;
}
