/*
 * repl.h: the REPL of the program `moonpipe`.
 *
 * Threads: the engine's.
 */
#ifndef MP_REPL_H
#define MP_REPL_H

#include "moonpipe.h"

#include <stdbool.h>

/* Reads, runs and prints until the input ends; sets the handlers of SIGINT,
 * SIGTERM and SIGHUP. Borrows [engine], which should not compile what a user
 * writes: a compiled loop does not hear Ctrl-C. The lines are code, or what a
 * person [talks] to a model: then none is remembered in later runs, and none
 * belongs to the one before. Returns the exit code. */
int mp_repl_run(moonpipe_Engine *engine, bool talks);

#endif
