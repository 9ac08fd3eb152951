/* Makes the kernel refuse system calls, as a sandbox's filter does. */
#ifndef HM_TESTS_SUPPORT_REFUSE_H
#define HM_TESTS_SUPPORT_REFUSE_H

#include <stdbool.h>
#include <stddef.h>

/* From now on these calls of the calling thread and of its later threads and children fail with `error`. For
 * ever: use it in a process or thread of its own. False: no filter can be installed here (under Valgrind, for
 * example). */
bool refuse_calls(const int *numbers, size_t count, int error);

#endif
