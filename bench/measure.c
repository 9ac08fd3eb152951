/* measure FILE PROGRAM [ARGS...]: runs PROGRAM and writes its wall time in seconds and its peak resident
 * memory in KiB, of its largest process, as one line into FILE. Ends with the program's exit status, or 128 +
 * the signal it died of.
 *
 * A small program of its own, because a process inherits the peak of whoever started it. */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: measure FILE PROGRAM [ARGS...]\n", stderr);
        return 125;
    }
    pid_t pid;
    double start = seconds_now();
    int error = posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ);
    if (error != 0) {
        fprintf(stderr, "measure: cannot run %s: %s\n", argv[2], strerror(error));
        return error == ENOENT ? 127 : 126;
    }
    int status;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) < 0) {
        if (errno != EINTR) {
            perror("measure: wait4");
            return 125;
        }
    }
    double wall = seconds_now() - start;
    FILE *file = fopen(argv[1], "w");
    if (file == NULL || fprintf(file, "%.6f %ld\n", wall, usage.ru_maxrss) < 0 || fclose(file) != 0) {
        perror(argv[1]);
        return 125;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
