/* measure [--preload LIBRARY] [--repeat N] FILE PROGRAM [ARGS...]: runs PROGRAM, N times one after the other,
 * and writes one line into FILE: wall time in seconds, peak resident memory in KiB (of its largest process),
 * user and system time in seconds, minor page faults. Ends with the program's exit status, or 128 + the signal
 * it died of; the first run that fails is the last.
 *
 * A small program of its own, because a process inherits the peak of whoever started it. The library is
 * preloaded into the program and what it starts, not into this one. */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct totals {
    double wall, user, system;
    long peak_kib, minor_faults;
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void add_usage(struct totals *totals, double wall, const struct rusage *usage)
{
    totals->wall += wall;
    totals->user += seconds_of(usage->ru_utime);
    totals->system += seconds_of(usage->ru_stime);
    totals->minor_faults += usage->ru_minflt;
    if (usage->ru_maxrss > totals->peak_kib)
        totals->peak_kib = usage->ru_maxrss;
}

/* The exit status a shell would report. */
static int run_once(char **command, struct totals *totals)
{
    pid_t pid;
    double start = seconds_now();
    int error = posix_spawnp(&pid, command[0], NULL, NULL, command, environ);
    if (error != 0) {
        fprintf(stderr, "measure: cannot run %s: %s\n", command[0], strerror(error));
        exit(error == ENOENT ? 127 : 126);
    }
    int status;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) < 0) {
        if (errno != EINTR) {
            perror("measure: wait4");
            exit(125);
        }
    }
    add_usage(totals, seconds_now() - start, &usage);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void write_totals(const char *path, const struct totals *totals)
{
    FILE *file = fopen(path, "w");
    if (file == NULL ||
        fprintf(file, "%.6f %ld %.6f %.6f %ld\n", totals->wall, totals->peak_kib, totals->user,
                totals->system, totals->minor_faults) < 0 ||
        fclose(file) != 0) {
        perror(path);
        exit(125);
    }
}

int main(int argc, char **argv)
{
    long repeat = 1;
    int first = 1;
    for (; first + 1 < argc && strncmp(argv[first], "--", 2) == 0; first += 2) {
        if (strcmp(argv[first], "--preload") == 0)
            setenv("LD_PRELOAD", argv[first + 1], 1);
        else if (strcmp(argv[first], "--repeat") == 0)
            repeat = strtol(argv[first + 1], NULL, 10);
        else
            break;
    }
    if (argc - first < 2 || repeat < 1) {
        fputs("usage: measure [--preload LIBRARY] [--repeat N] FILE PROGRAM [ARGS...]\n", stderr);
        return 125;
    }
    struct totals totals = {.wall = 0};
    int status = 0;
    for (long i = 0; i < repeat && status == 0; i++)
        status = run_once(argv + first + 1, &totals);
    write_totals(argv[first], &totals);
    return status;
}
