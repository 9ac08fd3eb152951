/* A small number. */
#include <hmalloc/defrag.h>

int main(void)
{
    return hm_defrag_hint((void *)16);
}
