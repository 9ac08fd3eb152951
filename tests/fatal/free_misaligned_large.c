/* Right behind the start of a large block. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    char *block = hmalloc(100000);
    hfree(block + 1);
    return 0;
}
