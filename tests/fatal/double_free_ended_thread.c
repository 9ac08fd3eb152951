/* Of a block whose thread has ended. */
#include <hmalloc/hmalloc.h>
#include <pthread.h>
#include <stddef.h>

static void *allocate(void *unused)
{
    (void)unused;
    hmalloc(3000);
    return hmalloc(3000);
}

int main(void)
{
    pthread_t thread;
    void *block;
    pthread_create(&thread, NULL, allocate, NULL);
    pthread_join(thread, &block);
    hfree(block);
    hfree(block);
    return 0;
}
