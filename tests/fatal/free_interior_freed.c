/* Inside a block that was freed. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    char *block = hmalloc(1000);
    hfree(block);
    hfree(block + 48);
    return 0;
}
