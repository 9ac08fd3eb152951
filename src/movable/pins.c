#include "movable/pins.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"

/* From pools.records. */
struct pin_record {
    struct list order;  /* in pins.records */
    struct list bucket; /* in pins.bucket */
    hm_handle handle;
    const char *name;
    uint64_t since_ns;
};

void pin_pools_init(struct pin_pools *pools, struct meta *meta)
{
    meta_pool_init(&pools->records, meta, bits_align_up(sizeof(struct pin_record), HM_CACHE_LINE));
    meta_pool_init(&pools->names, meta, bits_align_up(PINS_NAME_BYTES, HM_CACHE_LINE));
}

void pins_init(struct pins *pins, struct pin_pools *pools)
{
    *pins = (struct pins){.pools = pools};
    lock_init(&pins->lock, LOCK_RANK_MOVABLE_PINS);
    list_init(&pins->records);
    for (unsigned i = 0; i < PINS_BUCKETS; i++) {
        list_init(&pins->bucket[i]);
    }
}

static struct list *bucket_of(struct pins *pins, hm_handle handle)
{
    uint64_t mixed = handle * UINT64_C(0x9e3779b97f4a7c15);
    return &pins->bucket[mixed >> (64 - bits_log2(PINS_BUCKETS))];
}

static void drop_locked(struct pins *pins, struct pin_record *record)
{
    list_remove(&record->order);
    list_remove(&record->bucket);
    meta_pool_put(&pins->pools->records, record);
    pins->count--;
}

/* The pool overwrites the first word of a name, which nobody looks at any more. */
void pins_destroy(struct pins *pins)
{
    lock_acquire(&pins->lock);
    while (!list_empty(&pins->records)) {
        drop_locked(pins, LIST_ENTRY(pins->records.next, struct pin_record, order));
    }
    for (uint32_t tag = 1; tag <= pins->tag_count; tag++) {
        const char *name = atomic_load_explicit(&pins->tag[tag], memory_order_relaxed);
        meta_pool_put(&pins->pools->names, (void *)(uintptr_t)name);
        atomic_store_explicit(&pins->tag[tag], NULL, memory_order_relaxed);
    }
    pins->tag_count = 0;
    lock_release(&pins->lock);
}

static uint32_t find_tag_locked(const struct pins *pins, const char *name)
{
    for (uint32_t tag = 1; tag <= pins->tag_count; tag++) {
        if (strcmp(atomic_load_explicit(&pins->tag[tag], memory_order_relaxed), name) == 0) {
            return tag;
        }
    }
    return 0;
}

static uint32_t new_tag_locked(struct pins *pins, const char *name)
{
    char *copy = pins->tag_count < PINS_TAGS ? meta_pool_get(&pins->pools->names) : NULL;
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, name, PINS_NAME_BYTES);
    pins->tag_count++;
    atomic_store_explicit(&pins->tag[pins->tag_count], copy, memory_order_release);
    return pins->tag_count;
}

uint8_t pins_tag(struct pins *pins, const char *name)
{
    if (name == NULL) {
        return 0;
    }
    char cut[PINS_NAME_BYTES] = {0};
    memcpy(cut, name, strnlen(name, PINS_NAME_BYTES - 1));
    lock_acquire(&pins->lock);
    uint32_t tag = find_tag_locked(pins, cut);
    tag = tag != 0 ? tag : new_tag_locked(pins, cut);
    lock_release(&pins->lock);
    return (uint8_t)tag;
}

const char *pins_tag_name(const struct pins *pins, uint8_t tag)
{
    return atomic_load_explicit(&pins->tag[tag], memory_order_acquire);
}

bool pins_add(struct pins *pins, hm_handle handle, const char *name, uint64_t now_ns)
{
    struct pin_record *record = meta_pool_get(&pins->pools->records);
    if (record == NULL) {
        return false;
    }
    record->handle = handle;
    record->name = name != NULL ? name : "";
    record->since_ns = now_ns;
    lock_acquire(&pins->lock);
    list_push_back(&pins->records, &record->order);
    list_push_front(bucket_of(pins, handle), &record->bucket);
    pins->count++;
    lock_release(&pins->lock);
    return true;
}

/* The newest record of the handle with the name; *count is how many the handle has. */
static struct pin_record *find_locked(struct pins *pins, hm_handle handle, const char *name, size_t *count)
{
    struct list *head = bucket_of(pins, handle);
    struct pin_record *found = NULL;
    *count = 0;
    for (struct list *node = head->next; node != head; node = node->next) {
        struct pin_record *record = LIST_ENTRY(node, struct pin_record, bucket);
        bool same = record->handle == handle;
        *count += same;
        if (same && found == NULL && strcmp(record->name, name) == 0) {
            found = record;
        }
    }
    return found;
}

bool pins_remove(struct pins *pins, hm_handle handle, const char *name, size_t *left)
{
    size_t count;
    lock_acquire(&pins->lock);
    struct pin_record *found = find_locked(pins, handle, name != NULL ? name : "", &count);
    if (found != NULL) {
        drop_locked(pins, found);
        count--;
    }
    lock_release(&pins->lock);
    if (left != NULL) {
        *left = count;
    }
    return found != NULL;
}

void pins_forget(struct pins *pins, hm_handle handle)
{
    lock_acquire(&pins->lock);
    struct list *head = bucket_of(pins, handle);
    struct list *node = head->next;
    while (node != head) {
        struct pin_record *record = LIST_ENTRY(node, struct pin_record, bucket);
        node = node->next;
        if (record->handle == handle) {
            drop_locked(pins, record);
        }
    }
    lock_release(&pins->lock);
}

size_t pins_oldest(struct pins *pins, struct hm_pin_info *info, size_t max, uint64_t now_ns)
{
    size_t filled = 0;
    lock_acquire(&pins->lock);
    struct list *node = pins->records.next;
    while (node != &pins->records && filled < max) {
        const struct pin_record *record = LIST_ENTRY(node, struct pin_record, order);
        uint64_t age = now_ns > record->since_ns ? now_ns - record->since_ns : 0;
        info[filled++] = (struct hm_pin_info){.handle = record->handle, .name = record->name, .age_ns = age};
        node = node->next;
    }
    size_t count = pins->count;
    lock_release(&pins->lock);
    return count;
}

static size_t length_of(const struct list *head, size_t most)
{
    size_t length = 0;
    for (const struct list *node = head->next; node != head && length <= most; node = node->next) {
        HM_CHECK(node->prev->next == node, "n->prev->next == n");
        length++;
    }
    return length;
}

void pins_verify(struct pins *pins)
{
    size_t in_buckets = 0;
    lock_acquire(&pins->lock);
    HM_CHECK(length_of(&pins->records, pins->count) == pins->count, "count = length of records");
    for (unsigned i = 0; i < PINS_BUCKETS; i++) {
        in_buckets += length_of(&pins->bucket[i], pins->count);
    }
    HM_CHECK(in_buckets == pins->count, "count = sum of the buckets' lengths");
    for (uint32_t tag = 1; tag <= pins->tag_count; tag++) {
        const char *name = pins_tag_name(pins, (uint8_t)tag);
        HM_CHECK(name != NULL && find_tag_locked(pins, name) == tag, "tags have names, all different");
    }
    HM_CHECK(pins->tag[0] == NULL, "tag 0 is no name");
    lock_release(&pins->lock);
}
