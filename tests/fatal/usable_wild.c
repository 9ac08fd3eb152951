/* A small number. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    return (int)hmalloc_usable_size((void *)16);
}
