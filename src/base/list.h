/* Intrusive, circular, doubly linked lists. A node on no list points at itself.
 *
 * Invariant: n->next->prev == n and n->prev->next == n. Not for memory that users can write: see harden/. */
#ifndef HM_BASE_LIST_H
#define HM_BASE_LIST_H

#include "base/attr.h"

struct list {
    struct list *next;
    struct list *prev;
};

#define LIST_ENTRY(node, type, member) ((type *)(void *)((uintptr_t)(node)-offsetof(type, member)))

HM_INLINE void list_init(struct list *node)
{
    node->next = node;
    node->prev = node;
}

HM_INLINE bool list_empty(const struct list *head)
{
    return head->next == head;
}

HM_INLINE void list_insert_after(struct list *at, struct list *node)
{
    node->next = at->next;
    node->prev = at;
    at->next->prev = node;
    at->next = node;
}

HM_INLINE void list_push_front(struct list *head, struct list *node)
{
    list_insert_after(head, node);
}

HM_INLINE void list_push_back(struct list *head, struct list *node)
{
    list_insert_after(head->prev, node);
}

/* Unlinks the node and leaves it on no list; harmless for a node that is on none. */
HM_INLINE void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#endif
