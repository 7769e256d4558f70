/* SPDX-License-Identifier: MIT */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include <stdbool.h>
#include "lib/bits.h"

/** Intrusive circular doubly linked list; the head is a node of its own. */
struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/** Insert `node` directly before `pos`; before the head means at the tail. */
static inline void list_insert_before(struct list *pos, struct list *node)
{
    node->prev = pos->prev;
    node->next = pos;
    pos->prev->next = node;
    pos->prev = node;
}

static inline void list_append(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

/** Unlink `node` and leave it an empty list of its own, so that removal twice is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define list_entry(node, type, member) container_of(node, type, member)

#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)

#endif
