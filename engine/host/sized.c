/*
 * sized.c: structs of programs that may be older or younger than this library.
 *
 * A struct begins with its size as the program knows it. Filling one writes so
 * many bytes and no more, also where ours has become longer; what is past ours
 * is zero.
 */
#include "host.h"

#include <string.h>

/* [ours] begins with a size, too. */
static void fill(void *to, size_t size, const void *ours, size_t known)
{
    if (size < sizeof size) return;
    memset(to, 0, size);
    memcpy(to, ours, size < known ? size : known);
    memcpy(to, &size, sizeof size);
}

void moonpipe_config_fill(moonpipe_Config *config, size_t size)
{
    const moonpipe_Config ours = {.jit = 1};

    fill(config, size, &ours, sizeof ours);
}

void moonpipe_options_fill(moonpipe_Options *options, size_t size)
{
    const moonpipe_Options ours = {0};

    fill(options, size, &ours, sizeof ours);
}

void moonpipe_sandbox_fill(moonpipe_Sandbox *sandbox, size_t size)
{
    const moonpipe_Sandbox ours = {0};

    fill(sandbox, size, &ours, sizeof ours);
}

void moonpipe_tool_fill(moonpipe_Tool *tool, size_t size)
{
    const moonpipe_Tool ours = {0};

    fill(tool, size, &ours, sizeof ours);
}

void mp_host_copy(void *to, size_t size, const void *from)
{
    size_t known;

    if (!from) return;
    memcpy(&known, from, sizeof known);
    memcpy(to, from, known < size ? known : size);
}
