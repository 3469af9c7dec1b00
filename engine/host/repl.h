/*
 * repl.h: the REPL of the program `moonpipe`.
 *
 * Threads: the engine's.
 */
#ifndef MP_REPL_H
#define MP_REPL_H

#include "moonpipe.h"

/* Reads, runs and prints until the input ends; sets the handlers of SIGINT,
 * SIGTERM and SIGHUP. Borrows [engine], which should not compile: a compiled
 * loop does not hear Ctrl-C. Returns the exit code. */
int mp_repl_run(moonpipe_Engine *engine);

#endif
