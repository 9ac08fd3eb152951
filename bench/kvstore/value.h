/* Keys and values that say themselves what they must be. */
#ifndef HM_BENCH_KVSTORE_VALUE_H
#define HM_BENCH_KVSTORE_VALUE_H

#include "kvstore/store.h"

enum { KEY_LENGTH = 20, VALUE_LEAST = 16, VALUE_MOST = 16384 };

struct key {
    char bytes[KEY_LENGTH];
};

struct text value_key(struct key *key, uint32_t id);

/* Fills `length` bytes, at least VALUE_LEAST, with the value of this version of this key. */
struct text value_make(void *buffer, uint32_t length, uint32_t id, uint32_t version);

/* The version of the value; ends the process if it isn't one of this key, as it was made. */
uint32_t value_check(const void *buffer, int64_t length, uint32_t id);

/* Sets the key to a new version of so many bytes. Ends the process when memory is exhausted. */
void value_set(uint32_t id, uint32_t version, uint32_t length, uint32_t life);

/* The value's version, checked; -1: there is none. */
int64_t value_get(uint32_t id, uint32_t *length);

/* Ends the process. */
_Noreturn void value_wrong(uint32_t id, const char *what);

/* Checks all keys below `ids` and what the store says of its size, and reports the numbers and a sum over all that is stored,
 * which is the same for every backend. Returns the bytes of keys and values. */
size_t value_check_all(uint32_t ids);

#endif
