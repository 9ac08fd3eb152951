/* A block that waits in the cache. */
#include <hmalloc/defrag.h>
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = hmalloc(100);
    hfree(block);
    return hm_defrag_hint(block);
}
