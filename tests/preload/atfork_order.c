/* Forks while another thread allocates under a lock that a library's fork handler takes. Hangs, until the alarm,
 * where the allocator's own handler has run before that one and holds the heap's locks already. */
#include <pthread.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKS = 200, PATIENCE = 20 };

void locked_allocation(void);

static void *allocate(void *unused)
{
    for (;;) {
        locked_allocation();
    }
    return unused;
}

int main(void)
{
    static const char ok[] = "ok\n";
    pthread_t thread;
    alarm(PATIENCE);
    if (pthread_create(&thread, NULL, allocate, NULL) != 0) {
        return 1;
    }
    for (int i = 0; i < FORKS; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            return 2;
        }
    }
    return write(STDOUT_FILENO, ok, sizeof ok - 1) == sizeof ok - 1 ? 0 : 3;
}
