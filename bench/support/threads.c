#include "support/threads.h"

struct worker {
    pthread_t thread;
    void (*work)(size_t number);
    size_t number;
};

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    worker->work(worker->number);
    return NULL;
}

void threads_run(size_t count, void (*work)(size_t number))
{
    static struct worker workers[THREADS_MOST];
    if (count > THREADS_MOST)
        bench_fail("too many threads");
    for (size_t i = 0; i < count; i++) {
        workers[i].work = work;
        workers[i].number = i;
        if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0)
            bench_fail("pthread_create");
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
}
