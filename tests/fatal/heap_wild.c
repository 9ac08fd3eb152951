/* A block, taken for a heap. */
#include <hmalloc/handle.h>
#include <hmalloc/hmalloc.h>

int main(void)
{
    hm_compact(hcalloc(1, 1000), (struct hm_budget){0, 0});
    return 0;
}
