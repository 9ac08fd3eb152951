/* fill_again: a program that fills its memory to a limit, frees everything, and starts over.
 *
 * Blocks of 3,000 and of 70,000 bytes: what small blocks and large ones need of the address space has different alignments,
 * so that it may break into pieces that serve neither. Each round must get nine tenths of the most of those before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { PLACES = 100000, ROUNDS = 12 };

static void *places[PLACES];

static int fill(void)
{
    int count = 0;
    while (count < PLACES && (places[count] = malloc(count % 7 == 0 ? 70000 : 3000)) != NULL) {
        memset(places[count++], 1, 3000);
    }
    return count;
}

/* The oldest first, or the newest. */
static void empty(int count, int oldest_first)
{
    for (int i = 0; i < count; i++) {
        free(places[oldest_first ? i : count - 1 - i]);
    }
}

int main(void)
{
    struct rlimit limit = {(rlim_t)100 << 20, (rlim_t)100 << 20};
    int most = 0;
    if (setrlimit(RLIMIT_DATA, &limit) != 0) {
        return 2;
    }
    for (int round = 0; round < ROUNDS; round++) {
        int count = fill();
        empty(count, round % 2 == 0);
        if (count < most - most / 10) {
            printf("round %d: %d blocks, where there were %d\n", round, count, most);
            return 1;
        }
        most = count > most ? count : most;
    }
    puts("as much each time");
    return 0;
}
