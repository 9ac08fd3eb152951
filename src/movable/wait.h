/* Waiting for another thread's short work without its help: spins, then yields, then sleeps for longer and longer, 1 ms at most.
 *
 *     struct wait wait = {0};
 *     while (!done()) {
 *         wait_step(&wait);
 *     }
 */
#ifndef HM_MOVABLE_WAIT_H
#define HM_MOVABLE_WAIT_H

#include "base/attr.h"

struct wait {
    uint32_t steps;
};

/* Keeps errno. */
HM_COLD void wait_step(struct wait *wait);

#endif
