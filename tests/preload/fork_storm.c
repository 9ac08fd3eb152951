/* fork_storm [SECONDS]: forks while other threads hold stdio's locks and the allocator's.
 *
 * fork takes the allocator's locks (by its handlers) and then stdio's list lock; fflush(NULL) holds the list
 * lock and wants each FILE's; getline holds a FILE's lock and wants the allocator's. An allocator that
 * doesn't take part in that order deadlocks here, or leaves a lock held in the child. Prints "ok", or "hang"
 * and what stood still. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FORKERS, READERS, FLUSHERS, ALLOCATORS, ROLES };
enum { THREADS_PER_ROLE = 2, PATIENCE_MS = 10000, TICK_MS = 50, CHILD_BLOCKS = 200, HELD = 300 };

static const char *const role_names[ROLES] = {"fork", "getline", "fflush(NULL)", "malloc"};
static atomic_ulong progress[ROLES][THREADS_PER_ROLE];
static atomic_bool stop;
static atomic_int finished;

struct worker {
    int role;
    int number;
};

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Only write: the watchdog must not need a lock that hangs. */
static void give_up(const char *what)
{
    static const char head[] = "hang: ";
    (void)!write(STDOUT_FILENO, head, sizeof head - 1);
    (void)!write(STDOUT_FILENO, what, strlen(what));
    (void)!write(STDOUT_FILENO, "\n", 1);
    kill(0, SIGKILL);
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void child_work(unsigned seed)
{
    void *blocks[CHILD_BLOCKS];
    for (int i = 0; i < CHILD_BLOCKS; i++)
        blocks[i] = malloc(next_random(&seed) % 3000);
    for (int i = 0; i < CHILD_BLOCKS; i++)
        free(blocks[i]);
    FILE *sink = fopen("/dev/null", "w");
    if (sink == NULL || fprintf(sink, "%u\n", seed) < 0 || fclose(sink) != 0)
        _exit(1);
    fflush(NULL);
    _exit(0);
}

static void await_child(pid_t child)
{
    int status;
    for (int waited = 0; waitpid(child, &status, WNOHANG) == 0; waited++) {
        if (waited > PATIENCE_MS)
            give_up("a child");
        sleep_ms(1);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        give_up("a child failed");
}

static void fork_once(unsigned *seed)
{
    pid_t child = fork();
    if (child == 0)
        child_work(*seed);
    if (child > 0)
        await_child(child);
    next_random(seed);
}

/* A fresh buffer for each line makes getline allocate and grow it while it holds the FILE. */
static void read_some(FILE *file)
{
    for (int i = 0; i < 20; i++) {
        char *line = NULL;
        size_t size = 0;
        if (getline(&line, &size, file) < 0)
            rewind(file);
        free(line);
    }
}

static void allocate_some(void **held, unsigned *seed)
{
    for (int i = 0; i < 500; i++) {
        unsigned slot = next_random(seed) % HELD;
        free(held[slot]);
        held[slot] = malloc(next_random(seed) % (i % 50 ? 2000 : 200000));
    }
}

static FILE *make_lines(void)
{
    FILE *file = tmpfile();
    if (file == NULL)
        give_up("no temporary file");
    for (int i = 0; i < 200; i++) {
        int length = i % 16 == 0 ? 150000 : 10 + i * i % 4000;
        for (int j = 0; j < length; j++)
            putc('a' + j % 26, file);
        putc('\n', file);
    }
    rewind(file);
    return file;
}

static void *work(void *argument)
{
    /* Without a pause now and then the flushers leave the list lock to hardly any fork. */
    static const struct timespec breath = {0, 20000};
    const struct worker *worker = argument;
    unsigned seed = (unsigned)(worker->role * 100 + worker->number);
    FILE *file = worker->role == READERS ? make_lines() : NULL;
    void **held = calloc(HELD, sizeof *held);
    for (unsigned round = 0; !atomic_load(&stop) && held != NULL; round++) {
        switch (worker->role) {
        case FORKERS:
            fork_once(&seed);
            break;
        case READERS:
            read_some(file);
            break;
        case FLUSHERS:
            fflush(NULL);
            if (round % 16 == 0)
                nanosleep(&breath, NULL);
            break;
        default:
            allocate_some(held, &seed);
        }
        atomic_fetch_add(&progress[worker->role][worker->number], 1);
    }
    for (int i = 0; held != NULL && i < HELD; i++)
        free(held[i]);
    free(held);
    if (file != NULL)
        fclose(file);
    atomic_fetch_add(&finished, 1);
    return NULL;
}

/* Watches every thread's counter; after the time is up, that all of them end. */
static void *watch(void *argument)
{
    long end_tick = *(const long *)argument * 1000 / TICK_MS;
    unsigned long seen[ROLES][THREADS_PER_ROLE] = {{0}};
    int still[ROLES][THREADS_PER_ROLE] = {{0}};
    for (long tick = 0; atomic_load(&finished) < ROLES * THREADS_PER_ROLE; tick++) {
        if (tick == end_tick)
            atomic_store(&stop, true);
        if (tick > end_tick + PATIENCE_MS / TICK_MS)
            give_up("the end");
        for (int i = 0; i < ROLES * THREADS_PER_ROLE; i++) {
            int role = i / THREADS_PER_ROLE, number = i % THREADS_PER_ROLE;
            unsigned long now = atomic_load(&progress[role][number]);
            still[role][number] = now == seen[role][number] ? still[role][number] + 1 : 0;
            seen[role][number] = now;
            if (tick < end_tick && still[role][number] > PATIENCE_MS / TICK_MS)
                give_up(role_names[role]);
        }
        sleep_ms(TICK_MS);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct worker workers[ROLES][THREADS_PER_ROLE];
    pthread_t threads[ROLES][THREADS_PER_ROLE], watchdog;
    long seconds = argc > 1 ? atol(argv[1]) : 8;
    setpgid(0, 0);
    pthread_create(&watchdog, NULL, watch, &seconds);
    for (int role = 0; role < ROLES; role++) {
        for (int number = 0; number < THREADS_PER_ROLE; number++) {
            workers[role][number] = (struct worker){role, number};
            pthread_create(&threads[role][number], NULL, work, &workers[role][number]);
        }
    }
    for (int role = 0; role < ROLES; role++)
        for (int number = 0; number < THREADS_PER_ROLE; number++)
            pthread_join(threads[role][number], NULL);
    pthread_join(watchdog, NULL);
    for (int role = 0; role < ROLES; role++)
        fprintf(stderr, "%s: %lu + %lu\n", role_names[role], progress[role][0], progress[role][1]);
    puts("ok");
    return 0;
}
