#include "kvstore/value.h"

#include <stdio.h>

#include "support/bench.h"

struct text value_key(struct key *key, uint32_t id)
{
    static const char digits[] = "0123456789abcdef";
    memcpy(key->bytes, "key:............", 16);
    for (int i = 0; i < 8; i++)
        key->bytes[KEY_LENGTH - 1 - i] = digits[id >> 4 * i & 15];
    return (struct text){key->bytes, KEY_LENGTH};
}

/* Cheap, or making values would be all that is measured. */
static uint64_t word_of(uint64_t seed, uint32_t place)
{
    return seed + place * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t seed_of(uint32_t id, uint32_t version)
{
    return ((uint64_t)id << 32 | version) * UINT64_C(0xff51afd7ed558ccd);
}

struct text value_make(void *buffer, uint32_t length, uint32_t id, uint32_t version)
{
    uint64_t seed = seed_of(id, version);
    char *at = buffer;
    uint32_t first[4] = {id, version, length, ~id};
    memcpy(at, first, sizeof first);
    for (uint32_t place = sizeof first; place < length; place += 8) {
        uint64_t word = word_of(seed, place);
        memcpy(at + place, &word, length - place < 8 ? length - place : 8);
    }
    return (struct text){buffer, length};
}

_Noreturn void value_wrong(uint32_t id, const char *what)
{
    fprintf(stderr, "kvstore: key %u: %s\n", (unsigned)id, what);
    abort();
}

uint32_t value_check(const void *buffer, int64_t length, uint32_t id)
{
    const char *at = buffer;
    uint32_t first[4];
    if (length < VALUE_LEAST)
        value_wrong(id, "the value is too short");
    memcpy(first, at, sizeof first);
    if (first[0] != id || first[3] != ~id || first[2] != length)
        value_wrong(id, "the value is of another key or length");
    uint64_t seed = seed_of(id, first[1]);
    uint64_t differ = 0;
    uint32_t place = sizeof first;
    for (; place + 8 <= (uint32_t)length; place += 8) {
        uint64_t word;
        memcpy(&word, at + place, 8);
        differ |= word ^ word_of(seed, place);
    }
    uint64_t word = word_of(seed, place);
    if (differ != 0 || memcmp(at + place, &word, (uint32_t)length - place) != 0)
        value_wrong(id, "the value was changed");
    return first[1];
}

void value_set(uint32_t id, uint32_t version, uint32_t length, uint32_t life)
{
    char buffer[VALUE_MOST];
    struct key key;
    if (!store_set(value_key(&key, id), value_make(buffer, length, id, version), life))
        value_wrong(id, "can't be stored");
}

int64_t value_get(uint32_t id, uint32_t *length)
{
    char buffer[VALUE_MOST];
    struct key key;
    int64_t got = store_get(value_key(&key, id), buffer, sizeof buffer);
    *length = got < 0 ? 0 : (uint32_t)got;
    return got < 0 ? -1 : (int64_t)value_check(buffer, got, id);
}

size_t value_check_all(uint32_t ids)
{
    struct store_totals found = {.entries = 0};
    struct store_totals totals = store_totals();
    uint64_t sum = 0;
    for (uint32_t id = 0; id < ids; id++) {
        uint32_t length;
        int64_t version = value_get(id, &length);
        if (version >= 0) {
            found.entries++;
            found.bytes += KEY_LENGTH + length;
            sum += seed_of(id, (uint32_t)version) ^ length;
        }
    }
    if (found.entries != totals.entries || found.bytes != totals.bytes)
        value_wrong(ids, "not all keys that the store counts were found");
    bench_report("entries", (double)totals.entries);
    bench_report("evicted", (double)totals.evicted);
    bench_report("expired", (double)totals.expired);
    bench_report("checksum", (double)(sum >> 16 & 0xffffffff));
    return totals.bytes;
}
