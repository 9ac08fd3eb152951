/* The same for a block with pages of its own. */
#include <hmalloc/handle.h>
#include <hmalloc/hmalloc.h>

int main(void)
{
    hfree(hm_pin(NULL, hm_handle_alloc(NULL, 1000000)));
    return 0;
}
