/* Inside a block with a mapping of its own. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    char *block = hmalloc(40000000);
    hfree(block + 32000000);
    return 0;
}
