#include "support/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

_Noreturn static void run_in_child(int stderr_fd, void (*function)(void *), void *argument)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    function(argument);
    _exit(0);
}

/* Reads to the end, so that the child never blocks on a full pipe. */
static void collect(int fd, char *buf, size_t cap)
{
    char rest[512];
    size_t len = 0;
    for (;;) {
        bool fits = len + 1 < cap;
        ssize_t got = read(fd, fits ? buf + len : rest, fits ? cap - 1 - len : sizeof(rest));
        if (got <= 0) {
            break;
        }
        len += fits ? (size_t)got : 0;
    }
    buf[len] = 0;
}

struct child child_run(void (*function)(void *), void *argument)
{
    struct child child = {.exited = false};
    int ends[2];
    int status;
    fflush(NULL);
    pid_t pid = pipe(ends) == 0 ? fork() : -1;
    if (pid == 0) {
        close(ends[0]);
        run_in_child(ends[1], function, argument);
    }
    if (pid < 0) {
        perror("child_run");
        abort();
    }
    close(ends[1]);
    collect(ends[0], child.errors, sizeof(child.errors));
    close(ends[0]);
    if (waitpid(pid, &status, 0) != pid) {
        perror("child_run");
        abort();
    }
    child.exited = WIFEXITED(status);
    child.code = child.exited ? WEXITSTATUS(status) : 0;
    child.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return child;
}
