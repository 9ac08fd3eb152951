/* Inside a large block. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    char *block = hmalloc(500000);
    hfree(block + 100000);
    return 0;
}
