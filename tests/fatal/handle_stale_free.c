/* The entry names another block meanwhile. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_handle block = hm_handle_alloc(NULL, 40);
    hm_handle_free(NULL, block);
    for (int i = 0; i < 1000; i++) {
        hm_handle_alloc(NULL, 40);
    }
    hm_handle_free(NULL, block);
    return 0;
}
