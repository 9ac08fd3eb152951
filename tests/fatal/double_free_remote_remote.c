/* By two other threads. */
#include <hmalloc/hmalloc.h>
#include <pthread.h>
#include <stddef.h>

static void *free_it(void *block)
{
    hfree(block);
    return NULL;
}

static void free_in_a_thread(void *block)
{
    pthread_t thread;
    pthread_create(&thread, NULL, free_it, block);
    pthread_join(thread, NULL);
}

int main(void)
{
    void *block = hmalloc(100);
    free_in_a_thread(block);
    free_in_a_thread(block);
    return 0;
}
