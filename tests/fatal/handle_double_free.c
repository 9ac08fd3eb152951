/* Twice in a row: the entry is free. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_handle block = hm_handle_alloc(NULL, 40);
    hm_handle_free(NULL, block);
    hm_handle_free(NULL, block);
    return 0;
}
