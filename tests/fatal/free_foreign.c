/* A block of another allocator. */
#include <hmalloc/hmalloc.h>
#include <stdlib.h>

int main(void)
{
    hfree(hmalloc(10));
    hfree(malloc(1000));
    return 0;
}
