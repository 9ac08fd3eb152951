/* tables BURSTS: a hash table of strings to boxed numbers. Each burst inserts 60,000 keys, looks some up, changes
 * values (a new box for each), and deletes about as many at random as came; the table is made anew whenever it
 * grows too full or too empty.
 *
 * Interpreters, caches and databases consist of such tables: two or three small blocks an entry, of different
 * lifetimes, and a large array that is replaced at once. */
#include "support/bench.h"

enum { BURST = 60000, KEYS = 400000, LEAST_BUCKETS = 1024 };

struct entry {
    struct entry *next;
    double *value;
    uint32_t key;
    char text[];
};

static struct entry **buckets;
static size_t bucket_count, entries, bytes;
static uint64_t seed = 1;

static size_t text_size(uint32_t key)
{
    return 4 + key % 13 + (key % 7 == 0 ? key % 64 : 0);
}

static struct entry **place_of(uint32_t key)
{
    struct entry **place = &buckets[key * 2654435761u % bucket_count];
    while (*place != NULL && (*place)->key != key)
        place = &(*place)->next;
    return place;
}

static void rehash(size_t count)
{
    struct entry **old = buckets;
    size_t old_count = bucket_count;
    buckets = calloc(count, sizeof(struct entry *));
    if (buckets == NULL)
        bench_fail("calloc");
    bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct entry *entry = old[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            struct entry **place = place_of(entry->key);
            entry->next = NULL;
            *place = entry;
        }
    }
    free(old);
}

static double *box(double value)
{
    double *made = bench_block(sizeof *made);
    *made = value;
    return made;
}

static void insert(uint32_t key)
{
    struct entry **place = place_of(key);
    if (*place != NULL) {
        free((*place)->value);
        (*place)->value = box(key);
        return;
    }
    struct entry *entry = bench_block(sizeof *entry + text_size(key));
    memset(entry->text, 'k', text_size(key));
    *entry = (struct entry){.value = box(key), .key = key};
    *place = entry;
    entries++;
    bytes += sizeof *entry + text_size(key) + sizeof(double);
    if (entries > bucket_count)
        rehash(bucket_count * 2);
}

static void delete (uint32_t key)
{
    struct entry **place = place_of(key), *entry = *place;
    if (entry == NULL)
        return;
    *place = entry->next;
    free(entry->value);
    free(entry);
    entries--;
    bytes -= sizeof *entry + text_size(key) + sizeof(double);
    if (entries < bucket_count / 8 && bucket_count > LEAST_BUCKETS)
        rehash(bucket_count / 2);
}

/* Keys are deleted wherever they are, so more must be tried than came. */
static void burst(size_t number)
{
    double sum = 0;
    for (size_t i = 0; i < BURST; i++)
        insert((uint32_t)bench_below(&seed, KEYS));
    for (size_t i = 0; i < BURST / 2; i++) {
        struct entry *entry = *place_of((uint32_t)bench_below(&seed, KEYS));
        sum += entry == NULL ? 0 : *entry->value;
    }
    size_t deletions = number % 4 == 3 ? BURST * 4 : BURST;
    for (size_t i = 0; i < deletions; i++)
        delete ((uint32_t)bench_below(&seed, KEYS));
    if (sum < 0)
        bench_fail("the table lost its values");
}

int main(int argc, char **argv)
{
    const size_t bursts = bench_number(argc, argv, 1);
    bench_start();
    rehash(LEAST_BUCKETS);
    for (size_t i = 0; i < bursts; i++)
        burst(i);
    bench_stop();
    bench_settle(bytes + bucket_count * sizeof(struct entry *));
    for (uint32_t key = 0; key < KEYS; key++)
        delete (key);
    free(buckets);
    return 0;
}
