#include <criterion/criterion.h>

#include "base/list.h"

struct item {
    int value;
    struct list link;
};

static struct item items[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};

/* Values along the list as decimal digits; checks the invariant on the way. */
static int digits(struct list *head)
{
    int result = 0;
    for (struct list *at = head->next; at != head; at = at->next) {
        cr_assert_eq(at->next->prev, at);
        cr_assert_eq(at->prev->next, at);
        result = result * 10 + LIST_ENTRY(at, struct item, link)->value;
    }
    cr_assert_eq(head->next->prev, head);
    cr_assert_eq(head->prev->next, head);
    return result;
}

Test(list, new_list_is_empty)
{
    struct list head;
    list_init(&head);
    cr_assert(list_empty(&head));
    cr_assert_eq(digits(&head), 0);
}

Test(list, pushes_at_both_ends)
{
    struct list head;
    list_init(&head);
    list_push_back(&head, &items[2].link);
    list_push_back(&head, &items[3].link);
    list_push_front(&head, &items[1].link);
    cr_assert_not(list_empty(&head));
    cr_assert_eq(digits(&head), 123);
}

Test(list, inserts_after_a_node)
{
    struct list head;
    list_init(&head);
    list_push_back(&head, &items[1].link);
    list_push_back(&head, &items[3].link);
    list_insert_after(&items[1].link, &items[2].link);
    cr_assert_eq(digits(&head), 123);
}

Test(list, removes_anywhere)
{
    struct list head;
    list_init(&head);
    for (int i = 1; i <= 3; i++) {
        list_push_back(&head, &items[i].link);
    }
    list_remove(&items[2].link);
    cr_assert_eq(digits(&head), 13);
    list_remove(&items[1].link);
    cr_assert_eq(digits(&head), 3);
    list_remove(&items[3].link);
    cr_assert(list_empty(&head));
}

Test(list, removed_node_is_on_no_list_and_may_be_removed_again)
{
    struct list head;
    list_init(&head);
    list_push_back(&head, &items[1].link);
    list_push_back(&head, &items[2].link);
    list_remove(&items[1].link);
    cr_assert(list_empty(&items[1].link));
    list_remove(&items[1].link);
    cr_assert_eq(digits(&head), 2);
}

Test(list, entry_is_the_enclosing_object)
{
    cr_assert_eq(LIST_ENTRY(&items[2].link, struct item, link), &items[2]);
}
