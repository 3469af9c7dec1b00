/*
 * fail.h: error objects as OpenAI writes them.
 */
#ifndef FAIL_H
#define FAIL_H

#include "script.h"

/* The object for a [code]; message NULL: the usual one. */
void fail_body(const char *code, const char *message, Bytes *out);

/* The one that the script asks for, by its code or by its status. */
void fail_scripted(const Script *script, Bytes *out);

#endif
