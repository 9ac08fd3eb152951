#include "movable/entry.h"

#include "movable/wait.h"

uint64_t entry_wait(const struct mentry *entry)
{
    struct wait wait = {0};
    uint64_t word = entry_word(entry);
    while ((word & ENTRY_MOVING) != 0) {
        wait_step(&wait);
        word = entry_word(entry);
    }
    return word;
}

/* Swaps `*word` for `next`; on failure *word is what it is now. */
static bool swap(struct mentry *entry, uint64_t *word, uint64_t next)
{
    return atomic_compare_exchange_strong(&entry->word, word, next);
}

enum entry_result entry_pin_general(struct mentry *entry, hm_handle handle, uint64_t word)
{
    for (;;) {
        if (!entry_is_of(word, handle) || !entry_is_live(word)) {
            return ENTRY_STALE;
        }
        if ((word & ENTRY_PINS) == ENTRY_PINS) {
            return ENTRY_FULL;
        }
        if ((word & ENTRY_MOVING) != 0) {
            word = entry_wait(entry);
        } else if (swap(entry, &word, word + 1)) {
            return ENTRY_OK;
        }
    }
}

enum entry_result entry_unpin_general(struct mentry *entry, hm_handle handle, uint64_t word)
{
    for (;;) {
        if (!entry_is_of(word, handle) || !entry_is_live(word)) {
            return ENTRY_STALE;
        }
        if ((word & ENTRY_PINS) == 0) {
            return ENTRY_UNPINNED;
        }
        if (swap(entry, &word, word - 1)) {
            return ENTRY_OK;
        }
    }
}

/* Whether a current handle's holder may make the block his own: free it, or move it. */
static enum entry_result check_idle(uint64_t word, hm_handle handle)
{
    if (!entry_is_of(word, handle) || !entry_is_live(word)) {
        return ENTRY_STALE;
    }
    if ((word & ENTRY_PINS) != 0) {
        return ENTRY_PINNED;
    }
    return (word & ENTRY_MOVING) != 0 ? ENTRY_BUSY : ENTRY_OK;
}

enum entry_result entry_take_general(struct mentry *entry, hm_handle handle, uint64_t *word)
{
    for (;;) {
        enum entry_result result = check_idle(*word, handle);
        if (result == ENTRY_BUSY) {
            *word = entry_wait(entry);
        } else if (result != ENTRY_OK || swap(entry, word, entry_freed(*word))) {
            return result;
        }
    }
}

enum entry_result entry_move_try(struct mentry *entry, hm_handle handle, uint64_t *word)
{
    *word = entry_word(entry);
    for (;;) {
        enum entry_result result = check_idle(*word, handle);
        if (result != ENTRY_OK || swap(entry, word, *word | ENTRY_MOVING)) {
            return result;
        }
    }
}

enum entry_result entry_move_take(struct mentry *entry, hm_handle handle, uint64_t *word)
{
    enum entry_result result = entry_move_try(entry, handle, word);
    while (result == ENTRY_BUSY) {
        entry_wait(entry);
        result = entry_move_try(entry, handle, word);
    }
    return result;
}

enum entry_result entry_flags(struct mentry *entry, hm_handle handle, uint64_t set, uint64_t clear)
{
    HM_ASSERT(((set | clear) & ~(ENTRY_SLOT | ENTRY_LARGE | ENTRY_TAGGED | ENTRY_NESTED)) == 0,
              "pins and MOVING change by their own functions");
    uint64_t word = entry_wait(entry);
    while (entry_is_of(word, handle) && entry_is_live(word)) {
        if ((word & ENTRY_MOVING) != 0) {
            word = entry_wait(entry);
        } else if (swap(entry, &word, (word & ~clear) | set)) {
            return ENTRY_OK;
        }
    }
    return ENTRY_STALE;
}
