/* A small number. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    hfree((void *)8);
    return 0;
}
