/* A movable block's address isn't its name. */
#include <hmalloc/handle.h>
#include <hmalloc/hmalloc.h>

int main(void)
{
    return hrealloc(hm_pin(NULL, hm_handle_alloc(NULL, 40)), 100) != NULL;
}
