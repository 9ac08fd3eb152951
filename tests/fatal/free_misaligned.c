/* No multiple of 16, as every block is. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    char *block = hmalloc(100);
    hfree(block + 8);
    return 0;
}
