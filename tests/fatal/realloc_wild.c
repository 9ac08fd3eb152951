/* A small number. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    hrealloc((void *)16, 200);
    return 0;
}
