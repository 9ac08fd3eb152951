/* Inside a block. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    char *block = hmalloc(100);
    return (int)hmalloc_usable_size(block + 16);
}
