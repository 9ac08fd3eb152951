/* expect_abort TEXT PROGRAM: succeeds if PROGRAM ends by SIGABRT, having written to stderr exactly one line,
 * which begins with "hmalloc: " and contains TEXT. Lines of Valgrind ("==123==") don't count. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t spawn(char **argv, int *err)
{
    int fds[2];
    if (pipe(fds) != 0) {
        perror("pipe");
        exit(2);
    }
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        execv(argv[0], argv);
        _exit(127);
    }
    close(fds[1]);
    *err = fds[0];
    return pid;
}

/* Returns how many lines of the program's own there were, and how many of them say what they must. */
static void lines_count(FILE *from, const char *text, int *lines, int *good)
{
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, from) > 0) {
        fprintf(stderr, "| %s", line);
        if (strncmp(line, "==", 2) == 0) {
            continue;
        }
        ++*lines;
        *good += strncmp(line, "hmalloc: ", 9) == 0 && strstr(line, text) != NULL;
    }
    free(line);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: expect_abort TEXT PROGRAM\n", stderr);
        return 2;
    }
    int err;
    int status;
    int lines = 0;
    int good = 0;
    pid_t pid = spawn(argv + 2, &err);
    lines_count(fdopen(err, "r"), argv[1], &lines, &good);
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
        fprintf(stderr, "expected SIGABRT, got wait status 0x%x\n", (unsigned)status);
        return 1;
    }
    if (lines != 1 || good != 1) {
        fprintf(stderr, "expected one line with \"%s\", got %d, %d of them right\n", argv[1], lines, good);
        return 1;
    }
    return 0;
}
