/* baked.h: the Lua sources that the build put into the library as text. */
#ifndef MP_BAKED_H
#define MP_BAKED_H

#include <stddef.h>

typedef struct mp_Baked {
    const char *module; /* "moonpipe.steps.lambda"; NULL ends the list */
    const char *path;   /* "lua/moonpipe/steps/lambda.lua" */
    const unsigned char *text;
    size_t len;
} mp_Baked;

extern const mp_Baked mp_baked[];

#endif
