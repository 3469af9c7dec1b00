/*
 * memory.c: where memory comes from, which a host says for the whole process.
 */
#include "moonpipe.h"

#include "alloc.h"

int moonpipe_set_allocator(moonpipe_Allocator allocator, void *userdata)
{
    if (mp_alloc_live() > 0) return 0;
    mp_alloc_use(allocator, userdata);
    return 1;
}
