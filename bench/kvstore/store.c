#include "kvstore/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "kvstore/index.h"

enum { SHARDS = 16, SHRINK_STEP = 256, EVICT_SAMPLES = 5 };

/* What a block holds. */
struct record {
    uint32_t value_length;
    uint32_t key_length;
    char text[]; /* key, value */
};

struct shard {
    _Alignas(64) pthread_mutex_t mutex;
    struct index index;
    struct store_totals totals;
    uint32_t hand; /* the sweep's next node */
};

static struct {
    const struct backend *backend;
    size_t shard_limit;
    _Atomic uint32_t now;
    struct shard shards[SHARDS];
} store;

void store_open(const struct backend *backend, size_t limit)
{
    store.backend = backend;
    store.shard_limit = limit == 0 ? SIZE_MAX : limit / SHARDS;
    atomic_store(&store.now, 0);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&store.shards[i].mutex, NULL);
    backend->start();
}

void store_set_time(uint32_t now)
{
    atomic_store_explicit(&store.now, now, memory_order_relaxed);
}

static uint64_t hash_of(struct text key)
{
    uint64_t hash = key.length * UINT64_C(0x9e3779b97f4a7c15);
    const char *at = key.bytes;
    for (uint32_t left = key.length; left > 0;) {
        uint64_t word = 0;
        uint32_t step = left < sizeof word ? left : (uint32_t)sizeof word;
        memcpy(&word, at, step);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
        at += step;
        left -= step;
    }
    return hash * UINT64_C(0xc4ceb9fe1a85ec53);
}

static struct shard *lock_shard(uint64_t hash)
{
    struct shard *shard = &store.shards[hash >> 60];
    pthread_mutex_lock(&shard->mutex);
    return shard;
}

static void unlock(struct shard *shard)
{
    pthread_mutex_unlock(&shard->mutex);
}

/* The lower half is what the index sees. */
static uint32_t index_hash(uint64_t hash)
{
    return (uint32_t)(hash >> 16);
}

static size_t text_bytes(const struct record *record)
{
    return (size_t)record->key_length + record->value_length;
}

static uint32_t now(void)
{
    return atomic_load_explicit(&store.now, memory_order_relaxed);
}

static bool is_over(const struct node *node)
{
    return node->ends != 0 && node->ends <= now();
}

static uint32_t end_of(uint32_t life)
{
    return life == STORE_FOREVER ? 0 : now() + life;
}

/* Frees the entry's block, but not its node. */
static void drop_block(struct shard *shard, struct node *node, size_t bytes)
{
    store.backend->free(&node->ref);
    shard->totals.bytes -= bytes;
}

static void drop(struct shard *shard, uint32_t number, size_t bytes)
{
    drop_block(shard, index_node(&shard->index, number), bytes);
    index_remove(&shard->index, number);
}

/* The key's node, with *record to be read until backend->done; INDEX_NONE without. An entry whose time is over is dropped. */
static uint32_t find(struct shard *shard, uint64_t hash, struct text key, const struct record **record)
{
    uint32_t number = index_first(&shard->index, index_hash(hash));
    for (; number != INDEX_NONE; number = index_next(&shard->index, number)) {
        const struct record *at = store.backend->read(&index_node(&shard->index, number)->ref);
        if (at->key_length == key.length && memcmp(at->text, key.bytes, key.length) == 0) {
            if (!is_over(index_node(&shard->index, number))) {
                *record = at;
                return number;
            }
            size_t bytes = text_bytes(at);
            store.backend->done();
            shard->totals.expired++;
            drop(shard, number, bytes);
            return INDEX_NONE;
        }
        store.backend->done();
    }
    return INDEX_NONE;
}

/* The same for callers that don't read the entry, but want to know how large it is. */
static uint32_t find_bytes(struct shard *shard, uint64_t hash, struct text key, size_t *bytes)
{
    const struct record *record;
    uint32_t number = find(shard, hash, key, &record);
    if (number != INDEX_NONE) {
        *bytes = text_bytes(record);
        store.backend->done();
    }
    return number;
}

static size_t bytes_of(struct node *node)
{
    const struct record *record = store.backend->read(&node->ref);
    size_t bytes = text_bytes(record);
    store.backend->done();
    return bytes;
}

/* Of some entries the one that was used longest ago; not `keep`. INDEX_NONE if there is no other. */
static uint32_t choose_old(struct shard *shard, uint32_t keep)
{
    uint32_t oldest = index_draw(&shard->index, keep);
    for (int i = 1; i < EVICT_SAMPLES && oldest != INDEX_NONE; i++) {
        uint32_t other = index_draw(&shard->index, keep);
        if (index_node(&shard->index, other)->used < index_node(&shard->index, oldest)->used)
            oldest = other;
    }
    return oldest;
}

/* Makes room for `more` bytes; the node `keep` has no block. */
static void evict(struct shard *shard, size_t more, uint32_t keep)
{
    while (shard->totals.bytes + more > store.shard_limit) {
        uint32_t number = choose_old(shard, keep);
        if (number == INDEX_NONE)
            return;
        drop(shard, number, bytes_of(index_node(&shard->index, number)));
        shard->totals.evicted++;
    }
}

static void fill(union ref *ref, struct text key, struct text value)
{
    struct record *record = store.backend->write(ref);
    record->key_length = key.length;
    record->value_length = value.length;
    memcpy(record->text, key.bytes, key.length);
    memcpy(record->text + key.length, value.bytes, value.length);
    store.backend->written(ref);
}

/* Gives the node, which has none, a block of so many bytes of text; removes it when that is impossible. */
static bool give_block(struct shard *shard, uint32_t number, size_t bytes)
{
    if (bytes <= store.shard_limit) {
        evict(shard, bytes, number);
        if (store.backend->alloc(&index_node(&shard->index, number)->ref, sizeof(struct record) + bytes)) {
            shard->totals.bytes += bytes;
            return true;
        }
    }
    index_remove(&shard->index, number);
    return false;
}

/* The key's node with a block of exactly so many bytes; INDEX_NONE when memory doesn't suffice. */
static uint32_t prepare(struct shard *shard, uint64_t hash, struct text key, size_t bytes)
{
    size_t old_bytes;
    uint32_t number = find_bytes(shard, hash, key, &old_bytes);
    if (number != INDEX_NONE) {
        if (old_bytes == bytes)
            return number;
        drop_block(shard, index_node(&shard->index, number), old_bytes);
    } else {
        number = index_add(&shard->index, index_hash(hash));
    }
    return number != INDEX_NONE && give_block(shard, number, bytes) ? number : (uint32_t)INDEX_NONE;
}

bool store_set(struct text key, struct text value, uint32_t life)
{
    uint64_t hash = hash_of(key);
    struct shard *shard = lock_shard(hash);
    uint32_t number = prepare(shard, hash, key, (size_t)key.length + value.length);
    if (number != INDEX_NONE) {
        struct node *node = index_node(&shard->index, number);
        fill(&node->ref, key, value);
        node->ends = end_of(life);
        node->used = now();
    }
    unlock(shard);
    return number != INDEX_NONE;
}

int64_t store_get(struct text key, void *buffer, uint32_t room)
{
    uint64_t hash = hash_of(key);
    struct shard *shard = lock_shard(hash);
    const struct record *record;
    int64_t length = -1;
    uint32_t number = find(shard, hash, key, &record);
    if (number != INDEX_NONE) {
        if (record->value_length <= room) {
            length = record->value_length;
            memcpy(buffer, record->text + key.length, record->value_length);
        }
        store.backend->done();
        index_node(&shard->index, number)->used = now();
    }
    unlock(shard);
    return length;
}

bool store_delete(struct text key)
{
    uint64_t hash = hash_of(key);
    struct shard *shard = lock_shard(hash);
    size_t bytes;
    uint32_t number = find_bytes(shard, hash, key, &bytes);
    if (number != INDEX_NONE)
        drop(shard, number, bytes);
    unlock(shard);
    return number != INDEX_NONE;
}

bool store_expire(struct text key, uint32_t life)
{
    uint64_t hash = hash_of(key);
    struct shard *shard = lock_shard(hash);
    size_t bytes;
    uint32_t number = find_bytes(shard, hash, key, &bytes);
    if (number != INDEX_NONE)
        index_node(&shard->index, number)->ends = end_of(life);
    unlock(shard);
    return number != INDEX_NONE;
}

static void sweep_one(struct shard *shard, uint32_t number)
{
    struct node *node = index_node(&shard->index, number);
    if (index_has(&shard->index, number) && is_over(node)) {
        drop(shard, number, bytes_of(node));
        shard->totals.expired++;
        shard->totals.swept++;
    }
}

bool store_sweep(size_t entries)
{
    bool more = false;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &store.shards[i];
        pthread_mutex_lock(&shard->mutex);
        for (size_t n = 0; n < entries && n < shard->index.top; n++) {
            shard->hand = shard->hand < shard->index.top ? shard->hand + 1 : 1;
            sweep_one(shard, shard->hand);
        }
        more = index_shrink(&shard->index, store.backend, SHRINK_STEP) || more;
        unlock(shard);
    }
    return more;
}

struct store_totals store_totals(void)
{
    struct store_totals sum = {.entries = 0};
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &store.shards[i];
        pthread_mutex_lock(&shard->mutex);
        sum.entries += shard->index.count;
        sum.bytes += shard->totals.bytes;
        sum.evicted += shard->totals.evicted;
        sum.expired += shard->totals.expired;
        sum.swept += shard->totals.swept;
        unlock(shard);
    }
    return sum;
}

void store_close(void)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct index *index = &store.shards[i].index;
        for (uint32_t number = 1; number <= index->top; number++)
            if (index_has(index, number))
                store.backend->free(&index_node(index, number)->ref);
        index_drop(index);
    }
    store.backend->stop();
}
