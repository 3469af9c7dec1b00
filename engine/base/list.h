/*
 * list.h: a list through its members: they join at the end and leave from
 * anywhere, without memory of its own.
 *
 * Threads: one at a time.
 */
#ifndef MP_LIST_H
#define MP_LIST_H

#include <stddef.h>

/* First member of what can be in a list, so that one is the other. */
typedef struct mp_Link {
    struct mp_Link *next;
    struct mp_Link *previous;
} mp_Link;

/* All zero: empty. */
typedef struct mp_List {
    mp_Link *first;
    mp_Link *last;
} mp_List;

/* [link] is in no list. */
static inline void mp_list_append(mp_List *list, mp_Link *link)
{
    link->next = NULL;
    link->previous = list->last;
    if (list->last)
        list->last->next = link;
    else
        list->first = link;
    list->last = link;
}

/* [link] is in [list]. */
static inline void mp_list_remove(mp_List *list, mp_Link *link)
{
    if (link->previous)
        link->previous->next = link->next;
    else
        list->first = link->next;
    if (link->next)
        link->next->previous = link->previous;
    else
        list->last = link->previous;
}

#endif
