/* Runs a function in a forked child and collects how it ended and what it wrote to stderr. */
#ifndef HM_TESTS_SUPPORT_CHILD_H
#define HM_TESTS_SUPPORT_CHILD_H

#include <stdbool.h>

struct child {
    bool exited;       /* it returned, or called _exit */
    int code;          /* exit code; 0 when the function returned */
    int signal;        /* that ended it; 0: none */
    char errors[4096]; /* what fits, as a string */
};

/* The function gets `argument`. stdout and stdin are the parent's; no core is dumped. */
struct child child_run(void (*function)(void *), void *argument);

#endif
