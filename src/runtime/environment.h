/* Reads environment variables as early as the first allocation of a process.
 *
 * Not by getenv: programs define their own (bash does, over its own tables), and a constructor that runs
 * before libc's finds `environ` unset. Allocates nothing, keeps errno. */
#ifndef HM_RUNTIME_ENVIRONMENT_H
#define HM_RUNTIME_ENVIRONMENT_H

#include "base/attr.h"

/* The variables as the dynamic linker passes them to constructors, for as long as `environ` is unset. */
void environment_give(char **variables);

/* The value of a variable, in `environ` or copied into the buffer; NULL if it isn't set. What doesn't fit is
 * cut. Without a buffer only `environ`, or what was given, is looked into. */
const char *environment_get(const char *name, char *buf, size_t cap);

/* The same from a file of zero-terminated NAME=VALUE strings, such as /proc/self/environ. False: not in it,
 * or it can't be read. */
HM_COLD bool environment_read(const char *path, const char *name, char *buf, size_t cap);

/* True when the kernel started the program with more rights than its caller's: then the environment is the
 * caller's, not to be trusted. */
bool environment_untrusted(void);

#endif
