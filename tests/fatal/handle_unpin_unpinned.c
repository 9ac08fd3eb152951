/* One unpin too many. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_handle block = hm_handle_alloc(NULL, 40);
    hm_pin(NULL, block);
    hm_unpin(NULL, block);
    hm_unpin(NULL, block);
    return 0;
}
